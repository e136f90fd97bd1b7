"""Dead and saturated rows, whole or in part, and burned-in rectangles such as scale bars."""

from __future__ import annotations

from collections.abc import Generator

import numpy as np
from numpy.typing import NDArray

from napari_stemprior.progress import Progress
from napari_stemprior.recording.bar_label import label_beside
from napari_stemprior.recording.flat_runs import (
    JPEG_DIGITS,
    Image,
    Mask,
    Runs,
    chance_run,
    ends_of_rows,
    is_eight_bit,
    longest_chance_run,
    transposed,
)
from napari_stemprior.recording.silent_rows import silent_rows
from napari_stemprior.recording.stage import PREPARING

#: A row of which so much is one value is dead or saturated as a whole, if other rows are not like that, ...
_WHOLE = 0.9
#: ... namely by this factor at the median.
_OTHERS = 3.0
#: A value that more pixels than this have makes longer runs where the specimen is dark.
_COMMON = 0.3
#: The row beside such rows shares their value in less than this part of it; counting images of 0.4
#: electrons a pixel hold 0.67 zeros, so that dead rows may be seen in them.
_GRADUAL, _GRADUAL_WHOLE = 0.6, 0.9
#: A run of one value is drawn, dead or saturated if it is this many times as long as the longest runs of
#: most rows.
_LONGER = 2.5
#: Rows that most rows are: bars and lost rows take less than the rest of the image.
_MOST = 85
#: Fewest pixels of such a run, and as a share of the width.
_RUN, _RUN_SHARE = 16, 0.04
#: The rows beside it share less than this of its value, ...
_BESIDE = 0.5
#: ... and differ from it by this many times what neighbouring rows differ by elsewhere: the ridge of a
#: clipped column blends with its sides, where the factor is below 1; noise leaves 1.4 and more.
_SHARP = 1.25
#: The short ends of a bar have too few pixels to ask for as much of them.
_SHARP_END = 0.6
#: The other end of a row that is bad though not constant: this share of it lies beyond ...
_ALL = 2.0
#: ... this share of most rows, in percent.
_END = 0.5
#: Rows that are bad though not constant are at most so many next to one another.
_THICK = 10
#: A scale bar is this many times as long as it is high at least.
_ASPECT = 3.0
#: A bar in a compressed picture is this many pixels high at least: thinner ones are not of one value.
_THICK_BAR = 3


def lost_rows(image: Image, valid: Mask) -> Mask:
    """Mask dead and saturated rows: all or nearly all of a row is one value, or beyond all others."""
    height = image.shape[0]
    count = valid.sum(axis=1)
    held = count >= 16
    if not held.any():
        return np.zeros(image.shape, bool)
    low, high = ends_of_rows(image, valid)
    share, value = np.zeros(height), low.copy()
    for end in (low, high):
        same = ((image == end[:, None]) & valid).sum(axis=1) / np.maximum(count, 1)
        value = np.where(same > share, end, value)
        share = np.maximum(share, same)
    usual = float(np.median(share[held]))
    constant = held & (share >= _WHOLE) & (share > _OTHERS * usual)
    flat = held & (low == high)
    if (flat & ~constant).any():
        # constant rows in an image with many equal pixels: longer than chance makes them
        for value_of_rows in np.unique(low[flat]):
            own = flat & (low == value_of_rows)
            others = held & ~flat
            chance = chance_run(image[others], valid[others], float(value_of_rows))
            if ((image == value_of_rows) & valid)[others].mean() > _COMMON:  # dark lines between columns
                chance = max(chance, longest_chance_run(image, valid & ~flat[:, None]))
            constant |= own & (count >= chance)
    rough = _roughness(image, valid) if constant.any() else 0.0
    for group in _groups(np.flatnonzero(constant)):
        # rows between the columns of a crystal are clipped to black gradually, a broken row is by itself
        for row in (group[0] - 1, group[-1] + 1):
            if 0 <= row < height and held[row]:
                beside = (image[row] == value[group[0]])[valid[row]]
                away = float(np.mean(np.abs(image[row][valid[row]] - value[group[0]])))
                whole = bool(flat[group].all())
                if float(beside.mean()) > (_GRADUAL_WHOLE if whole else _GRADUAL) or (
                    not whole and away < _SHARP * rough
                ):
                    constant[group] = False
    bad = constant | _beyond(image, valid, held & ~constant) | silent_rows(image, valid)
    if bad.sum() > 0.3 * held.sum():
        bad[:] = False
    return np.asarray(np.broadcast_to(bad[:, None], image.shape))


def lost_columns_steps(image: Image, valid: Mask) -> Generator[Progress, None, Mask]:
    """Mask dead and saturated columns, step by step."""
    turned = transposed(image)
    yield PREPARING
    good = transposed(valid)
    yield PREPARING
    return lost_rows(turned, good).T


def _groups(rows: NDArray[np.intp]) -> list[NDArray[np.intp]]:
    """Split ascending rows where they do not follow one another."""
    if len(rows) == 0:
        return []
    return list(np.split(rows, np.flatnonzero(np.diff(rows) > 1) + 1))


def _beyond(image: Image, valid: Mask, held: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Tell which rows lie nearly all beyond nearly all of the image, and start and end at once.

    A saturated row with noise is such, and so is a dead one where the image has a pedestal. A bright layer of
    the specimen is as wide as the probe at least, so its sides share its brightness.
    """
    rows = np.flatnonzero(held)
    bad = np.zeros(len(held), bool)
    if len(rows) < 16:
        return bad
    thin = slice(
        None, None, max(1, image.shape[1] // 256)
    )  # one pixel in so many tells which rows to look at
    values, known = image[rows, thin], valid[rows, thin]
    if known.all():
        low, middle, high = np.percentile(values, (_END, 50, 100 - _END), axis=1)
    else:
        seen = known.any(axis=1)
        rows, values, known = rows[seen], values[seen], known[seen]
        values = np.where(known, values, np.nan)
        low, middle, high = np.nanpercentile(values, (_END, 50, 100 - _END), axis=1)
    # the ends of most rows: those of the lost ones are farther out
    low_end, high_end = np.percentile(low, 100 - _MOST), np.percentile(high, _MOST)
    if not high_end > low_end:
        return bad
    mean = float(np.median(middle))
    for sign, end in ((1, high_end), (-1, low_end)):
        suspect = np.flatnonzero(sign * (middle - end) > 0)
        if len(suspect) == 0 or len(suspect) > 0.2 * len(rows):
            continue
        least = [np.percentile(sign * image[row][valid[row]], _ALL) for row in rows[suspect]]
        suspect = suspect[np.asarray(least) > sign * end]
        for group in _groups(suspect):
            if len(group) > _THICK:
                continue
            excess = sign * (np.median(middle[group]) - mean)
            sides = [sign * (middle[i] - mean) for i in (group[0] - 1, group[-1] + 1) if 0 <= i < len(middle)]
            if sides and max(sides) < 0.3 * excess:
                bad[rows[group]] = True
    return bad


def drawn(image: Image, valid: Mask) -> tuple[Mask, Mask]:
    """Find rectangles of one value with sharp edges.

    Returns
    -------
    bars, rows : (H, W) array of bool
        Scale bars with their labels; pieces of single rows, or of a few, that are dead or saturated.
    """
    bars: NDArray[np.bool_] = np.zeros(image.shape, bool)
    rows: NDArray[np.bool_] = np.zeros(image.shape, bool)
    width = image.shape[1]
    for tolerance in (0.0, JPEG_DIGITS) if is_eight_bit(image, valid) else (0.0,):
        runs = Runs.of(image, valid, tolerance)
        long = runs.where(runs.length >= max(_RUN, _RUN_SHARE * width))
        long = _unusual(image, valid, runs, long, tolerance)
        if len(long.row) == 0:
            continue
        roughness = _roughness(image, valid)
        for top, bottom, left, right, value in _rectangles(long, tolerance):
            tall = bottom - top
            if not _is_sharp(image, valid, (top, bottom, left, right), value, tolerance, roughness):
                continue
            box = np.s_[top:bottom, left:right]
            if tall == 1 and not tolerance:
                rows[box] = True
            elif right - left >= _ASPECT * tall and tall >= (_THICK_BAR if tolerance else 2):
                grow = int(tolerance > 0)
                bars[max(0, top - grow) : bottom + grow, max(0, left - grow) : right + grow] = True
                bars = np.logical_or(
                    bars, label_beside(image, valid, (top, bottom, left, right), value, tolerance)
                )
        if bars.any():
            break
    return bars & valid, rows & valid & ~bars


def _unusual(image: Image, valid: Mask, runs: Runs, long: Runs, tolerance: float) -> Runs:
    """Return those of some runs that are longer than chance and other rows make them, value by value."""
    keep = np.zeros(len(long.row), bool)
    lines: NDArray[np.bool_] = np.asarray(valid.any(axis=1))
    if tolerance:  # neighbouring digits pass for equal: chance knows no single value
        longest = runs.longest(len(image))[lines]
        least = longest_chance_run(image, valid, tolerance)
        return long.where(long.length >= max(least, _LONGER * float(np.percentile(longest, _MOST))))
    for value in np.unique(long.value):
        own = long.value == value
        others = lines.copy()
        others[long.row[own]] = False
        chance = chance_run(image[others], valid[others], float(value))
        longest = runs.where(runs.value == value).longest(len(image))[lines]
        fewest = max(chance, _LONGER * float(np.percentile(longest, _MOST)))
        keep |= own & (long.length >= fewest)
    return long.where(keep)


def _roughness(image: Image, valid: Mask) -> float:
    """Return the usual difference of neighbours in a column."""
    step = max(1, image.shape[1] // 256)
    both = (valid[1:] & valid[:-1])[:, ::step]
    return float(np.mean(np.abs(np.diff(image[:, ::step], axis=0))[both])) if both.any() else 0.0


def _rectangles(runs: Runs, tolerance: float) -> list[tuple[int, int, int, int, float]]:
    """Join runs in neighbouring rows that start and end together.

    A pixel of the image that has the value of a bar by chance makes the run beside it longer: of runs of
    exactly one value the bar is what all have in common.
    """
    slack = 2
    open_: list[tuple[int, int, int, int, float]] = []
    done: list[tuple[int, int, int, int, float]] = []
    for row, start, length, value in zip(runs.row, runs.start, runs.length, runs.value, strict=True):
        top, left, right = int(row), int(start), int(start + length)
        for number, (t, b, l_, r, v) in enumerate(open_):
            if (
                b == top
                and abs(l_ - left) <= slack
                and abs(r - right) <= slack
                and abs(v - value) <= tolerance
            ):
                ends = (min(l_, left), max(r, right)) if tolerance else (max(l_, left), min(r, right))
                open_[number] = (t, top + 1, *ends, v)
                break
        else:
            done += [o for o in open_ if o[1] < top]
            open_ = [o for o in open_ if o[1] >= top]
            open_.append((top, top + 1, left, right, float(value)))
    return done + open_


def _is_sharp(
    image: Image,
    valid: Mask,
    box: tuple[int, int, int, int],
    value: float,
    tolerance: float,
    roughness: float,
) -> bool:
    """Tell whether the rows above and below a rectangle are different at once."""
    top, bottom, left, right = box
    beyond = int(tolerance > 0)  # a compressed edge is one pixel wide
    sides = []
    for row in (top - 1 - beyond, bottom + beyond):
        if 0 <= row < image.shape[0] and valid[row, left:right].any():
            beside = image[row, left:right][valid[row, left:right]]
            difference = np.abs(beside - value)
            if float((difference <= tolerance).mean()) > _BESIDE:
                return False
            sides.append(float(difference.mean()))
    if bottom - top > 1:  # and so are the columns to the left and right of a bar
        for column in (left - 1 - beyond, right + beyond):
            if 0 <= column < image.shape[1] and valid[top:bottom, column].any():
                beside = image[top:bottom, column][valid[top:bottom, column]]
                if float(np.mean(np.abs(beside - value))) < _SHARP_END * roughness:
                    return False
    return bool(sides) and float(np.mean(sides)) > _SHARP * roughness
