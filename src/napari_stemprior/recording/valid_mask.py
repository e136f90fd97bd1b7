"""Which pixels of an image hold signal: no borders, caption strips, scale bars, dead or saturated rows.

What drift correction, rotation and padding add, what a microscope's program burns in, and what a broken row
leaves have one thing in common: many neighbouring pixels of exactly one value. Noise never makes that; how
long a run of one value chance can make, the image itself tells, by how often neighbours are equal
elsewhere.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import numpy as np

from napari_stemprior.progress import Progress, drain
from napari_stemprior.recording.caption_strip import caption_strip_steps
from napari_stemprior.recording.compressed_bars import bright_bars
from napari_stemprior.recording.compressed_lines import compressed_lines
from napari_stemprior.recording.empty_frame import border, corners
from napari_stemprior.recording.flat_runs import Image, Mask
from napari_stemprior.recording.lost_rows import drawn, lost_columns_steps, lost_rows
from napari_stemprior.recording.stage import PREPARING

#: A caption strip or a border of any kind leaves at least this share of an image.
_LEAST_SIGNAL = 0.2


@dataclass(frozen=True, eq=False)
class BadArea:
    """An area without signal.

    Parameters
    ----------
    kind : str
        ``"pixels that are no numbers"``, ``"border"``, ``"corner"``, ``"caption strip"``, ``"scale bar"``,
        ``"rows"``, ``"columns"``, or ``"mask"`` where a person excluded it.
    mask : (H, W) array of bool
    """

    kind: str
    mask: Mask


def bad_areas(image: Image, least: float = _LEAST_SIGNAL) -> list[BadArea]:
    """Find the areas of an image that hold no signal.

    Parameters
    ----------
    image : (H, W) array
        As recorded; NaN and infinity are allowed.
    least : float, optional
        Share of the pixels that no area takes away; of a strip of an image less may be left.

    Returns
    -------
    list of BadArea
        They do not overlap; empty where all pixels are good.
    """
    return drain(bad_areas_steps(image, least))


def bad_areas_steps(image: Image, least: float = _LEAST_SIGNAL) -> Generator[Progress, None, list[BadArea]]:
    """Find the areas of an image that hold no signal, step by step; see `bad_areas`."""
    found: list[BadArea] = []
    valid = np.isfinite(image)
    if not valid.all():
        found.append(BadArea("pixels that are no numbers", ~valid))
        image = np.where(valid, image, np.float32(0))
    if not valid.any():
        return found

    def add(kind: str, mask: Mask) -> bool:
        nonlocal valid
        mask = mask & valid
        left = valid & ~mask
        # an image that is nearly all of one value is dark, not bad
        if not mask.any() or left.sum() < least * image.size:
            return False
        found.append(BadArea(kind, mask))
        valid = left
        return True

    yield PREPARING
    add("border", border(image, valid))
    yield PREPARING
    add("corner", corners(image, valid, in_empty=False))
    yield PREPARING
    strip = yield from caption_strip_steps(image, valid)
    if add("caption strip", strip):  # and what it was glued to
        add("border", border(image, valid))
    yield PREPARING
    add("corner", corners(image, valid))
    yield PREPARING
    edge, rows, columns = compressed_lines(image, valid)
    if add("border", edge):  # its ends belong to no row
        _, rows, columns = compressed_lines(image, valid)
    add("rows", rows)
    add("columns", columns)
    yield PREPARING
    lost = lost_rows(image, valid)
    strips = [area.mask for area in found if area.kind == "caption strip"]
    if strips:
        add("caption strip", _rest_of_strip(strips[0], lost))
    add("rows", lost)
    yield PREPARING
    columns = yield from lost_columns_steps(image, valid)
    add("columns", columns)
    yield PREPARING
    bars, rows = drawn(image, valid)
    yield PREPARING
    bars = bars | bright_bars(image, valid)
    yield PREPARING
    if add("scale bar", bars):  # lost lines may run through its letters
        _, flat_rows, flat_columns = compressed_lines(image, valid)
        add("rows", flat_rows | lost_rows(image, valid))
        columns = yield from lost_columns_steps(image, valid)
        add("columns", flat_columns | columns)
    add("rows", rows)
    return found


def _rest_of_strip(strip: Mask, lost: Mask) -> Mask:
    """Return what lies between a caption strip and rows without signal that are nearer to it than it is high.

    Where most of the image is empty, letters look like the image, and the empty lines about them are
    found as rows of their own.
    """
    rest = np.zeros(strip.shape, bool)
    inside, empty = strip.mean(axis=1) > 0.5, lost.mean(axis=1) > 0.5
    edges = np.flatnonzero(np.diff(np.concatenate([[False], inside, [False]]).astype(np.int8)))
    for start, stop in zip(edges[::2], edges[1::2], strict=True):
        high = stop - start
        above = np.flatnonzero(empty[max(0, start - high) : start])
        below = np.flatnonzero(empty[stop : stop + high])
        if len(above):
            rest[max(0, start - high) + above[0] : start] = True
        if len(below):
            rest[stop : stop + below[-1] + 1] = True
    return rest
