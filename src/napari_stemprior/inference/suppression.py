"""Of columns that stand too close together keep the surest."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree


def non_maximum_suppression(
    yx: NDArray[np.float64], confidence: NDArray[np.float64], radius: float
) -> NDArray[np.bool_]:
    """Tell which points stay when each takes away the less sure ones within a radius of it.

    The surest point goes first, then the surest of those that are left, and so on: a point is taken away
    only by one that stays. Of equally sure points the one with the lower y, then the lower x, goes first, so
    the order of the input does not matter.

    Parameters
    ----------
    yx : (N, 2) array
        Points in pixels.
    confidence : (N,) array
        How sure each is.
    radius : float
        Pixels; a point exactly so far away is taken away too.

    Returns
    -------
    (N,) array of bool
    """
    keep = np.ones(len(yx), bool)
    if len(yx) < 2:
        return keep
    turn = np.lexsort((yx[:, 1], yx[:, 0], -confidence))
    # pairs of turns, the earlier first; in their order all that may take a point away has had its turn
    pairs = cKDTree(yx[turn]).query_pairs(radius, output_type="ndarray")
    pairs = pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]
    for first, second in zip(turn[pairs[:, 0]].tolist(), turn[pairs[:, 1]].tolist(), strict=True):
        if keep[first]:
            keep[second] = False
    return keep
