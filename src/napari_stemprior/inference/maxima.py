"""The maxima of a map, and where exactly they lie."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_stemprior.inference.tiles import Answer

Floats = NDArray[np.float64]

#: Peaks lower than this are not looked at.
_FLOOR = 0.1


def is_peak(heat: Floats) -> NDArray[np.bool_]:
    """Tell which pixels of an (H, W) map are the highest around and high enough to be looked at."""
    row, column = np.nonzero(heat >= _FLOOR)
    peak = np.zeros(heat.shape, bool)
    highest = heat[row, column] == highest_around(heat, row, column, 3)
    peak[row[highest], column[highest]] = True
    return peak


def highest_around(
    heat: Floats, row: NDArray[np.int64], column: NDArray[np.int64], size: int
) -> NDArray[np.floating]:
    """Return the highest values in squares around some pixels of an (H, W) map.

    The values of ``scipy.ndimage.maximum_filter`` at these pixels; where they are few, in a fraction of its
    time.

    Parameters
    ----------
    heat : (H, W) array
    row, column : (N,) array of int
    size : int
        Pixels on a side of the squares, odd.
    """
    reach = size // 2
    width = heat.shape[1] + 2 * reach
    flat = np.pad(heat, reach, mode="edge").ravel()
    corner = row * width + column
    highest = np.asarray(flat[corner])
    for down in range(size):
        for across in range(size):
            np.maximum(highest, flat[corner + (down * width + across)], out=highest)
    return highest


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
