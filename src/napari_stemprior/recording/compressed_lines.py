"""Borders and lost rows that JPEG has smeared: no longer of one value, but far flatter than all other lines.

The image of a column is as wide as the probe, so the contrast of a row cannot fall to a fraction from one row
to the next, unless the row shows no specimen. Where columns stand in line with the scan, rows between them
are flat, too; they come gradually and again and again, and then nothing is decided here.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_stemprior.recording.flat_runs import Image, Mask, is_eight_bit

#: Spread of a line over that of the median line below which it is flat, by its deciles and by its standard
#: deviation. JPEG of quality 60 leaves 0.11 on a border and up to 0.28 on a dead row, ...
_FLAT = 0.3
#: ... if this percentage of either end, hot pixels and what JPEG makes of them, is cut down to the rest.
_HOT = 2.0
#: The lines beside have at least this much of it, ...
_SUDDEN = 0.5
#: ... this many times that of the flat line next to them, ...
_STEP = 3.0
#: ... and that beside a border, which has but one, this: beside borders of 20 px it was 0.55 to 1.1.
_SUDDEN_EDGE = 0.45
#: A smeared border is at most as thick as a block of the compression, and so are lost rows.
_BLOCK = 8
#: Lost rows are at most this share of an image.
_FEW = 0.05
#: Valid pixels that a line needs to be judged.
_FEWEST = 16


Spreads = NDArray[np.float64]


def compressed_lines(image: Image, valid: Mask) -> tuple[Mask, Mask, Mask]:
    """Find the flat lines of an 8-bit picture.

    Parameters
    ----------
    image : (H, W) array
    valid : (H, W) array of bool

    Returns
    -------
    border, rows, columns : (H, W) arrays of bool
        Lines at an edge of what is valid, and lost rows and columns inside.
    """
    border = np.zeros(image.shape, bool)
    lost = [np.zeros(image.shape, bool), np.zeros(image.shape, bool)]
    if not is_eight_bit(image, valid):
        return border, lost[0], lost[1]
    for axis, (data, good) in enumerate(((image, valid), (image.T, valid.T))):
        edge, inside = _flat_lines(data, good)
        for lines, mask in ((edge, border), (inside, lost[axis])):
            where = lines[:, None] if axis == 0 else lines[None]
            mask |= where & valid
    return border, lost[0], lost[1]


def _flat_lines(data: Image, good: Mask) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Tell which rows are flat at the edge of what is valid, and which are inside."""
    count = good.sum(axis=1)
    held = count >= _FEWEST
    edge, inside = np.zeros(len(data), bool), np.zeros(len(data), bool)
    if held.sum() < 4 * _BLOCK:
        return edge, inside
    spread, deciles = _spreads(data, good, held)
    usual = float(np.median(spread[held]))
    flat = held & (spread < _FLAT * usual) & (deciles < _FLAT * np.median(deciles[held]))
    starts = np.flatnonzero(flat & ~np.concatenate([[False], flat[:-1]]))
    sudden = gradual = 0
    for start in starts:
        stop = start + int(np.argmin(np.append(flat[start:], False)))
        beside = [n for n in (start - 1, stop) if 0 <= n < len(data) and held[n]]
        at_edge = len(beside) < 2
        least = (_SUDDEN_EDGE if at_edge else _SUDDEN) * usual
        steps = [spread[n] > max(least, _STEP * spread[start if n < start else stop - 1]) for n in beside]
        if stop - start <= _BLOCK and steps and all(steps):
            (edge if at_edge else inside)[start:stop] = True
            sudden += not at_edge
        else:
            gradual += not at_edge
    # rows between columns in line with the scan are flat again and again, some of them suddenly
    if gradual >= max(sudden, 1) or inside.sum() > _FEW * held.sum():
        edge[:] = inside[:] = False
    return edge, inside


def _spreads(data: Image, good: Mask, held: NDArray[np.bool_]) -> tuple[Spreads, Spreads]:
    """Return the standard deviation of each row without its extremes, and what lies between its deciles.

    Few electrons make a row whose deciles are equal, and hot pixels a dead one that deviates: only both
    together tell.
    """
    deviation, deciles = np.zeros(len(data)), np.zeros(len(data))
    for row in np.flatnonzero(held):
        pixels = data[row][good[row]]
        low, first, last, high = np.percentile(pixels, (_HOT, 10, 90, 100 - _HOT))
        deviation[row], deciles[row] = np.clip(pixels, low, high).std(), last - first
    return deviation, deciles
