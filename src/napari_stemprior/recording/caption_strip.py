"""Caption strips: rows at the upper or lower edge that a microscope's program has drawn."""

from __future__ import annotations

from collections.abc import Generator

import numpy as np
from numpy.typing import NDArray

from napari_stemprior.progress import Progress, drain
from napari_stemprior.recording.flat_runs import (
    JPEG_DIGITS,
    Image,
    Mask,
    Runs,
    ends_of_rows,
    equal_pairs,
    is_eight_bit,
)
from napari_stemprior.recording.stage import PREPARING

#: A row of a strip has a run of one value at least this long, as a share of the row and in pixels. Captions
#: have margins and gaps between words; rows of a micrograph have neither.
_RUN_SHARE, _RUN = 0.08, 12
#: It is this many times as long as the runs that most rows of the image have ...
_LONGER = 3.0
#: ... or the row changes its value this much more seldom than they do: letters of a tenth of the width of the
#: image cross a row some 70 times, noise some 300.
_SELDOM = 0.5
#: ... or it has no more values than this where nearly all rows of the image have more: letters are black and
#: white, and in an image of few counts the ground alone tells nothing, since most of its pixels hold none.
_TWO = 2
#: Rows of the image that may have the two values of a strip by chance.
_OTHERWISE = 0.02
#: A strip ends at once: the rows after it change so many times as often as its last ones. Where vacuum or a
#: wedge begins they do not.
_ABRUPT = 2.0
#: Rows of a strip that may be without such a run, in the middle of letters.
_GAP = 6
#: The fewest rows of a strip: lower ones hold no letters, and constant ones are found as a border.
_ROWS = 8
#: Pixels of letters that have a neighbour of their own value; lone counts in vacuum have few.
_LETTERS = 0.35


def caption_strip(image: Image, valid: Mask) -> Mask:
    """Mask caption strips: rows at an edge that all have long runs of one value, with letters between."""
    return drain(caption_strip_steps(image, valid))


def caption_strip_steps(image: Image, valid: Mask) -> Generator[Progress, None, Mask]:
    """Mask caption strips, step by step; see `caption_strip`."""
    mask = np.zeros(image.shape, bool)
    rows = np.flatnonzero(valid.any(axis=1))
    if len(rows) < 4 * _ROWS:
        return mask
    for tolerance in (0.0, JPEG_DIGITS) if is_eight_bit(image, valid) else (0.0,):
        flat, changes = yield from _flat(image, valid, tolerance, rows)
        for edge in (False, True):
            height = _height(flat[::-1] if edge else flat)
            if not _ROWS <= height < 0.5 * len(rows):
                continue
            strip = rows[-height:] if edge else rows[:height]
            ordered = changes[::-1] if edge else changes
            last = float(np.median(ordered[max(0, height - _ROWS) : height]))
            if float(np.median(ordered[height : height + _ROWS])) < _ABRUPT * last:
                continue
            if _has_letters(image[strip], valid[strip], tolerance):
                mask[strip] = True
                if not tolerance:
                    mask[_more_of(image, valid, rows[::-1] if edge else rows, height)] = True
        if mask.any():
            break
    return mask & valid


def _flat(
    image: Image, valid: Mask, tolerance: float, rows: NDArray[np.intp]
) -> Generator[Progress, None, tuple[NDArray[np.bool_], NDArray[np.float64]]]:
    """Tell which rows look drawn, by what is usual in the middle of the image, and how often each changes."""
    width = image.shape[1]
    runs = Runs.of(image, valid, tolerance).longest(len(image))[rows]
    yield PREPARING
    same = equal_pairs(image, valid, tolerance).sum(axis=1)[rows]
    pairs = (valid[:, 1:] & valid[:, :-1]).sum(axis=1)[rows]
    changes = (pairs - same) / np.maximum(pairs, 1)
    middle = slice(len(rows) // 4, -(len(rows) // 4) or None)
    usual = float(np.percentile(runs[middle], 95))
    seldom = changes < _SELDOM * float(np.percentile(changes[middle], 5))
    least = max(_RUN_SHARE * width, _RUN)
    flat = (runs >= least) & ((runs >= _LONGER * usual) | (seldom & (runs >= usual)))
    if not tolerance:
        yield PREPARING
        few = _two_values(image, valid)[rows]
        if float(np.percentile(np.where(few, 0.0, 1.0)[middle], 5)) > 0:  # nearly all rows have more
            flat |= few
    return flat, changes


def _two_values(image: Image, valid: Mask) -> NDArray[np.bool_]:
    """Tell which rows have no more than two values: their least and their greatest."""
    low, high = (end[:, None] for end in ends_of_rows(image, valid))
    return np.asarray(((image == low) | (image == high) | ~valid).all(axis=1))


def _height(flat: NDArray[np.bool_]) -> int:
    """Return the number of rows from the edge that belong to a strip, small gaps allowed."""
    height, gap = 0, 0
    for number, is_flat in enumerate(flat):
        gap = 0 if is_flat else gap + 1
        if gap > _GAP:
            break
        if is_flat:
            height = number + 1
    return height if height and flat[:height].mean() > 0.7 else 0


def _more_of(image: Image, valid: Mask, rows: NDArray[np.intp], height: int) -> NDArray[np.intp]:
    """Return the rows after a strip that hold nothing but its ground and letters of one value."""
    values = np.unique(image[rows[:height]][valid[rows[:height]]])
    if len(values) == 1:  # what was found is bare ground, and letters may follow
        after = rows[height : height + _ROWS]
        ink, count = np.unique(image[after][valid[after] & (image[after] != values[0])], return_counts=True)
        values = np.append(values, ink[count.argmax()] if len(ink) else values[:0])
    if len(values) > _TWO:
        return rows[:0]
    drawn: NDArray[np.bool_] = np.asarray((np.isin(image[rows], values) | ~valid[rows]).all(axis=1))
    middle = slice(len(rows) // 4, -(len(rows) // 4) or None)
    if drawn[middle].mean() > _OTHERWISE:
        return rows[:0]
    following = drawn[height:]
    return rows[height : height + (len(following) if following.all() else int(np.argmin(following)))]


def _has_letters(strip: Image, valid: Mask, tolerance: float) -> bool:
    """Tell whether what is not ground in a strip is drawn: not lone pixels."""
    values, counts = np.unique(strip[valid], return_counts=True)
    ground = float(values[counts.argmax()])
    ink = valid & (np.abs(strip - ground) > tolerance)
    if not ink.any():
        return True
    beside = np.zeros(strip.shape, bool)
    across = (np.abs(np.diff(strip, axis=1)) <= tolerance) & ink[:, 1:] & ink[:, :-1]
    along = (np.abs(np.diff(strip, axis=0)) <= tolerance) & ink[1:] & ink[:-1]
    beside[:, 1:] |= across
    beside[:, :-1] |= across
    beside[1:] |= along
    beside[:-1] |= along
    return float(beside[ink].mean()) > _LETTERS
