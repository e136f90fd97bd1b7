"""Rows of one value that counting noise would not leave: the rows beside them hold too many electrons.

At low dose most pixels of a good row hold none, so a dead row differs little from its neighbours. All pixels
of it are empty, though, and how many would not be, its neighbours tell: the image of a column is as wide as
the probe, so brightness does not change at once from one row to the next.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_stemprior.recording.flat_runs import Image, Mask, ends_of_rows

#: Chance that an image has one good row that passes for a lost one.
_FALSE_ALARM = 0.01
#: Good rows hold at least this many such pixels each where a row is judged by its neighbours: between columns
#: in line with the scan the numbers go down to 0 one by one.
_LEAST = 6
#: Valid pixels that a row needs to be judged.
_FEWEST = 16


def silent_rows(image: Image, valid: Mask) -> NDArray[np.bool_]:
    """Tell which rows, next to one another or alone, are of one value that chance does not explain.

    The pixels of other values that a row should hold are extrapolated, as an exponential, from the two rows
    above it and the two below (from one side at the edge of what is valid); towards the middle of a dark gap
    between columns they become fewer and fewer, and nothing is said. A Poisson number with that mean is 0
    with the chance that decides.

    Parameters
    ----------
    image : (H, W) array
    valid : (H, W) array of bool

    Returns
    -------
    (H,) array of bool
    """
    count = valid.sum(axis=1)
    held = count >= _FEWEST
    low, high = ends_of_rows(image, valid)
    flat = held & (low == high)
    silent = np.zeros(len(image), bool)
    if not flat.any() or flat.all():
        return silent
    other = ((image != np.median(low[flat])) & valid).sum(axis=1)
    if other[held & ~flat].min() < _LEAST:
        return silent
    least = np.log(held.sum() / _FALSE_ALARM)
    starts = np.flatnonzero(flat & ~np.concatenate([[False], flat[:-1]]))
    for start in starts:
        value = low[start]
        first, stop = (
            int(start),
            int(start) + int(np.argmin(np.append(flat[start:] & (low[start:] == value), False))),
        )
        pixels = int(count[start:stop].max())
        sides = [
            _expected(image, valid, rows, value) * pixels
            for rows in ((first - 1, first - 2), (stop, stop + 1))
            if min(rows) >= 0 and max(rows) < len(image) and held[list(rows)].all()
        ]
        if sides and float(np.sqrt(sides[0] * sides[-1])) > least:
            silent[start:stop] = True
    return silent


def _expected(image: Image, valid: Mask, rows: tuple[int, int], value: float) -> float:
    """Extrapolate which share of the next row differs from a value, from the nearest row and one farther."""
    near, far = (float((image[row][valid[row]] != value).mean()) for row in rows)
    return near * min(1.0, near / far) if far else near
