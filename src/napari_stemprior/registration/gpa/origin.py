"""The origin of a prior from the phases of its reflections."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from napari_stemprior.registration.fourier.reflections import Reflections
from napari_stemprior.structure import StructurePrior


def match_origin(
    reflections: Reflections, amplitude: NDArray[np.complex128], cell: NDArray[np.float64]
) -> tuple[NDArray[np.float64], float]:
    """Find the origin of the prior that agrees best with measured reflection amplitudes.

    Parameters
    ----------
    reflections : Reflections
        With the structure factors of the template.
    amplitude : (n,) complex array
        Measured at the reflections.
    cell : (2, 2) array
        Cell of the prior, to scale the search grid.

    Returns
    -------
    fraction : (2,) array
        Origin in fractions of the cell vectors.
    value : float
        Sum over the reflections of Re(conj(factor) amplitude) at the origin.
    """
    product = np.conj(reflections.factor) * amplitude
    count = [int(np.clip(np.ceil(np.linalg.norm(v) / 0.2), 16, 96)) for v in cell]
    summed = np.zeros(count, dtype=complex)
    np.add.at(summed, (reflections.hk[:, 0] % count[0], reflections.hk[:, 1] % count[1]), product)
    value = fft.ifft2(summed).real * (count[0] * count[1])
    best = np.array(np.unravel_index(int(value.argmax()), value.shape)) / count

    def cost(fraction: NDArray[np.float64]) -> float:
        return -float((product * np.exp(2j * np.pi * (reflections.hk @ fraction))).real.sum())

    size = float(np.abs(product).sum()) + 1e-30
    fraction = best
    turn = 2 * np.pi * reflections.hk
    for _ in range(6):  # Newton, kept where it climbs
        turned = product * np.exp(1j * (turn @ fraction))
        slope = -turn.T @ turned.imag
        curvature = np.einsum("n,na,nb->ab", np.abs(turned), turn, turn) + 1e-9 * size * np.eye(2)
        move = np.linalg.solve(curvature, slope)
        if cost(fraction + move) < cost(fraction):
            fraction = fraction + move
    return np.asarray(fraction) % 1.0, -cost(fraction)


def rotated(
    reflections: Reflections,
    prior: StructurePrior,
    measured: NDArray[np.complex128],
    symmetry: NDArray[np.float64],
) -> NDArray[np.complex128]:
    """Amplitudes at the reflections of the prior turned by a symmetry of its lattice.

    The reflections g of the turned prior lie on the image where the reflections g @ inv(symmetry) of the
    first lay.
    """
    hk = np.round((reflections.g @ np.linalg.inv(symmetry)) @ prior.cell.T).astype(int)
    table = {tuple(i): value for i, value in zip(reflections.hk.tolist(), measured, strict=True)}
    result = np.zeros(len(hk), dtype=complex)
    for index, (h, k) in enumerate(hk.tolist()):
        if (h, k) in table:
            result[index] = table[(h, k)]
        elif (-h, -k) in table:
            result[index] = np.conj(table[(-h, -k)])
    return result
