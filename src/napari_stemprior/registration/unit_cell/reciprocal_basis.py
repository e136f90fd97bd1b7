"""The reciprocal lattice of an image: two vectors that index the peaks of its spectrum.

No structure is asked. A pair of peaks, or of their sums and differences, is the better a basis the more of
the other peaks it indexes, and the larger it is: a fine enough lattice indexes everything. Where strain or
several grains blur the spectrum of the whole, that of a window is taken.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from napari_stemprior.registration.fourier.features import FourierFeatures
from napari_stemprior.registration.fourier.peak_search import PEAK_RATIO, SpectralPeaks, find_peaks
from napari_stemprior.registration.fourier.power_spectrum import PowerSpectrum, power_spectrum
from napari_stemprior.structure.periodic import image_distance

Floats = NDArray[np.float64]

#: How far from a point of the lattice a peak may lie, over the length in which the spectrum is coherent.
_APART = 1.3
#: The strongest peaks that may be a basis vector, and those whose sums and differences may.
_PEAKS, _SUMS = 14, 8
#: 1/Å: a basis vector is longer than this: a cell of 25 Å and more would need many cells to be sure of.
_SHORTEST = 0.04
#: Part of the peaks' amplitude over noise that a basis indexes at least.
_EXPLAINED = 0.9
#: The most of the reciprocal plane that may be near a point of the lattice: then a stray peak is indexed as
#: often by chance.
_CHANCE = 0.35
#: Natural logarithm of the odds against all indexed peaks but the two of the basis being there by chance.
_ODDS = 3.0
#: Unit cells that the image must show.
_CELLS = 12.0
#: A basis of the whole image that is worth more than this needs no window beside it.
_CLEAR = 0.9
#: Å on a side of the windows, the most along an axis, and how many bases of them are given.
_WINDOW, _ALONG, _MOST_WINDOWS = 60.0, 5, 3


@dataclass(frozen=True, eq=False)
class ReciprocalBasis:
    """Two vectors that index the peaks of a spectrum.

    Parameters
    ----------
    vectors : (2, 2) array
        Rows are wave vectors (y, x) in cycles per Å, the shortest that span the lattice.
    explained : float
        Part of the amplitude of the peaks that they index.
    chance : float
        Part of the peaks that they would index if these lay anywhere.
    spectrum : PowerSpectrum
        Of the image or of a window.
    centre : (2,) array or None
        Middle of the window in Å (y, x); None of the whole image.
    """

    vectors: Floats
    explained: float
    chance: float
    spectrum: PowerSpectrum
    centre: Floats | None = None

    @property
    def value(self) -> float:
        """What it explains better than chance, up to 1."""
        return self.explained - self.chance

    @property
    def cell(self) -> Floats:
        """(2, 2) right-handed cell in Å; rows are the shortest vectors (x, y)."""
        return shortest_cell(np.asarray(np.linalg.inv(self.vectors).T[:, ::-1], np.float64))


def find_bases(features: FourierFeatures) -> list[ReciprocalBasis]:
    """Find reciprocal lattices that an image may have, the likeliest first; none where it shows no order."""
    whole = best_basis(features.peaks, features.whole)
    if whole is not None and whole.value > _CLEAR and _is_resolved(whole, features.resolution):
        return [whole]
    parts = [
        replace(found, centre=centre)
        for spectrum, centre in _windows(features)
        if (found := best_basis(find_peaks(spectrum), spectrum)) is not None
    ]
    parts.sort(key=lambda basis: -basis.value)
    known = [] if whole is None else [whole]
    likely = sorted(known + parts[:_MOST_WINDOWS], key=lambda basis: -basis.value)
    return [basis for basis in likely if _is_resolved(basis, features.resolution)]


def basis_through(three: Floats, spectrum: PowerSpectrum) -> ReciprocalBasis:
    """Return the basis of three wave vectors of which the third is the sum of the others.

    For an image that has too few peaks for `best_basis`; it indexes these and no others are asked.

    Parameters
    ----------
    three : (3, 2) array
        (y, x) in cycles per Å, to the next point of a spectrum.
    spectrum : PowerSpectrum
    """
    sums = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    pair = np.linalg.lstsq(sums, _sharpened(three, spectrum), rcond=None)[0]
    return ReciprocalBasis(_reduced(pair[None])[0], 1.0, 0.0, spectrum)


def _is_resolved(basis: ReciprocalBasis, resolution: float) -> bool:
    """Tell whether both vectors are within the resolution (Å); with a wrong pixel size they may not be."""
    return bool((np.linalg.norm(basis.vectors, axis=1) <= 1 / resolution).all())


def best_basis(peaks: SpectralPeaks, spectrum: PowerSpectrum) -> ReciprocalBasis | None:
    """Return the basis that indexes the peaks of a spectrum best, where one does beyond doubt.

    Parameters
    ----------
    peaks : SpectralPeaks
        Of the spectrum.
    spectrum : PowerSpectrum
    """
    if len(peaks.k) < 3:
        return None
    k, weight, apart = (
        _sharpened(peaks.k, spectrum),
        peaks.strength - np.sqrt(PEAK_RATIO),
        _APART / peaks.length,
    )
    pairs = _pairs(k)
    area = np.abs(np.linalg.det(pairs))
    chance = np.pi * apart**2 / np.maximum(area, 1e-12)
    fine = (chance < _CHANCE) & (peaks.length**2 * area > _CELLS)
    pairs, chance = pairs[fine], chance[fine]
    if not len(pairs):
        return None
    on = np.array([image_distance(k @ np.linalg.inv(pair), pair) < apart for pair in pairs])
    counted = np.array([~peaks.from_scan(mine) for mine in on])  # jitter and row offsets speak for nothing
    explained = (on * weight).sum(1) / np.maximum((counted * weight).sum(1), 1e-12)
    sure = (explained >= _EXPLAINED) & ((on.sum(1) - 2) * -np.log(chance) > _ODDS)
    if not sure.any():
        return None
    best = int(np.argmax(np.where(sure, explained - chance, -np.inf)))
    return ReciprocalBasis(
        _fitted(pairs[best], k, weight, apart), float(explained[best]), float(chance[best]), spectrum
    )


def shortest_cell(cell: Floats) -> Floats:
    """Return the shortest right-handed basis of a plane lattice; rows are (x, y)."""
    (found,) = _reduced(cell[None])
    return np.asarray(found if np.linalg.det(found) > 0 else found[::-1], np.float64)


def _pairs(k: Floats) -> Floats:
    """Return the (P, 2, 2) reduced bases that peaks, and sums and differences of the strongest, span."""
    strongest = k[:_SUMS]
    sums = [a + sign * b for a, b in combinations(strongest, 2) for sign in (1, -1)]
    vectors = np.array([*k[:_PEAKS], *sums])
    vectors = vectors[np.linalg.norm(vectors, axis=1) > _SHORTEST]
    first, second = np.triu_indices(len(vectors), 1)
    pairs = np.stack([vectors[first], vectors[second]], axis=1)
    return _reduced(pairs[np.abs(np.linalg.det(pairs)) > _SHORTEST**2 / 2])


def _reduced(pairs: Floats) -> Floats:
    """Return the shortest bases of (P, 2, 2) plane lattices (Gauss)."""
    pairs = np.array(pairs, float)
    for _ in range(20):  # each round shortens the longer vector by multiples of the other
        longer = (pairs[:, 0] ** 2).sum(1) > (pairs[:, 1] ** 2).sum(1)
        pairs = np.where(longer[:, None, None], pairs[:, ::-1], pairs)
        steps = np.round((pairs[:, 0] * pairs[:, 1]).sum(1) / (pairs[:, 0] ** 2).sum(1))
        if not steps.any():
            break
        pairs[:, 1] = pairs[:, 1] - steps[:, None] * pairs[:, 0]
    return pairs


def _sharpened(k: Floats, spectrum: PowerSpectrum) -> Floats:
    """Move (n, 2) peaks of a spectrum to the tops of parabolas through the logarithm of the power there."""
    middle, last = spectrum.ratio.shape[0] // 2, spectrum.ratio.shape[0] - 1
    place = np.clip(np.round(k / spectrum.step).astype(int) + middle, 1, last - 1)
    moved = np.array(k, float)
    for axis in (0, 1):
        step = np.eye(2, dtype=int)[axis]
        low, top, high = (np.log(spectrum.ratio[tuple((place + n * step).T)] + 1e-9) for n in (-1, 0, 1))
        bend = low - 2 * top + high
        shift = np.where(bend < 0, (low - high) / np.where(bend < 0, 2 * bend, 1.0), 0.0)
        moved[:, axis] += np.clip(shift, -0.5, 0.5) * spectrum.step
    return moved


def _fitted(basis: Floats, k: Floats, weight: Floats, apart: float) -> Floats:
    """Fit a basis to all the peaks that it indexes; it stays where these lie on one line."""
    for _ in range(3):
        index = k @ np.linalg.inv(basis)
        on = image_distance(index, basis) < apart
        root = np.sqrt(weight[on] + 0.1)[:, None]
        fitted, _, rank, _ = np.linalg.lstsq(np.round(index[on]) * root, k[on] * root, rcond=None)
        if rank < 2 or abs(np.linalg.det(fitted)) < 0.5 * abs(np.linalg.det(basis)):
            break
        basis = np.asarray(fitted, float)
    return basis


def _windows(features: FourierFeatures) -> Iterator[tuple[PowerSpectrum, Floats]]:
    """Yield the spectra of overlapping windows and their middles in Å (y, x)."""
    image = features.normalized
    shape = image.image.shape
    side = min(round(_WINDOW / image.pixel_size), round(min(shape) / 1.5))
    counts = [min(int(np.ceil(2 * (n - side) / side)) + 1, _ALONG) for n in shape]
    starts = [
        np.linspace(0, n - side, count).round().astype(int) for n, count in zip(shape, counts, strict=True)
    ]
    for y in starts[0]:
        for x in starts[1]:
            part = (slice(y, y + side), slice(x, x + side))
            weight = None if image.weight is None else image.weight[part]
            window = replace(image, image=image.image[part], weight=weight)
            yield (
                power_spectrum(window, features.resolution),
                (np.array([y, x]) + side / 2) * image.pixel_size,
            )
