"""A reviewed region as rectangles, so that it can be drawn again and changed."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def rectangles(mask: ArrayLike) -> NDArray[np.int64]:
    """Cover a mask by rectangles that do not overlap.

    A mask that was drawn as rectangles gives few; any other shape gives one for each run of rows that are
    alike.

    Parameters
    ----------
    mask : (H, W) array of bool

    Returns
    -------
    (N, 4) array of int
        First row, first column, last row, last column; the last ones lie inside.
    """
    inside = np.asarray(mask, bool)
    done: list[tuple[int, int, int, int]] = []
    growing: dict[tuple[int, int], int] = {}  # columns of a rectangle that reaches the row above, first row
    for row in range(len(inside) + 1):
        runs = _runs(inside[row]) if row < len(inside) else []
        for (left, right), top in list(growing.items()):
            if (left, right) not in runs:
                done.append((top, left, row - 1, right))
                del growing[left, right]
        for run in runs:
            growing.setdefault(run, row)
    return np.array(sorted(done), dtype=np.int64).reshape(-1, 4)


def _runs(line: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return first and last index of every run of True."""
    steps = np.diff(np.concatenate([[0], line.astype(np.int8), [0]]))
    return list(
        zip(np.flatnonzero(steps == 1).tolist(), (np.flatnonzero(steps == -1) - 1).tolist(), strict=True)
    )
