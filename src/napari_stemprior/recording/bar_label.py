"""The label of a burned-in scale bar: letters near the bar that have its value."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects, label

from napari_stemprior.recording.flat_runs import Image, Mask

#: Letters lie within this many lengths of the bar.
_REACH = 0.8
#: Where so much of the surroundings has the value of the bar, letters cannot be told from the image.
_INK = 0.3
#: A blob is a letter if its area or its height is this many times what the image makes of that value
#: far from the bar, which is clipped columns, hot pixels and streaks along single rows, ...
_LARGER = 1.5
#: ... and if it has more than this area or at least this height (pixels); the smallest fonts of microscopes
#: are 5 px high.
_AREA, _TALL = 4, 5
#: A streak that runs through a letter is lower than this share of it.
_STREAK = 0.3
#: Thin strokes in a picture that was saved as JPEG of quality 60 stay within so many digits of the bar.
_SMEARED = 16.0
#: Letters of one line are at most this many of their heights apart: a space, a letter too faint.
_APART = 2.0

_AROUND = np.ones((3, 3), bool)


def label_beside(
    image: Image, valid: Mask, box: tuple[int, int, int, int], value: float, tolerance: float
) -> Mask:
    """Mask the lines of text near a bar.

    Letters are connected pixels of the bar's value, larger or taller than the image makes them elsewhere.
    What lies between the letters of a line belongs to it: dots and strokes too thin to be seen.

    Parameters
    ----------
    image : (H, W) array
    valid : (H, W) array of bool
    box : tuple of int
        Top, bottom, left and right of the bar; bottom and right are the first pixels beyond it.
    value, tolerance : float
        Of the bar; a tolerance above 0 says that the picture was compressed.

    Returns
    -------
    (H, W) array of bool
        With one pixel around the text.
    """
    top, bottom, left, right = box
    width, tall = right - left, bottom - top
    reach = int(_REACH * width)
    mask = np.zeros(image.shape, bool)
    within = max(tolerance, _SMEARED) if tolerance else 0.0
    same = (np.abs(image - value) <= within) & valid
    same[top:bottom, left:right] = False
    y, x = max(0, top - reach), max(0, left - reach // 2)
    window = np.s_[y : bottom + reach, x : right + reach // 2]
    if same[window].mean() > _INK:
        return mask
    elsewhere = same.copy()
    elsewhere[window] = False
    area, height = _largest(elsewhere)
    letters, _ = label(same[window], _AROUND)
    boxes: list[tuple[int, int, int, int]] = []
    for number, place in enumerate(find_objects(letters), start=1):
        blob = letters[place] == number
        high = blob.shape[0]
        large = blob.sum() > max(_AREA, _LARGER * area) or high >= max(_TALL, _LARGER * height)
        if large and high <= max(8 * tall, width):
            start, end = _without_streak(blob)
            boxes.append((place[0].start, place[0].stop, place[1].start + start, place[1].start + end))
    for a, b, c, d in _lines(boxes):
        mask[max(0, y + a - 1) : y + b + 1, max(0, x + c - 1) : x + d + 1] = True
    return mask


def _largest(same: Mask) -> tuple[int, int]:
    """Return the greatest area and the greatest height of the connected pixels, 0 where there are none."""
    blobs, count = label(same, _AROUND)
    if not count:
        return 0, 0
    areas = np.bincount(blobs.ravel())[1:]
    return int(areas.max()), max(place[0].stop - place[0].start for place in find_objects(blobs))


def _without_streak(blob: NDArray[np.bool_]) -> tuple[int, int]:
    """Return the first column of a letter and the first one beyond it.

    A streak is longer than the letter is tall; the foot and the flag of a "1" are not.
    """
    high, wide = blob.shape
    first = blob.argmax(axis=0)
    last = high - 1 - blob[::-1].argmax(axis=0)
    columns = np.flatnonzero(blob.any(axis=0) & (last - first + 1 > _STREAK * high))
    if not len(columns):
        return 0, wide
    start, end = int(columns[0]), int(columns[-1]) + 1
    return start if start > high else 0, end if wide - end > high else wide


def _lines(boxes: list[tuple[int, int, int, int]]) -> list[tuple[int, int, int, int]]:
    """Join the boxes (top, bottom, left, right) of letters that stand beside one another."""
    lines: list[tuple[int, int, int, int]] = []
    for box in sorted(boxes, key=lambda box: box[2]):
        for number, (top, bottom, left, right) in enumerate(lines):
            gap = _APART * max(bottom - top, box[1] - box[0])
            if box[0] < bottom and box[1] > top and box[2] - right <= gap:
                lines[number] = (min(top, box[0]), max(bottom, box[1]), left, max(right, box[3]))
                break
        else:
            lines.append(box)
    return lines
