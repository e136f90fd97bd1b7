"""Which part of a micrograph to correct next: the one with the most doubt for its size."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

#: Steps of the search along the side of the region.
_STEPS = 8


@dataclass(frozen=True)
class Region:
    """A rectangle of pixels.

    Parameters
    ----------
    top, left, bottom, right : int
        First and last rows and columns, the last ones included.
    doubt : float
        Doubt per nm²: how many wrong atoms are expected there.
    """

    top: int
    left: int
    bottom: int
    right: int
    doubt: float


def doubt_of(confidence: ArrayLike, evidence: ArrayLike, settled: ArrayLike) -> Floats:
    """(N,) how likely each atom is wrong.

    Parameters
    ----------
    confidence, evidence : (N,) array-like
        Of the network; unknown confidence is none, unknown evidence is full.
    settled : (N,) array-like of bool
        Judged or made by a person: no doubt is left.
    """
    sure = np.nan_to_num(np.asarray(confidence, float), nan=0.0)
    seen = np.nan_to_num(np.asarray(evidence, float), nan=1.0)
    # an atom that only the prior speaks for is half doubted even if the network is sure
    doubt = 1 - np.clip(sure, 0, 1) * (0.5 + 0.5 * np.clip(seen, 0, 1))
    return np.where(np.asarray(settled, bool), 0.0, doubt)


def most_doubtful(
    yx: ArrayLike,
    doubt: ArrayLike,
    shape: tuple[int, int],
    pixel_size: float,
    side: int = 256,
    reviewed: NDArray[np.bool_] | None = None,
) -> Region | None:
    """Find the square with the most doubt per nm².

    Parameters
    ----------
    yx : (N, 2) array-like
        Atoms and empty lattice sites, pixels.
    doubt : (N,) array-like
        Of each, 0 to 1.
    shape : (int, int)
        Rows and columns of the image.
    pixel_size : float
        Å/px.
    side : int
        Pixels; a smaller image is taken whole.
    reviewed : (H, W) array of bool, optional
        What was corrected before: doubt in there does not count, and a square mostly inside is not proposed.

    Returns
    -------
    Region or None
        None where there is no doubt.
    """
    places, weight = np.asarray(yx, float).reshape(-1, 2), np.asarray(doubt, float).ravel()
    height, width = min(side, shape[0]), min(side, shape[1])
    step = max(1, side // _STEPS)
    fresh = np.ones(shape) if reviewed is None else (~np.asarray(reviewed, bool)).astype(float)
    pixel = np.floor(places + 0.5).astype(int)
    on = ((pixel >= 0) & (pixel < shape)).all(axis=1)
    pixel, weight = pixel[on], weight[on]
    weight = weight * fresh[pixel[:, 0], pixel[:, 1]]
    amount = np.zeros(shape)
    np.add.at(amount, (pixel[:, 0], pixel[:, 1]), weight)
    rows, columns = _starts(shape[0], height, step), _starts(shape[1], width, step)
    sums = _windows(amount, rows, columns, height, width)
    free = _windows(fresh, rows, columns, height, width) / (height * width)
    sums[free < 0.5] = 0.0
    best = np.unravel_index(int(np.argmax(sums)), sums.shape)
    if sums[best] <= 1e-9:
        return None
    top, left = int(rows[best[0]]), int(columns[best[1]])
    area = height * width * (pixel_size / 10) ** 2
    return Region(top, left, top + height - 1, left + width - 1, float(sums[best] / area))


def _starts(size: int, window: int, step: int) -> NDArray[np.int64]:
    return np.unique(np.append(np.arange(0, size - window + 1, step), size - window))


def _windows(
    values: Floats, rows: NDArray[np.int64], columns: NDArray[np.int64], height: int, width: int
) -> Floats:
    """Sum over every window, by the cumulative sums along both axes."""
    total = np.pad(values, ((1, 0), (1, 0))).cumsum(axis=0).cumsum(axis=1)
    low, high = total[rows], total[rows + height]
    across = high - low
    return np.asarray(across[:, columns + width] - across[:, columns])
