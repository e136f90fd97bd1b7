"""Borders and lost rows that JPEG has smeared: no longer of one value, but far flatter than all other lines.

The image of a column is as wide as the probe, so the contrast of a row cannot fall to a fraction from one row
to the next, unless the row shows no specimen. Where columns stand in line with the scan, rows between them
are flat, too; they come gradually and again and again, and then nothing is decided here.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_stemprior.recording.flat_runs import Image, Mask, is_eight_bit

#: Standard deviation of a line over that of the median line below which it is flat. JPEG of quality 60 leaves
#: 0.11 on a border and 0.16 on a dead row beside an image of full contrast.
_FLAT = 0.2
#: The lines beside have at least this much of it, ...
_SUDDEN = 0.6
#: ... and that beside a border, which has but one, this: beside borders of 20 px it was 0.55 to 1.1.
_SUDDEN_EDGE = 0.45
#: A smeared border is at most as thick as a block of the compression, and so are lost rows.
_BLOCK = 8
#: Lost rows are at most this share of an image.
_FEW = 0.05
#: Valid pixels that a line needs to be judged.
_FEWEST = 16


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
    mean = np.where(good, data, 0).sum(axis=1, dtype=np.float64) / np.maximum(count, 1)
    spread = np.sqrt((np.where(good, data - mean[:, None], 0) ** 2).sum(axis=1) / np.maximum(count, 1))
    usual = float(np.median(spread[held]))
    flat = held & (spread < _FLAT * usual)
    starts = np.flatnonzero(flat & ~np.concatenate([[False], flat[:-1]]))
    for start in starts:
        stop = start + int(np.argmin(np.append(flat[start:], False)))
        beside = [n for n in (start - 1, stop) if 0 <= n < len(data) and held[n]]
        least = _SUDDEN if len(beside) == 2 else _SUDDEN_EDGE
        sudden = bool(beside) and all(spread[n] > least * usual for n in beside)
        if stop - start > _BLOCK or not sudden:
            return np.zeros(len(data), bool), np.zeros(len(data), bool)  # rows between aligned columns
        (edge if len(beside) < 2 else inside)[start:stop] = True
    if inside.sum() > _FEW * held.sum():
        return np.zeros(len(data), bool), np.zeros(len(data), bool)
    return edge, inside
