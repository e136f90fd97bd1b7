"""Whether a prior has the cell and the structure factors of a lattice that was seen in an image.

The mean cell holds the amplitudes of all reflections with their phases, so a crystal is told as it is in
crystallography: by its cell first, and among those that share it by the correlation of structure factors,
the origin free. It takes milliseconds a prior, where laying it on the image takes a good part of a second.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_stemprior.registration.fourier.normalized_image import BACKGROUND_WIDTH
from napari_stemprior.registration.fourier.reflections import EXPONENTS, column_weights, reflections_of
from napari_stemprior.registration.unit_cell.mean_cell import SeenLattice
from napari_stemprior.registration.unit_cell.reciprocal_basis import shortest_cell
from napari_stemprior.registration.unit_cell.sublattices import Integers, hermite_normal_form
from napari_stemprior.structure import StructurePrior

Floats = NDArray[np.float64]

#: Times that the cell of a prior may hold the cell that was seen: its faint reflections may be hidden.
MOST_CELLS = 9
#: How far apart, as natural logarithm, the stretches along two axes may be: drift of the scan, and strain.
_SHEAR = 0.08
#: Standard deviations in Å of a column's image that are tried, the second and the second of `EXPONENTS` for
#: every orientation, the others for the best one.
_WIDTHS = (0.35, 0.45, 0.6)
_USUAL = 1
#: Å between the origins that are tried, and the fewest along an axis.
_ORIGINS, _FEWEST = 0.25, 32


@dataclass(frozen=True, eq=False)
class StructureMatch:
    """A prior on a lattice that was seen.

    Parameters
    ----------
    prior : StructurePrior
    linear : (2, 2) array
        From (x, y) in Å of the prior to (y, x) in Å of the image.
    likeness : float
        Correlation of the structure factors with the amplitudes seen, at most 1.
    cell : (2, 2) array
        The cell that was seen, or a larger one of it, as large as the prior's; rows are the vectors (x, y)
        in Å as they were found.
    fractional : (N, 2) array
        Columns of the prior in that cell, where its reflections have the phases seen.
    """

    prior: StructurePrior
    linear: Floats
    likeness: float
    cell: Floats
    fractional: Floats

    @property
    def scale(self) -> float:
        """How much larger than the prior the lattice looks: pixels are as much smaller than stated."""
        return float(np.sqrt(abs(np.linalg.det(self.linear))))


class SeenAmplitudes:
    """The amplitudes of a lattice that was seen, and of larger cells of it, each measured once.

    Parameters
    ----------
    seen : SeenLattice
    """

    def __init__(self, seen: SeenLattice) -> None:
        self.seen = seen
        self._known: dict[tuple[int, ...], tuple[Integers, NDArray[np.complex128], Floats, float]] = {}

    def of(self, sublattice: Integers) -> tuple[Integers, NDArray[np.complex128], Floats, float]:
        """Measure a larger cell.

        Parameters
        ----------
        sublattice : (2, 2) array of int
            Hermite normal form: its vectors in those of the cell.

        Returns
        -------
        hk : (n, 2) array of int
            Indices in the larger cell.
        amplitude : (n,) complex array
        length2 : (n,) array
            Squared length of the wave vectors in 1/Å².
        norm : float
            Root of the power above noise.
        """
        key = tuple(sublattice.ravel().tolist())
        if key not in self._known:
            hk, g = reflections_of(sublattice @ self.seen.cell, self.seen.features.resolution)
            amplitude, variance = self.seen.amplitudes(g)
            power = float((np.abs(amplitude) ** 2 - variance).sum())
            floor = float(np.sqrt((variance**2).sum()))
            norm = float(np.sqrt(max(power, floor, 1e-30)))
            self._known[key] = hk, amplitude, np.asarray((g**2).sum(axis=1)), norm
        return self._known[key]


def match_structure(
    amplitudes: SeenAmplitudes, prior: StructurePrior, low: float, high: float, most: int = MOST_CELLS
) -> StructureMatch | None:
    """Match a prior to a lattice; None where no cell of the lattice is like its cell.

    Parameters
    ----------
    amplitudes : SeenAmplitudes
    prior : StructurePrior
    low, high : float
        Scales that are allowed, see `StructureMatch.scale`.
    most : int
        Times that its cell may hold the cell that was seen.

    Returns
    -------
    StructureMatch or None
        The best of all orientations.
    """
    best: tuple[float, Integers] | None = None
    for matrix in _orientations(amplitudes.seen.cell, prior, low, high, most):
        likeness, _ = _likeness(amplitudes, prior, matrix, (EXPONENTS[_USUAL],), (_WIDTHS[_USUAL],))
        if best is None or likeness > best[0]:
            best = likeness, matrix
    if best is None:
        return None
    matrix = best[1]
    likeness, origin = _likeness(amplitudes, prior, matrix, EXPONENTS, _WIDTHS)
    change = (np.linalg.inv(prior.cell) @ matrix @ amplitudes.seen.cell).T
    linear = np.asarray(amplitudes.seen.phases.linear @ change)
    sublattice = hermite_normal_form(matrix)
    fractional = (prior.fractional @ matrix @ np.linalg.inv(sublattice) + origin) % 1.0
    return StructureMatch(prior, linear, likeness, sublattice @ amplitudes.seen.cell, fractional)


def _orientations(
    cell: Floats, prior: StructurePrior, low: float, high: float, most: int
) -> Iterator[Integers]:
    """Yield the (2, 2) integer matrices that carry a cell to one like that of a prior."""
    own = shortest_cell(prior.cell)
    to_prior = np.round(prior.cell @ np.linalg.inv(own)).astype(np.int64)
    area, areas = abs(float(np.linalg.det(cell))), abs(float(np.linalg.det(own)))
    height = area / float(np.linalg.norm(cell, axis=1).max())
    for times in range(1, most + 1):
        scale = float(np.sqrt(times * area / areas))
        if not low <= scale <= high:
            continue
        reach = int(np.ceil(scale * 1.1 * float(np.linalg.norm(own, axis=1).max()) / height)) + 1
        axis = np.arange(-reach, reach + 1)
        index = np.stack(np.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 2)
        length = np.linalg.norm(index @ cell, axis=1)
        first, second = (
            index[np.abs(np.log(np.maximum(length, 1e-9) / (scale * wanted))) < _SHEAR]
            for wanted in np.linalg.norm(own, axis=1)
        )
        pairs = np.stack(np.broadcast_arrays(first[:, None], second[None]), axis=2).reshape(-1, 2, 2)
        pairs = pairs[np.abs(np.round(np.linalg.det(pairs)).astype(int)) == times]
        if not len(pairs):
            continue
        stretch = np.linalg.svd(np.linalg.inv(own) @ pairs @ cell, compute_uv=False)
        for matrix in pairs[np.log(stretch[:, 0] / stretch[:, 1]) < _SHEAR]:
            yield to_prior @ matrix


def _likeness(
    amplitudes: SeenAmplitudes,
    prior: StructurePrior,
    matrix: Integers,
    exponents: tuple[float, ...],
    widths: tuple[float, ...],
) -> tuple[float, Floats]:
    """Correlate a prior with the amplitudes, the origin free; the best of all exponents and widths.

    Returns
    -------
    likeness : float
    origin : (2,) array
        Where the origin of the prior lies, in the Hermite normal form of the cell.
    """
    sublattice = hermite_normal_form(matrix)
    hk, amplitude, length2, norm = amplitudes.of(sublattice)
    index = np.round(hk @ (matrix @ np.linalg.inv(sublattice)).T)
    phase = np.exp(-2j * np.pi * (index @ prior.fractional.T))
    weights = np.stack([column_weights(prior, exponent) for exponent in exponents])
    cell = matrix @ amplitudes.seen.cell
    scale2 = abs(float(np.linalg.det(cell) / np.linalg.det(prior.cell)))  # the widths are Å of the prior
    shape = np.stack([np.exp(-2 * np.pi**2 * width**2 * scale2 * length2) for width in widths])
    shape = shape * (1 - np.exp(-2 * np.pi**2 * BACKGROUND_WIDTH**2 * length2))
    factor = ((weights @ phase.T)[:, None] * shape).reshape(-1, len(hk))
    sides = np.linalg.norm(sublattice @ amplitudes.seen.cell, axis=1)
    count = np.maximum(np.ceil(sides / _ORIGINS), _FEWEST).astype(int)
    count = np.maximum(count, 2 * np.abs(hk).max(axis=0) + 1)
    spectrum = np.zeros((len(factor), *count), complex)
    spectrum[:, hk[:, 0] % count[0], hk[:, 1] % count[1]] = amplitude * factor.conj()
    overlap = np.fft.ifft2(spectrum).real * float(count.prod())
    likeness = overlap.max(axis=(1, 2)) / (norm * np.linalg.norm(factor, axis=1) + 1e-30)
    best = int(np.argmax(likeness))
    place = np.unravel_index(int(np.argmax(overlap[best])), tuple(count))
    return float(likeness[best]), np.array(place) / count
