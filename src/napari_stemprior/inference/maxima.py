"""The maxima of a map, and where exactly they lie."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter

from napari_stemprior.inference.tiles import Answer

Floats = NDArray[np.float64]

#: Peaks lower than this are not looked at.
_FLOOR = 0.1


def is_peak(heat: Floats) -> NDArray[np.bool_]:
    """Tell which pixels of an (H, W) map are the highest around and high enough to be looked at."""
    return np.asarray((heat == maximum_filter(heat, 3)) & (heat >= _FLOOR))


def maxima(
    probability: Floats, answer: Answer, peak: NDArray[np.bool_] | None = None
) -> tuple[NDArray[np.int64], Floats, Floats]:
    """Find the maxima of one map.

    Parameters
    ----------
    probability : (H, W) array
    answer : Answer
        For the offsets.
    peak : (H, W) array of bool, optional
        The maxima, if they are known; see `is_peak`.

    Returns
    -------
    pixel : (N, 2) array of int
        Where the maxima are.
    yx : (N, 2) array
        Canonical pixels, refined by the offsets.
    height : (N,) array
        Of the map.
    """
    peak = is_peak(probability) if peak is None else peak
    pixel = np.argwhere(peak)
    height = probability[peak].astype(float)
    if not len(pixel):
        return pixel, np.zeros((0, 2)), np.zeros(0)
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
    return pixel, yx / total[:, None], height
