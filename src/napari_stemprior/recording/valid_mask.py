"""Which pixels of an image hold signal: no borders, caption strips, scale bars, dead or saturated rows.

What drift correction, rotation and padding add, what a microscope's program burns in, and what a broken row
leaves have one thing in common: many neighbouring pixels of exactly one value. Noise never makes that; how long
a run of one value chance can make, the image itself tells, by how often neighbours are equal elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, binary_opening, find_objects, label

Mask = NDArray[np.bool_]
Image = NDArray[np.float32]

#: Runs and areas of one value that chance makes in one image of this many are not believed to be made.
_CHANCE = 1e-4
#: Neighbouring digits of a compressed picture differ by this much where it shows one value.
_JPEG_DIGITS = 4
#: A caption strip or a border of any kind leaves at least this share of an image.
_LEAST_SIGNAL = 0.2
#: A row of a strip has a run of one value at least this long, as a share of the row. Captions have margins and
#: gaps between words; rows of a micrograph have neither.
_STRIP_RUN = 0.08
#: Rows of a strip that may be without such a run, in the middle of letters, as a share of its height.
_STRIP_GAP = 6
#: The fewest rows of a strip: lower ones hold no letters, and constant ones are found as a border.
_STRIP_ROWS = 8
#: A corner left by rotation is solid: its area is at least this share of that of its convex hull.
_SOLID = 0.85
#: It is at least this long along one side of the image, as a share of it.
_CORNER_SIDE = 0.08
#: A scale bar is a filled rectangle, this many times as long as it is high, and this long (pixels, and share of
#: the width of the image).
_BAR_FILL, _BAR_ASPECT, _BAR_LENGTH, _BAR_SHARE = 0.95, 4.0, 16, 0.03
#: Letters of its label lie within this many lengths of the bar.
_LABEL_REACH = 0.8


@dataclass(frozen=True)
class BadArea:
    """An area without signal.

    Parameters
    ----------
    kind : str
        ``"pixels that are no numbers"``, ``"border"``, ``"corner"``, ``"caption strip"``, ``"scale bar"``,
        ``"rows"`` or ``"columns"``.
    mask : (H, W) array of bool
    """

    kind: str
    mask: Mask


def bad_areas(image: Image) -> list[BadArea]:
    """Find the areas of an image that hold no signal.

    Parameters
    ----------
    image : (H, W) array
        As recorded; NaN and infinity are allowed.

    Returns
    -------
    list of BadArea
        They do not overlap; empty where all pixels are good.
    """
    found: list[BadArea] = []
    valid = np.isfinite(image)
    if not valid.all():
        found.append(BadArea("pixels that are no numbers", ~valid))
    if not valid.any():
        return found
    for kind, finder in (
        ("border", _border),
        ("rows", _constant_rows),
        ("columns", _constant_columns),
        ("caption strip", _strips),
        ("border", _border),  # what the strip was glued to
        ("corner", _corners),
        ("scale bar", _scale_bars),
    ):
        mask = finder(image, valid) & valid
        left = valid & ~mask
        # an image that is nearly all of one value is dark, not bad
        if mask.any() and left.sum() >= _LEAST_SIGNAL * image.size:
            found.append(BadArea(kind, mask))
            valid = left
    return found


def longest_chance_run(image: Image, valid: Mask) -> int:
    """Return how many neighbours of one value chance may make in a row, by how often two are equal."""
    equal = (image[:, 1:] == image[:, :-1]) & valid[:, 1:] & valid[:, :-1]
    pairs = max(int((valid[:, 1:] & valid[:, :-1]).sum()), 1)
    share = min(float(equal.sum()) / pairs, 0.999)
    if share <= 0:
        return 2
    return int(np.ceil(np.log(_CHANCE / image.size) / np.log(share))) + 1


def _constant(values: Image, valid: Mask) -> Mask:
    """Tell which rows hold one value only; a row without valid pixels counts as such."""
    low = np.where(valid, values, np.inf).min(axis=1)
    high = np.where(valid, values, -np.inf).max(axis=1)
    return np.asarray(low >= high)


def _long_enough(image: Image, valid: Mask) -> bool:
    """Tell whether a whole row of one value cannot be chance."""
    return image.shape[1] >= max(16, longest_chance_run(image, valid & ~_constant(image, valid)[:, None]))


def _border(image: Image, valid: Mask) -> Mask:
    """Mask the rows and columns at the edges that hold one value only."""
    mask = np.zeros(image.shape, bool)
    inner = valid.copy()
    for _ in range(4):  # a row of the border is constant only where the columns beside it are left out
        before = inner.copy()
        for transposed in (False, True):
            data, good, out = (image.T, inner.T, mask.T) if transposed else (image, inner, mask)
            if not good.any() or not _long_enough(data, good):
                continue
            constant = _constant(data, good)
            first = int(np.argmin(constant))
            last = len(constant) - int(np.argmin(constant[::-1]))
            if constant.all():
                continue
            out[:first] = True
            out[last:] = True
            good[:first] = False
            good[last:] = False
        if np.array_equal(inner, before):
            break
    return _with_blended(image, valid, mask & valid)


def _with_blended(image: Image, valid: Mask, mask: Mask) -> Mask:
    """Add the pixels that interpolation has mixed with a border: one, where the image is not of whole numbers."""
    if not mask.any() or _is_whole(image[valid & ~mask]):
        return mask
    return np.asarray(binary_dilation(mask, np.ones((3, 3), bool)))


def _is_whole(values: Image) -> bool:
    some = values[:: max(1, values.size // 4096)]
    return bool((some == np.round(some)).all())


def _constant_rows(image: Image, valid: Mask) -> Mask:
    """Mask dead and saturated rows: all or nearly all of a row is one value."""
    if not _long_enough(image, valid):
        return np.zeros(image.shape, bool)
    count = valid.sum(axis=1)
    low = np.where(valid, image, np.inf).min(axis=1)
    high = np.where(valid, image, -np.inf).max(axis=1)
    shares = [((image == value[:, None]) & valid).sum(axis=1) / np.maximum(count, 1) for value in (low, high)]
    share = np.maximum(*shares)
    bad = (count >= 16) & ((low == high) | ((share > 0.9) & (share > 3 * float(np.median(share[count > 0])))))
    return np.asarray(np.broadcast_to(bad[:, None], image.shape))


def _constant_columns(image: Image, valid: Mask) -> Mask:
    return _constant_rows(image.T, valid.T).T


def _longest_runs(image: Image, valid: Mask, tolerance: float) -> NDArray[np.int64]:
    """Return for every row the longest run of neighbours that are equal within a tolerance."""
    same = (np.abs(np.diff(image, axis=1)) <= tolerance) & valid[:, 1:] & valid[:, :-1]
    best = np.zeros(image.shape[0], np.int64)
    run = np.zeros(image.shape[0], np.int64)
    for column in range(same.shape[1]):
        run = np.where(same[:, column], run + 1, 0)
        best = np.maximum(best, run)
    return best + 1


def _strips(image: Image, valid: Mask) -> Mask:
    """Mask caption strips: rows at an edge that all have long runs of one value, with letters between."""
    mask = np.zeros(image.shape, bool)
    rows = np.flatnonzero(valid.any(axis=1))
    if len(rows) < 4 * _STRIP_ROWS:
        return mask
    safe = np.where(np.isfinite(image), image, 0)
    for tolerance in (0.0, float(_JPEG_DIGITS)) if _is_eight_bit(image, valid) else (0.0,):
        runs = _longest_runs(safe, valid, tolerance)[rows]
        # the middle of the image says what is usual in it: a dark image has long runs of zeros everywhere
        usual = float(np.percentile(runs[len(rows) // 4 : -(len(rows) // 4) or None], 95))
        flat = runs >= max(_STRIP_RUN * image.shape[1], 3 * usual, 12)
        for edge in (False, True):
            height = _strip_height(flat[::-1] if edge else flat)
            if _STRIP_ROWS <= height < 0.5 * len(rows):
                mask[rows[-height:] if edge else rows[:height]] = True
        if mask.any():
            break
    return mask


def _strip_height(flat: Mask) -> int:
    """Return the number of rows from the edge that belong to a strip, small gaps allowed."""
    height, gap = 0, 0
    for number, is_flat in enumerate(flat):
        gap = 0 if is_flat else gap + 1
        if gap > _STRIP_GAP:
            break
        if is_flat:
            height = number + 1
    return height if height and flat[:height].mean() > 0.7 else 0


def _is_eight_bit(image: Image, valid: Mask) -> bool:
    values = image[valid]
    return bool(values.min() >= 0 and values.max() <= 255 and _is_whole(values))


def _corners(image: Image, valid: Mask) -> Mask:
    """Mask solid areas of one value at the border, as rotation and drift correction leave them."""
    mask = np.zeros(image.shape, bool)
    edge = np.zeros(image.shape, bool)
    rim = ~valid
    edge[[0, -1]] = edge[:, [0, -1]] = True
    edge |= binary_dilation(rim, np.ones((3, 3), bool)) & valid if rim.any() else False
    at_edge = image[edge & valid]
    if at_edge.size == 0:
        return mask
    values, counts = np.unique(at_edge, return_counts=True)
    order = np.argsort(-counts)[:3]
    for value in values[order[counts[order] >= 0.25 * _CORNER_SIDE * min(image.shape)]]:
        same = (image == value) & valid
        if _longest_run_on(same & edge) >= _CORNER_SIDE * min(image.shape):
            mask |= _solid_areas(same, edge)
    return _with_blended(image, valid, mask)


def _longest_run_on(edge: Mask) -> int:
    """Return the longest straight run in a mask of an image's edges."""
    rows = [edge[int(i)] for i in np.flatnonzero(edge.sum(axis=1) > 2)]
    columns = [edge[:, int(i)] for i in np.flatnonzero(edge.sum(axis=0) > 2)]
    longest = 0
    for line in rows + columns:
        ends = np.flatnonzero(np.diff(np.concatenate([[False], line, [False]]).astype(np.int8)))
        longest = max(longest, int((ends[1::2] - ends[::2]).max(initial=0)))
    return longest


def _solid_areas(same: Mask, edge: Mask) -> Mask:
    """Return the areas of a mask that touch the edge, are solid, and are larger than chance makes them."""
    share = float(same.mean())
    side = 3
    for _ in range(3):  # the areas themselves are not chance: leave them out and ask again
        opened = binary_opening(same, np.ones((side, side), bool))
        outside = ~binary_dilation(opened, np.ones((3, 3), bool))
        share = float(same[outside].mean()) if outside.any() else 1.0
        if share >= 0.98:
            return np.zeros(same.shape, bool)
        pixels = np.log(_CHANCE / same.size) / np.log(max(share, 1e-9))
        wanted = max(3, int(np.ceil(np.sqrt(pixels))))
        if wanted == side:
            break
        side = wanted
    opened = binary_opening(same, np.ones((side, side), bool))
    areas, count = label(opened)
    keep = np.zeros(same.shape, bool)
    for number, box in enumerate(find_objects(areas), start=1):
        area = areas[box] == number
        touching = area & edge[box]
        long = max(touching.any(axis=0).sum() / same.shape[1], touching.any(axis=1).sum() / same.shape[0])
        if long >= _CORNER_SIDE and _solidity(area) >= _SOLID:
            keep[box] |= area
    # the thin ends that the opening took away
    return np.asarray(binary_dilation(keep, np.ones((3, 3), bool), iterations=side, mask=same)) if count else keep


def _solidity(area: Mask) -> float:
    """Return the area over that of its convex hull."""
    from scipy.spatial import ConvexHull

    places = np.argwhere(area)
    if len(places) < 16 or np.ptp(places[:, 0]) < 2 or np.ptp(places[:, 1]) < 2:
        return 0.0
    corners = (places[:, None] + np.array([(-0.5, -0.5), (-0.5, 0.5), (0.5, -0.5), (0.5, 0.5)])).reshape(-1, 2)
    return float(len(places) / ConvexHull(corners).volume)


def _scale_bars(image: Image, valid: Mask) -> Mask:
    """Mask burned-in scale bars, filled rectangles at the end of the grey scale, and the letters beside them."""
    mask = np.zeros(image.shape, bool)
    values = image[valid]
    digits = float(_JPEG_DIGITS) if _is_eight_bit(image, valid) else 0.0
    for end, extreme in ((1, float(values.max())), (-1, float(values.min()))):
        same = (image >= extreme - digits if end > 0 else image <= extreme + digits) & valid
        if same.sum() > 0.2 * valid.sum():
            continue  # a dark or clipped image, not a drawing
        areas, _ = label(same, np.ones((3, 3), bool))
        boxes = find_objects(areas)
        for number, box in enumerate(boxes, start=1):
            height, width = (s.stop - s.start for s in box)
            if width < max(_BAR_LENGTH, _BAR_SHARE * image.shape[1], _BAR_ASPECT * height) or height < 2:
                continue
            if (areas[box] == number).mean() < _BAR_FILL:
                continue
            mask |= _with_label(areas, boxes, box, image.shape)
    return mask


def _with_label(
    areas: NDArray[np.int32], boxes: list[tuple[slice, slice]], bar: tuple[slice, slice], shape: tuple[int, ...]
) -> Mask:
    """Mask a bar and the boxes of the letters near it, with a pixel or two around for soft edges."""
    mask = np.zeros(shape, bool)
    width = bar[1].stop - bar[1].start
    thick = bar[0].stop - bar[0].start
    reach = int(_LABEL_REACH * width)
    for box in boxes:
        near = (
            box[0].start > bar[0].start - reach
            and box[0].stop < bar[0].stop + reach
            and box[1].start > bar[1].start - reach // 2
            and box[1].stop < bar[1].stop + reach // 2
        )
        tall = box[0].stop - box[0].start
        letter = max(3, thick) <= tall + 1 and tall <= max(8 * thick, width) and (box[1].stop - box[1].start) >= 2
        if box is bar or (near and letter):
            mask[
                max(0, box[0].start - 2) : box[0].stop + 2, max(0, box[1].start - 2) : box[1].stop + 2
            ] = True
    return mask
