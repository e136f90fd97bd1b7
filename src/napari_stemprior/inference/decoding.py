"""From the network's maps to atoms."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates, maximum_filter
from scipy.spatial import cKDTree

from napari_stemprior.inference.tiles import Answer
from napari_stemprior.network.config import CANONICAL_PIXEL_SIZE

Floats = NDArray[np.float64]

#: A column is one from this probability on; below it, it is not reported at all.
THRESHOLD = 0.4
#: Two columns of one layer are never closer than this, Å.
MIN_DISTANCE = 0.55
#: A hidden column this near (Å) to one of the entrance layer is the same column.
MERGE_DISTANCE = 0.4


@dataclass
class Peaks:
    """Columns in canonical pixels.

    Parameters
    ----------
    yx : (N, 2) array
    confidence, evidence : (N,) array
    hidden : (N,) array of bool
    site : (N,) array of int
        Column of the cell that the pixel looks like; -1 where unknown.
    """

    yx: Floats
    confidence: Floats
    evidence: Floats
    hidden: NDArray[np.bool_]
    site: NDArray[np.int64]


def decode(answer: Answer, probability: Floats, evidence: Floats, threshold: float = THRESHOLD) -> Peaks:
    """Find the columns.

    Parameters
    ----------
    answer : Answer
        Offsets and sites come from here.
    probability : (2, H, W) array
        What decides, after mixing with trust.
    evidence : (2, H, W) array
        What the image says without the prior.
    threshold : float
    """
    top = _maxima(probability[0], answer, threshold)
    low = _maxima(probability[1], answer, threshold)
    if len(top[0]) and len(low[0]):
        near, found = cKDTree(top[0]).query(low[0])
        index = np.asarray(found)
        same = near * CANONICAL_PIXEL_SIZE < MERGE_DISTANCE
        # the stronger of two claims to one place stays
        weaker = same & (low[1] > top[1][np.minimum(index, len(top[1]) - 1)])
        drop_top = np.unique(index[weaker])
        low = (low[0][~same | weaker], low[1][~same | weaker])
        top = (np.delete(top[0], drop_top, axis=0), np.delete(top[1], drop_top))
    yx = np.concatenate([top[0], low[0]])
    hidden = np.concatenate([np.zeros(len(top[0]), bool), np.ones(len(low[0]), bool)])
    pixel = np.clip(np.round(yx).astype(int), 0, np.array(probability.shape[1:]) - 1)
    reach = 2 * round(0.3 / CANONICAL_PIXEL_SIZE) + 1
    support = maximum_filter(evidence.max(axis=0), reach)
    return Peaks(
        yx,
        np.concatenate([top[1], low[1]]),
        support[pixel[:, 0], pixel[:, 1]].astype(float),
        hidden,
        answer.site.numpy()[pixel[:, 0], pixel[:, 1]].astype(np.int64),
    )


def _maxima(probability: Floats, answer: Answer, threshold: float) -> tuple[Floats, Floats]:
    """Return positions and probabilities of the maxima of one map, refined by the offsets."""
    peak = (probability == maximum_filter(probability, 3)) & (probability >= threshold)
    pixel = np.argwhere(peak)
    value = probability[peak].astype(float)
    if not len(pixel):
        return np.zeros((0, 2)), np.zeros(0)
    offset = answer.offset.numpy()
    total = np.zeros(len(pixel))
    yx = np.zeros((len(pixel), 2))
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):  # neighbours of the maximum point at the same column: average them
            y = np.clip(pixel[:, 0] + dy, 0, probability.shape[0] - 1)
            x = np.clip(pixel[:, 1] + dx, 0, probability.shape[1] - 1)
            weight = probability[y, x] ** 2
            yx += weight[:, None] * (np.stack([y, x], 1) + np.clip(offset[:, y, x].T, -2.5, 2.5))
            total += weight
    yx /= total[:, None]
    return _spaced(yx, value)


def _spaced(yx: Floats, value: Floats) -> tuple[Floats, Floats]:
    """Of columns that are too close keep the more probable."""
    keep = np.ones(len(yx), bool)
    for a, b in cKDTree(yx).query_pairs(MIN_DISTANCE / CANONICAL_PIXEL_SIZE):
        if keep[a] and keep[b]:
            keep[a if value[a] < value[b] else b] = False
    return yx[keep], value[keep]


def sample(field: Floats, yx: Floats) -> Floats:
    """Sample an (H, W) map at (N, 2) canonical pixels."""
    return np.asarray(map_coordinates(field, yx.T, order=1, mode="nearest"))
