"""Lattice fringes demodulated: amplitude and phase of every node, place by place.

This is geometric phase analysis (Hÿtch, Snoeck, Kilaas, Ultramicroscopy 74 (1998) 131) with all nodes
of the prior at once and their structure factors as the template.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from napari_stemprior.registration.reciprocal import Nodes
from napari_stemprior.registration.spectrum import NormalizedImage


@dataclass(frozen=True, eq=False)
class Fringes:
    """Complex amplitude of each node on a coarse grid.

    Parameters
    ----------
    values : (n, gy, gx) complex array
        Sum of image x wave x Gaussian at each place.
    places : (gy, gx, 2) array
        Where, in Å (y, x).
    area : (gy, gx) array
        Sum of the Gaussian over the valid pixels of the image: pixels that each value rests on.
    effective : float
        Sum of the squared Gaussian in pixels, away from borders: variance for unit noise.
    nodes : Nodes
    linear : (2, 2) array
        The map that the waves were taken from.
    width : float
        Standard deviation of the Gaussian in Å.
    """

    values: NDArray[np.complex128]
    places: NDArray[np.float64]
    area: NDArray[np.float64]
    effective: float
    nodes: Nodes
    linear: NDArray[np.float64]
    width: float

    @property
    def k(self) -> NDArray[np.float64]:
        """(n, 2) wave vectors (y, x) in cycles per Å."""
        return self.nodes.g @ np.linalg.inv(self.linear)


class Demodulator:
    """Keeps the transform of an image, so that fringes for many lattices are cheap."""

    def __init__(self, flat: NormalizedImage) -> None:
        self.flat = flat
        height, width = flat.image.shape
        pad = round(30.0 / flat.pixel_size)
        self._size = tuple(fft.next_fast_len(n + min(pad, n)) for n in (height, width))
        # full complex transform: patches around a node cross the edge of the half plane
        self._transform = fft.fft2(flat.image, self._size)
        self._weight = None if flat.weight is None else fft.fft2(flat.weight, self._size)

    def fringes(self, nodes: Nodes, linear: NDArray[np.float64], width: float) -> Fringes:
        """Demodulate every node with a Gaussian of standard deviation `width` in Å.

        Parameters
        ----------
        nodes : Nodes
        linear : (2, 2) array
            From (x, y) in Å of the prior to (y, x) in Å of the image.
        width : float
            At most some 10 Å, or the padding lets opposite borders see each other.
        """
        pixel = self.flat.pixel_size
        sigma = width / pixel
        k = nodes.g @ np.linalg.inv(linear) * pixel
        # even grids of about one sample per sigma
        grid = tuple(2 * max(2, int(np.ceil(n / sigma / 2))) for n in self._size)
        grid = tuple(min(m, n - n % 2) for m, n in zip(grid, self._size, strict=True))
        keep = tuple(
            int(np.ceil(image / size * m))
            for image, size, m in zip(self.flat.image.shape, self._size, grid, strict=True)
        )
        axes = [np.arange(m) * n / m for m, n in zip(grid, self._size, strict=True)]
        values = np.empty((len(k), *keep), dtype=np.complex128)
        for index, wave in enumerate(k):
            values[index] = self._patch(self._transform, wave, sigma, grid, axes)[: keep[0], : keep[1]]
        if self._weight is None:
            area = self._area(sigma, [axis[:n] for axis, n in zip(axes, keep, strict=True)])
        else:
            seen = self._patch(self._weight, np.zeros(2), sigma, grid, axes)[: keep[0], : keep[1]]
            area = np.maximum(seen.real, 0.0)
        places = (
            np.stack(np.meshgrid(*(a[:n] for a, n in zip(axes, keep, strict=True)), indexing="ij"), -1)
            * pixel
        )
        return Fringes(values, places, area, np.pi * sigma**2, nodes, linear, width)

    def _patch(
        self,
        transform: NDArray[np.complexfloating],
        wave: NDArray[np.float64],
        sigma: float,
        grid: tuple[int, ...],
        axes: list[NDArray[np.float64]],
    ) -> NDArray[np.complex128]:
        patch: NDArray[np.complex128] | None = None
        ramps, gaussians, indices = [], [], []
        for frequency, size, m, axis in zip(wave, self._size, grid, axes, strict=True):
            centre = round(frequency * size)
            offset = np.arange(m) - m // 2
            q = (centre + offset) / size - frequency
            gaussians.append(np.exp(-2 * np.pi**2 * sigma**2 * q**2))
            indices.append((centre + offset) % size)
            ramps.append(np.exp(2j * np.pi * (centre / size - frequency) * axis))
        patch = transform[np.ix_(*indices)] * np.outer(*gaussians)
        small = fft.ifft2(fft.ifftshift(patch)) * (grid[0] * grid[1] / (self._size[0] * self._size[1]))
        # the filter has unit sum; times 2 pi sigma^2 it has unit peak
        return np.asarray(small * np.outer(*ramps) * (2 * np.pi * sigma**2))

    def _area(self, sigma: float, axes: list[NDArray[np.float64]]) -> NDArray[np.float64]:
        profiles = []
        for axis, length in zip(axes, self.flat.image.shape, strict=True):
            pixels = np.arange(length)
            profiles.append(np.exp(-((axis[:, None] - pixels) ** 2) / (2 * sigma**2)).sum(1))
        return np.asarray(np.outer(*profiles))


def match_origin(
    nodes: Nodes, amplitude: NDArray[np.complex128], cell: NDArray[np.float64]
) -> tuple[NDArray[np.float64], float]:
    """Find the origin of the prior that agrees best with measured node amplitudes.

    Parameters
    ----------
    nodes : Nodes
        With the structure factors of the template.
    amplitude : (n,) complex array
        Measured at the nodes.
    cell : (2, 2) array
        Cell of the prior, to scale the search grid.

    Returns
    -------
    fraction : (2,) array
        Origin in fractions of the cell vectors.
    value : float
        Sum over the nodes of Re(conj(factor) amplitude) at the origin.
    """
    product = np.conj(nodes.factor) * amplitude
    count = [int(np.clip(np.ceil(np.linalg.norm(v) / 0.2), 16, 96)) for v in cell]
    spectrum = np.zeros(count, dtype=complex)
    np.add.at(spectrum, (nodes.hk[:, 0] % count[0], nodes.hk[:, 1] % count[1]), product)
    value = fft.ifft2(spectrum).real * (count[0] * count[1])
    best = np.array(np.unravel_index(int(value.argmax()), value.shape)) / count

    def cost(fraction: NDArray[np.float64]) -> float:
        return -float((product * np.exp(2j * np.pi * (nodes.hk @ fraction))).real.sum())

    size = float(np.abs(product).sum()) + 1e-30
    fraction = best
    turn = 2 * np.pi * nodes.hk
    for _ in range(6):  # Newton, kept where it climbs
        turned = product * np.exp(1j * (turn @ fraction))
        slope = -turn.T @ turned.imag
        curvature = np.einsum("n,na,nb->ab", np.abs(turned), turn, turn) + 1e-9 * size * np.eye(2)
        move = np.linalg.solve(curvature, slope)
        if cost(fraction + move) < cost(fraction):
            fraction = fraction + move
    return np.asarray(fraction) % 1.0, -cost(fraction)
