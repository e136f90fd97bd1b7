"""The points of a lattice with a basis that lie in a rectangle."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

#: Cells that rounding must not lose, in parts of a cell.
_ROUNDING = 1e-6


def lattice_points(
    fractional: NDArray[np.float64],
    cell: NDArray[np.float64],
    affine: NDArray[np.float64],
    origin: NDArray[np.float64],
    low: ArrayLike,
    high: ArrayLike,
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """List every point of a lattice that falls into a rectangle of an image, cell by cell.

    Parameters
    ----------
    fractional : (N, 2) array
        The points of one cell, in units of the cell vectors.
    cell : (2, 2) array
        Rows are the cell vectors (x, y) in Å.
    affine : (2, 2) array
        Carries (x, y) in Å to pixels (y, x).
    origin : (2,) array
        Pixel (y, x) of the lattice's origin.
    low, high : (2,) array-like
        First pixel (y, x) of the rectangle, and the first beyond it.

    Returns
    -------
    positions : (M, 2) array
        Pixels (y, x).
    index : (M,) array of int
        Which of the N points of the cell.
    """
    low, high = np.asarray(low, dtype=np.float64), np.asarray(high, dtype=np.float64)
    corners = np.array([(low[0], low[1]), (low[0], high[1]), (high[0], low[1]), (high[0], high[1])])
    cells = (corners - origin) @ np.linalg.inv(affine).T @ np.linalg.inv(cell)
    first = np.floor(cells.min(axis=0) - fractional.max(axis=0) - _ROUNDING).astype(int)
    last = np.ceil(cells.max(axis=0) - fractional.min(axis=0) + _ROUNDING).astype(int)
    grid = np.stack(
        np.meshgrid(*(np.arange(a, b + 1) for a, b in zip(first, last, strict=True)), indexing="ij"), -1
    ).reshape(-1, 1, 2)
    places = (grid + fractional[None]).reshape(-1, 2) @ cell
    yx = places @ affine.T + origin
    index = np.tile(np.arange(len(fractional)), len(grid))
    inside = ((yx >= low) & (yx < high)).all(axis=1)
    return yx[inside], index[inside]
