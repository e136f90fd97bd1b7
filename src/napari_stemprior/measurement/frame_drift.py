"""By how far the specimen moved between two frames: what the lattice tells, and its whole cells.

Atoms of one frame lie on those of another for every shift that is the drift plus a vector of the lattice.
Which of them it is, the images tell where anything in them is not periodic (a vacancy, an edge, a change of
contrast), and otherwise the drift before: a specimen moves on about as it did.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter, shift, uniform_filter
from scipy.signal import fftconvolve
from scipy.spatial import cKDTree
from scipy.stats import wilcoxon

from napari_stemprior.atoms import AtomTable
from napari_stemprior.atoms.matching import GATE_FRACTION, median_spacing
from napari_stemprior.atoms.peak_fit import smoothed

Floats = NDArray[np.float64]

#: Shifts that are tried: as far as this from what is expected, in distances between neighbours.
_REACH = 4.0
#: A shift counts if it lays this part of the atoms on each other that the best one does; shifts that exchange
#: the sublattices of a honeycomb lay half of them on each other.
_ALIKE = 0.75
#: Shifts around each guess of which the images are compared.
_COMPARED = 7
#: Side of the blocks over which images are compared, in distances between neighbours, and the probability
#: that the image speaks against the expected shift by chance alone; fewer blocks cannot reach it.
_BLOCK, _CHANCE, _FEWEST = 2.0, 1e-3, 10
#: Smoothing before images are compared, in distances between neighbours: shifts of rough noise would
#: smooth it, each by another amount.
_SMOOTH = 0.15
#: Atoms that must lie on each other.
_LEAST = 6


@dataclass(frozen=True, eq=False)
class Step:
    """A shift between two frames.

    Parameters
    ----------
    shift : (2,) array
        Pixels (y, x): where a place of the first frame lies in the second, minus where it lay.
    share : float
        Part of the atoms, of those that both frames could show, that it lays on each other.
    decided_by : str
        ``"image"`` or ``"continuity"``: what told it from the shifts that differ by vectors of the lattice;
        ``"atoms"`` where there was only one.
    """

    shift: Floats
    share: float
    decided_by: str


def frame_step(
    before: AtomTable,
    now: AtomTable,
    expected: Floats,
    images: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None,
) -> Step | None:
    """Return by how far the specimen moved between two frames.

    Parameters
    ----------
    before, now : AtomTable
        Atoms alone, of one pixel size.
    expected : (2,) array
        Pixels (y, x): the shift between the two frames before these, or 0.
    images : pair of (H, W) arrays, optional
        Of the two frames; without them continuity alone decides.

    Returns
    -------
    Step or None
        None where too few atoms lie on each other.
    """
    spacing = median_spacing(now.yx)
    if spacing is None or len(before) < _LEAST:
        return None
    guesses = [np.asarray(expected, float)]
    if images is not None:
        guesses.append(_correlated(*images))
    found = _candidates(before, now, guesses, spacing)
    if found is None:
        return None
    shifts, shares = found
    nearest = [np.argsort(np.linalg.norm(shifts - guess, axis=1))[:_COMPARED] for guess in guesses]
    likely = int(nearest[0][0])
    compared = np.unique(np.concatenate(nearest))
    if len(compared) == 1 or images is None:
        return Step(shifts[likely], float(shares[likely]), "atoms" if len(shifts) == 1 else "continuity")
    best = _best_by_image(
        shifts[compared], int(np.flatnonzero(compared == likely)[0]), images, (before.yx, now.yx), spacing
    )
    if best is None:
        return Step(shifts[likely], float(shares[likely]), "continuity")
    chosen = int(compared[best])
    return Step(shifts[chosen], float(shares[chosen]), "image")


def _candidates(
    before: AtomTable, now: AtomTable, guesses: list[Floats], spacing: float
) -> tuple[Floats, Floats] | None:
    """Return the (K, 2) shifts that lay atoms on atoms of their kind, and the part of the atoms each does."""
    gate = GATE_FRACTION * spacing
    differences = []
    kinds = [table.rows["element"].astype(str) + table.rows["layer"].astype(str) for table in (before, now)]
    for guess in guesses:
        for kind in sorted(set(kinds[0]) & set(kinds[1])):
            old = before.yx[(kinds[0] == kind).to_numpy()] + guess
            new = now.yx[(kinds[1] == kind).to_numpy()]
            pairs = cKDTree(old).query_ball_tree(cKDTree(new), _REACH * spacing)
            left = np.repeat(np.arange(len(old)), [len(p) for p in pairs])
            right = np.array([i for p in pairs for i in p], int)
            differences.append(new[right] - old[left] + guess)
    every = np.concatenate(differences) if differences else np.empty((0, 2))
    if len(every) < _LEAST:
        return None
    step = gate / 2
    low = every.min(axis=0) - 2 * step
    cells = np.floor((every - low) / step).astype(int)
    counts = np.zeros(cells.max(axis=0) + 3)
    np.add.at(counts, (cells[:, 0], cells[:, 1]), 1)
    summed = uniform_filter(counts, 3, mode="constant") * 9
    peaks = np.argwhere((summed == maximum_filter(summed, 5)) & (summed > 0.3 * summed.max()))
    tree, whole = cKDTree(every), []
    for centre in low + (peaks + 0.5) * step:
        for _ in range(3):
            around = every[tree.query_ball_point(centre, gate)]
            centre = np.median(around, axis=0) if len(around) else centre
        whole.append(centre)
    shifts = np.unique(np.round(whole, 6), axis=0)
    shares = np.array([_share(before.yx, now.yx, kinds, one, gate) for one in shifts])
    good = shares >= _ALIKE * shares.max(initial=0)
    return (shifts[good], shares[good]) if shares.max(initial=0) > 0 else None


def _share(old: Floats, new: Floats, kinds: Sequence[Any], by: Floats, gate: float) -> float:
    """Return the part of the atoms that a shift lays on others, of those that both frames could show."""
    moved = old + by
    shown = ((moved >= new.min(axis=0) - gate) & (moved <= new.max(axis=0) + gate)).all(axis=1)
    if shown.sum() < _LEAST:
        return 0.0
    distance, other = cKDTree(new).query(moved[shown])
    first, second = (np.asarray(one) for one in kinds)
    hit = (distance <= gate) & (first[shown] == second[np.minimum(other, len(new) - 1)])
    return float(hit.mean())


def _correlated(before: NDArray[np.float32], now: NDArray[np.float32]) -> Floats:
    """Return the shift (y, x) in whole pixels at which two images are most alike, a quarter at least."""
    old, new = (image - image.mean() for image in (before, now))
    ones = [np.ones(image.shape, np.float32) for image in (old, new)]
    overlap = fftconvolve(ones[1], ones[0][::-1, ::-1])
    product = fftconvolve(new, old[::-1, ::-1])
    squares = fftconvolve(new**2, ones[0][::-1, ::-1]) * fftconvolve(ones[1], (old**2)[::-1, ::-1])
    score = np.where(
        overlap >= 0.25 * overlap.max(),
        product / np.sqrt(np.maximum(squares, 1e-12 * squares.max())),
        -np.inf,
    )
    place = np.unravel_index(int(score.argmax()), score.shape)
    return np.asarray(np.array(place, float) - (np.array(old.shape) - 1), np.float64)


def _best_by_image(
    shifts: Floats,
    likely: int,
    images: tuple[NDArray[np.float32], NDArray[np.float32]],
    atoms: tuple[Floats, Floats],
    spacing: float,
) -> int | None:
    """Return the shift for which the images speak; None where they do not speak against the likely one.

    Two shifts are compared where both lay the images on each other, each with what atoms there are off it:
    where a frame is strained or turned against the one before, a shift fits one place better than another,
    and that is no reason for it.
    """
    old, new = (_normalised(image, _SMOOTH * spacing) for image in images)
    side = max(2, round(_BLOCK * spacing))
    means, gains = np.full(len(shifts), np.inf), [np.empty(0)] * len(shifts)
    for number, by in enumerate(shifts):
        box = _common(old.shape, new.shape, (by, shifts[likely]))
        if box is None:
            continue
        errors = []
        for one in (by, shifts[likely]):
            exact = one + _off(*atoms, one, box, GATE_FRACTION * spacing)
            errors.append(_block_errors(old, new, exact, box, side))
        known = np.isfinite(errors[0]) & np.isfinite(errors[1])
        if known.sum() >= _FEWEST:
            means[number] = errors[0][known].mean()
        gains[number] = errors[1] - errors[0]
    best = int(means.argmin())
    if best == likely:
        others = [gain for number, gain in enumerate(gains) if number != likely]
        return best if all(_is_certain(-gain) for gain in others) else None
    return best if _is_certain(gains[best]) else None


def _common(old: tuple[int, ...], new: tuple[int, ...], shifts: Sequence[Floats]) -> NDArray[np.int64] | None:
    """Return the rows and columns of the second image (2, 2) that every shift lays the first one on."""
    low = np.ceil(np.max([np.zeros(2), *shifts], axis=0)).astype(np.int64)
    high = np.floor(np.min([np.array(new, float), *(one + old for one in shifts)], axis=0)).astype(np.int64)
    return np.stack([low, high], axis=1) if (high > low).all() else None


def _off(old: Floats, new: Floats, by: Floats, box: NDArray[np.int64], gate: float) -> Floats:
    """Return by how far atoms inside a box lie off a shift, the median."""
    moved = old + by
    inside = moved[((moved >= box[:, 0]) & (moved < box[:, 1])).all(axis=1)]
    if not len(inside):
        return np.zeros(2)
    distance, other = (np.asarray(one) for one in cKDTree(new).query(inside))
    near = distance <= gate
    return np.median(new[other[near]] - inside[near], axis=0) if near.any() else np.zeros(2)


def _is_certain(gain: Floats) -> bool:
    """Tell whether blocks speak for a shift: by Wilcoxon's signed ranks, since few of them say most."""
    gain = gain[np.isfinite(gain)]
    if len(gain) < _FEWEST or not gain.any():
        return False
    return bool(wilcoxon(gain, alternative="greater").pvalue < _CHANCE)


def _normalised(image: NDArray[np.float32], radius: float) -> Floats:
    smooth = np.asarray(smoothed(np.asarray(image, np.float32), radius), np.float64)
    return np.asarray((smooth - smooth.mean()) / max(smooth.std(), 1e-12), np.float64)


def _block_errors(
    old: Floats, new: Floats, by: Floats, box: NDArray[np.int64], side: int
) -> NDArray[np.float64]:
    """Return the mean squared difference of two images in blocks of a box, one shifted; NaN where unknown."""
    moved = shift(old, by, order=3, cval=np.nan, prefilter=True)
    inside = shift(np.ones_like(old), by, order=1, cval=0.0) > 0.999
    (top, bottom), (left, right) = box
    place = (slice(top, bottom), slice(left, right))
    squares = np.where(inside[place], (new[place] - moved[place]) ** 2, np.nan)
    rows, columns = (n // side for n in squares.shape)
    if not rows or not columns:
        return np.empty(0)
    blocks = squares[: rows * side, : columns * side].reshape(rows, side, columns, side)
    return np.asarray(blocks.mean(axis=(1, 3)).ravel())
