"""What lies around a picture that was shifted, turned or padded: full rows and columns, and corners.

A picture that was moved is still a parallelogram, so what shows the specimen is convex: a pixel outside the
convex hull of all pixels that differ from the fill shows nothing.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, distance_transform_cdt, find_objects, label
from scipy.spatial import ConvexHull, QhullError

from napari_stemprior.recording.flat_runs import (
    CHANCE,
    JPEG_DIGITS,
    Image,
    Mask,
    ends_of_rows,
    is_eight_bit,
    longest_chance_run,
)

#: A fill is looked for where it makes a run at an edge of the image of at least this share of it.
_EDGE_SHARE = 0.03
#: An empty corner is this many times as deep as what the fill's value makes inside the picture. Clipped
#: blacks between columns reach the edge cut in half at most: there the ratio is 1, and 2 with luck.
_DEEPER = 2.5
#: Pixels of the smallest corner.
_FEWEST = 16.0
#: So much of an image that is mostly empty is of the value: at 10³ e/Å² 0.84 of a turned one.
_MOSTLY = 0.7
#: A corner of it is larger than chance leaves beside the hull by this factor:
#: interpolation spreads one electron over four pixels; the hull of 10⁴ electrons leaves 0.3 % of 384² pixels.
_LARGER = 8
#: There, three pixels off, a pixel of the value is hardly more likely to be of it than any: 0.06 to 0.2 in
#: recordings of 10³ e/Å², 0.41 at most in 99 views; of clipped blacks between columns 0.67 to 0.84.
_FORGOTTEN = 0.4
#: Rows beside a border that say whether it could be the specimen that is dark.
_BESIDE = 8
#: No border is as wide as this share of it if as many constant rows lie inside the image.
_AS_INSIDE = 0.5
#: A pixel of which part is fill differs from it by this share of what its neighbours further in do. Parts
#: between 0 and 1 leave 0.58 rms.
_BLENDED = 0.75


def constant_lines(values: Image, valid: Mask) -> Mask:
    """Tell which rows hold one value only; a row without valid pixels counts as such."""
    low, high = ends_of_rows(values, valid)
    return np.asarray(low >= high)


def border(image: Image, valid: Mask) -> Mask:
    """Mask the rows and columns at the edges that hold one value only."""
    mask = np.zeros(image.shape, bool)
    inner = valid.copy()
    for _ in range(4):  # a row of the border is constant only where the columns beside it are left out
        before = int(inner.sum())
        for data, good, out in ((image, inner, mask), (image.T, inner.T, mask.T)):
            if not good.any():
                continue
            constant = constant_lines(data, good)
            if constant.all() or not (constant[0] or constant[-1]):
                continue
            length = int(good.sum(axis=1).max())
            if length < max(16, longest_chance_run(data, good & ~constant[:, None])):
                continue
            first = int(np.argmin(constant))
            last = len(constant) - int(np.argmin(constant[::-1]))
            inside = _thickest(constant[first:last])
            for part, beside in (
                (np.s_[:first], np.s_[first : first + _BESIDE]),
                (np.s_[last:], np.s_[max(last - _BESIDE, 0) : last]),
            ):
                thick = len(range(*part.indices(len(constant))))
                if inside >= max(2.0, _AS_INSIDE * thick):
                    continue  # gaps between the columns of a crystal are constant, too
                if good[part].any() and not _fades(data, good, part, beside):
                    out[part] = True
                    good[part] = False
                elif not good[part].any():
                    out[part] = True
        if int(inner.sum()) == before:
            break
    return with_blended(image, valid, mask & valid)


def _thickest(constant: NDArray[np.bool_]) -> int:
    """Return the length of the longest run."""
    ends = np.flatnonzero(np.diff(np.concatenate([[False], constant, [False]]).astype(np.int8)))
    return int((ends[1::2] - ends[::2]).max(initial=0))


def _fades(data: Image, good: Mask, part: slice, beside: slice) -> bool:
    """Tell whether the rows beside a border hold so much of its value that chance makes full rows of it."""
    value = data[part][good[part]][0]
    near = good[beside]
    share = float((data[beside] == value)[near].mean()) if near.any() else 0.0
    return share > 0 and near.shape[1] * np.log(share) > np.log(CHANCE)


def corners(image: Image, valid: Mask, *, in_empty: bool = True) -> Mask:
    """Mask what lies outside the convex picture, as rotation and drift correction leave it.

    Parameters
    ----------
    image : (H, W) array
    valid : (H, W) array of bool
    in_empty : bool
        Also tell corners of an image that is mostly of their value by their area. Letters of a caption strip
        would be taken for the picture, so the strip is to be found first.

    Returns
    -------
    (H, W) array of bool
    """
    mask = np.zeros(image.shape, bool)
    box = _bounding_box(valid)
    part, good = image[box], valid[box]
    if min(part.shape) < 16:
        return mask
    for tolerance in (0.0, JPEG_DIGITS) if is_eight_bit(part, good) else (0.0,):
        for value in _fills(part, good, tolerance):
            same = (np.abs(part - value) <= tolerance) & good
            found = _outside_hull(same, good, in_empty)
            if found.any():
                mask[box] |= found
                good = good & ~found
        if mask.any():
            break
    return with_blended(image, valid, mask & valid)


def _bounding_box(valid: Mask) -> tuple[slice, slice]:
    lines = [np.flatnonzero(valid.any(axis=axis)) for axis in (1, 0)]
    return slice(int(lines[0][0]), int(lines[0][-1]) + 1), slice(int(lines[1][0]), int(lines[1][-1]) + 1)


def _fills(image: Image, valid: Mask, tolerance: float) -> list[float]:
    """Return the values that start or end an edge of the image with a run: corners may hold them."""
    found = []
    for line, good in (
        (image[0], valid[0]),
        (image[-1], valid[-1]),
        (image[:, 0], valid[:, 0]),
        (image[:, -1], valid[:, -1]),
    ):
        for values, known in ((line, good), (line[::-1], good[::-1])):
            if not known.any():
                continue
            value = values[known][0]
            differs = (np.abs(values - value) > tolerance) & known
            run = int(np.argmax(differs)) if differs.any() else len(values)
            if run >= max(4, _EDGE_SHARE * len(values)):
                found.append(float(value))
    return list(dict.fromkeys(found))


def _outside_hull(same: Mask, valid: Mask, in_empty: bool) -> Mask:
    """Return the areas of one value outside the convex hull of the others, if they are deeper than chance."""
    nothing = np.zeros(same.shape, bool)
    others = valid & ~same
    inside = _hull(others)
    if inside is None:
        return nothing
    outside = same & ~inside
    if int(outside.sum()) < _FEWEST:
        return nothing
    share = float(same[inside].mean())
    fewest = max(_FEWEST, np.log(CHANCE / same.size) / np.log(share)) if 0 < share < 1 else _FEWEST
    areas, _ = label(outside)
    if np.bincount(areas.ravel())[1:].max() < fewest:
        return nothing
    # depths are measured from what is not of the value, and not from the edge of the image
    depth = distance_transform_cdt(same | ~valid, "chessboard")
    usual = int(depth[inside & same].max(initial=0))
    # where noise makes the value all over the picture, gaps are deep, and the area tells
    noise = in_empty and share >= _MOSTLY and _memory(same, inside) < _FORGOTTEN
    least = _LARGER * fewest if noise else np.inf
    keep = nothing
    for number, box in enumerate(find_objects(areas), start=1):
        area = areas[box] == number
        deep = depth[box][area].max() > _DEEPER * usual
        if area.sum() >= (fewest if deep else least):
            keep[box] |= area
    return keep


def _memory(same: Mask, inside: Mask) -> float:
    """Return how much likelier a pixel is of the value if the one three pixels off is: 0 as any, 1 always."""
    share = float(same[inside].mean())
    if not 0 < share < 1:
        return 1.0
    both = [
        float((same[a] & same[b])[inside[a] & inside[b]].mean())
        for a, b in ((np.s_[3:], np.s_[:-3]), (np.s_[:, 3:], np.s_[:, :-3]))
    ]
    return (max(both) / share - share) / (1 - share)


def _hull(mask: Mask) -> Mask | None:
    """Return the convex hull of a mask, filled; None where it has no area."""
    rows = np.flatnonzero(mask.any(axis=1))
    if len(rows) < 3:
        return None
    first = mask[rows].argmax(axis=1)
    last = mask.shape[1] - 1 - mask[rows, ::-1].argmax(axis=1)
    points = np.concatenate([np.column_stack([rows, first]), np.column_stack([rows, last])])
    try:
        hull = ConvexHull(points)
    except QhullError:
        return None
    corner = points[hull.vertices].astype(float)
    y = np.arange(rows[0], rows[-1] + 1)
    low, high = np.full(len(y), np.inf), np.full(len(y), -np.inf)
    for (y0, x0), (y1, x1) in zip(corner, np.roll(corner, -1, axis=0), strict=True):
        a, b = int(min(y0, y1)), int(max(y0, y1))
        at = np.s_[a - int(y[0]) : b - int(y[0]) + 1]
        x = np.array([x0, x1]) if y0 == y1 else x0 + (np.arange(a, b + 1) - y0) / (y1 - y0) * (x1 - x0)
        low[at] = np.minimum(low[at], x.min() if y0 == y1 else x)
        high[at] = np.maximum(high[at], x.max() if y0 == y1 else x)
    filled = np.zeros(mask.shape, bool)
    columns = np.arange(mask.shape[1])
    filled[y] = (columns >= low[:, None] - 1e-6) & (columns <= high[:, None] + 1e-6)
    return filled


def with_blended(image: Image, valid: Mask, mask: Mask) -> Mask:
    """Add the pixels that interpolation has mixed with the fill: one or two, where the image shows it."""
    if not mask.any():
        return mask
    value = float(np.median(image[mask]))
    found = mask.copy()
    square = np.ones((3, 3), bool)
    rings, grown = [], mask
    for _ in range(6):
        wider = binary_dilation(grown, square)
        ring = wider & ~grown & valid
        if not ring.any():
            return found
        rings.append(ring)
        grown = wider
    spread = [float(np.sqrt(np.mean((image[ring].astype(np.float64) - value) ** 2))) for ring in rings]
    for number in range(2):
        if spread[number] < _BLENDED * min(np.median(spread[2:]), spread[number + 1]):
            found |= np.any(rings[: number + 1], axis=0)
    return found
