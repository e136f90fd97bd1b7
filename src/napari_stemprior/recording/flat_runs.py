"""Runs of neighbouring pixels of exactly one value, and how long chance makes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Image = NDArray[np.float32]

#: Runs and areas of one value that chance makes in one image of this many are not believed to be made.
CHANCE = 1e-4
#: Neighbouring digits of a compressed picture differ by this much where it shows one value.
JPEG_DIGITS = 4.0
#: Pixels on a side of the squares in which an image is transposed.
_SQUARE = 64


@dataclass(frozen=True, eq=False)
class Runs:
    """Runs along rows.

    Parameters
    ----------
    row, start, length : (N,) array of int
    value : (N,) array of float32
        Of the first pixel.
    """

    row: NDArray[np.intp]
    start: NDArray[np.intp]
    length: NDArray[np.intp]
    value: Image

    @classmethod
    def of(cls, image: Image, valid: Mask, tolerance: float = 0.0) -> Runs:
        """Find all runs of at least two valid pixels of which neighbours are equal within a tolerance."""
        height, width = image.shape
        same = equal_pairs(image, valid, tolerance)
        flat = np.zeros((height, width + 1), bool)
        flat[:, 1:width] = same
        ends = np.flatnonzero(np.diff(flat.ravel().view(np.int8), append=np.int8(0)))
        row, start = np.divmod(ends[::2], width + 1)
        return cls(row, start, ends[1::2] - ends[::2] + 1, image[row, start])

    def longest(self, rows: int) -> NDArray[np.intp]:
        """Return the length of the longest run of each row, 1 where there is none."""
        best = np.ones(rows, np.intp)
        np.maximum.at(best, self.row, self.length)
        return best

    def where(self, chosen: Mask) -> Runs:
        """Return some of the runs."""
        return Runs(self.row[chosen], self.start[chosen], self.length[chosen], self.value[chosen])


def transposed(array: NDArray[Any]) -> NDArray[Any]:
    """Return the (W, H) transpose of an (H, W) array in memory of its own, by squares that a cache holds.

    Of large arrays in half of the time of a copy in one piece.
    """
    turned = np.empty(array.shape[::-1], array.dtype)
    for top in range(0, array.shape[0], _SQUARE):
        for left in range(0, array.shape[1], _SQUARE):
            part = array[top : top + _SQUARE, left : left + _SQUARE]
            turned[left : left + _SQUARE, top : top + _SQUARE] = part.T
    return turned


def ends_of_rows(image: Image, valid: Mask) -> tuple[Image, Image]:
    """Return the least and the greatest valid value of each row; infinities where there is none."""
    if valid.all():
        return image.min(axis=1), image.max(axis=1)
    return np.where(valid, image, np.inf).min(axis=1), np.where(valid, image, -np.inf).max(axis=1)


def equal_pairs(image: Image, valid: Mask, tolerance: float = 0.0) -> Mask:
    """Tell which pixels equal their right neighbour, (H, W - 1)."""
    same = np.abs(np.diff(image, axis=1)) <= tolerance if tolerance else image[:, 1:] == image[:, :-1]
    return np.asarray(same & valid[:, 1:] & valid[:, :-1])


def longest_chance_run(image: Image, valid: Mask, tolerance: float = 0.0) -> int:
    """Return how many neighbours of one value chance makes in a row.

    A pixel that equals its neighbour is followed by a third equal one more often where black or white clips;
    the median over the rows tells how often, whatever a bar or a strip does to some of them.
    """
    same = equal_pairs(image, valid, tolerance)
    pairs = same.sum(axis=1)
    triples = (same[:, 1:] & same[:, :-1]).sum(axis=1)
    held = valid.sum(axis=1) > 2
    if not held.any():
        return 2
    share = float(np.median(triples[held] / np.maximum(pairs[held], 1)))
    single = float(np.median(pairs[held] / np.maximum(valid[held].sum(axis=1) - 1, 1)))
    share = min(max(share, single), 0.999)
    if share <= 0:
        return 3
    return int(np.ceil(np.log(CHANCE / image.size) / np.log(share))) + 2


def chance_run(image: Image, valid: Mask, value: float) -> float:
    """Return how many neighbours of one given value chance makes in a row of an image.

    Parameters
    ----------
    image : (H, W) array
        Without the run that is asked about.
    valid : (H, W) array of bool
    value : float
    """
    same = (image == value) & valid
    count = int(same.sum())
    share = int((same[:, 1:] & same[:, :-1]).sum()) / max(count, 1)
    if not 0 < share < 1:
        return 3.0
    return 3.0 + max(0.0, float(np.log(CHANCE / count) / np.log(share)))  # so many pixels may start one


#: Digits that a picture which was saved compressed spans at least; fewer are counted electrons.
_PICTURE = 100
#: ... and how many different ones it has; fewer are counted electrons, too, stretched to 8 bits.
_VALUES = 16


def is_eight_bit(image: Image, valid: Mask) -> bool:
    """Tell whether an image has whole values from 0 to 255, and many of them."""
    values = image.ravel() if valid.all() else image[valid]
    some = values[:: max(1, values.size // 4096)]
    if not (some == np.round(some)).all() or values.min() < 0 or values.max() > 255:
        return False
    return float(np.ptp(np.percentile(some, (1, 99)))) >= _PICTURE and len(np.unique(some)) >= _VALUES
