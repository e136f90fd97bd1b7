"""An image cut into blocks that overlap, where every place belongs to exactly one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Block:
    """A part of an image.

    Parameters
    ----------
    rows, columns : slice
        Its pixels, with those that overlap the neighbours.
    own, near : (N,), (K,) array of int
        Which of the places belong to it, and which lie on any of its pixels; the former are among the latter.
    """

    rows: slice
    columns: slice
    own: NDArray[np.int64]
    near: NDArray[np.int64]

    @property
    def corner(self) -> Floats:
        """(2,) the pixel (y, x) at which it begins."""
        return np.array([self.rows.start, self.columns.start], float)

    @property
    def mine(self) -> NDArray[np.bool_]:
        """(K,) which of the places near belong to it."""
        return np.isin(self.near, self.own, assume_unique=True)


def edges(size: int, side: int) -> NDArray[np.int64]:
    """Return where blocks of at most `side` pixels begin and end along an axis: they are of like size."""
    count = max(1, -(-size // side))
    return np.round(np.linspace(0, size, count + 1)).astype(np.int64)


def block_of(places: Floats, cuts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the block along one axis that each place belongs to.

    A place belongs where its pixel does, halves rounded up: also one outside the image, which belongs to the
    first or the last block.

    Parameters
    ----------
    places : (N,) array
        Pixels along the axis.
    cuts : (B + 1,) array of int
        See `edges`.
    """
    pixel = np.floor(places + 0.5)
    return np.clip(np.searchsorted(cuts, pixel, side="right") - 1, 0, len(cuts) - 2)


def blocks(shape: tuple[int, int], side: int, margin: int, yx: Floats) -> Iterator[Block]:
    """Cut an image into blocks and hand each the places on it.

    Parameters
    ----------
    shape : (int, int)
        Rows and columns of the image.
    side : int
        Pixels along a side of a block at most, without the margin.
    margin : int
        Pixels by which a block reaches into its neighbours.
    yx : (N, 2) array
        Places in pixels. Each belongs to exactly one block.
    """
    down, across = (edges(n, side) for n in shape)
    row, column = block_of(yx[:, 0], down), block_of(yx[:, 1], across)
    order = np.argsort(yx[:, 0], kind="stable")
    height = yx[order, 0]
    for i in range(len(down) - 1):
        rows = slice(max(0, int(down[i]) - margin), min(shape[0], int(down[i + 1]) + margin))
        low = -np.inf if i == 0 else rows.start - 0.5
        high = np.inf if i == len(down) - 2 else rows.stop - 0.5
        some = np.sort(order[np.searchsorted(height, low) : np.searchsorted(height, high)])
        for j in range(len(across) - 1):
            columns = slice(max(0, int(across[j]) - margin), min(shape[1], int(across[j + 1]) + margin))
            x = yx[some, 1]
            here = (j == 0) | (x >= columns.start - 0.5)
            here &= (j == len(across) - 2) | (x < columns.stop - 0.5)
            near = some[here]
            yield Block(rows, columns, near[(row[near] == i) & (column[near] == j)], near)
