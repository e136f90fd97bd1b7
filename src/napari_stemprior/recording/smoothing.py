"""Gaussian smoothing of large images as products of matrices."""

from __future__ import annotations

from collections.abc import Generator
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from napari_stemprior.progress import Progress, drain
from napari_stemprior.recording.stage import PREPARING

#: Pixels that one product smooths along an axis.
_BLOCK = 64
#: Standard deviations at which the Gaussian ends, as in ``scipy.ndimage.gaussian_filter``.
_ENDS = 4.0
#: Pixels of an image that is smoothed without telling progress.
_AT_ONCE = 2**20


def gaussian_smoothed(image: NDArray[np.floating], sigma: float, every: int = 1) -> NDArray[np.float32]:
    """Return an image smoothed by a Gaussian, mirrored at its edges.

    The same as ``scipy.ndimage.gaussian_filter`` to the rounding of float32, for wide Gaussians in a fraction
    of its time: each block of rows and of columns is one product with a banded matrix.

    Parameters
    ----------
    image : (H, W) array
        Computed in float32.
    sigma : float
        Pixels.
    every : int
        Return the first of every so many rows and columns.
    """
    return drain(gaussian_smoothed_steps(image, sigma, every))


def gaussian_smoothed_steps(
    image: NDArray[np.floating], sigma: float, every: int = 1
) -> Generator[Progress, None, NDArray[np.float32]]:
    """Return an image smoothed by a Gaussian, step by step; see `gaussian_smoothed`."""
    data = np.asarray(image, np.float32)
    height, width = (-(-size // every) for size in data.shape)
    down = np.empty((height, data.shape[1]), np.float32)
    for first, last, low, high, matrix in smoothing_blocks(data.shape[0], sigma):
        kept = slice(-first % every, None, every)
        np.matmul(matrix[kept], data[low:high], out=down[-(-first // every) : -(-last // every)])
        if data.size > _AT_ONCE:
            yield PREPARING
    smooth = np.empty((height, width), np.float32)
    for first, last, low, high, matrix in smoothing_blocks(data.shape[1], sigma):
        kept = slice(-first % every, None, every)
        smooth[:, -(-first // every) : -(-last // every)] = down[:, low:high] @ matrix[kept].T
        if data.size > _AT_ONCE:
            yield PREPARING
    return smooth


def smoothing_blocks(size: int, sigma: float) -> list[tuple[int, int, int, int, NDArray[np.float32]]]:
    """Return which of `size` pixels each product makes, first and last, from which, and its matrix."""
    radius, blocks = int(_ENDS * sigma + 0.5), []
    for first in range(0, size, _BLOCK):
        last = min(first + _BLOCK, size)
        low, high = max(first - radius, 0), min(last + radius, size)
        if first >= radius and last + radius <= size:
            matrix = _matrix(last - first, radius, radius, last - first + 2 * radius, None, sigma)
        elif radius <= size // 2:
            matrix = _matrix(last - first, first - low, radius, high - low, (first, size), sigma)
        else:  # mirrored more than once
            low, high = 0, size
            matrix = _matrix(last - first, first, radius, size, (first, size), sigma)
        blocks.append((first, last, low, high, matrix))
    return blocks


@lru_cache(maxsize=64)
def _matrix(
    rows: int, start: int, radius: int, columns: int, edge: tuple[int, int] | None, sigma: float
) -> NDArray[np.float32]:
    """Return the (rows, columns) matrix whose row r smooths around column ``start + r``.

    Parameters
    ----------
    rows, start, radius, columns : int
    edge : (int, int), optional
        Of a block at an edge: the pixel that its first row makes, and the pixels along the axis.
    sigma : float
    """
    step = np.arange(-radius, radius + 1)
    weight = np.exp(-(step**2) / (2 * sigma**2))
    weight /= weight.sum()
    row = np.repeat(np.arange(rows), len(step))
    column = np.add.outer(start + np.arange(rows), step).ravel()
    if edge is not None:
        first, size = edge
        pixel = np.mod(column - start + first, 2 * size)  # d c b a | a b c d | d c b a
        column = np.minimum(pixel, 2 * size - 1 - pixel) - (first - start)
    matrix = np.zeros((rows, columns))
    np.add.at(matrix, (row, column), np.tile(weight, rows))
    return matrix.astype(np.float32)
