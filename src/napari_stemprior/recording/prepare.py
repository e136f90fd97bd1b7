"""A recording made fit for analysis: one step before registration, network, occupancy and refinement."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_stemprior.progress import Progress, drain
from napari_stemprior.recording.artefacts import flashes_steps, lone_pixels_steps
from napari_stemprior.recording.contrast import LOOKED_AT_MIDDLE, ColumnSkewness, column_skewness
from napari_stemprior.recording.findings import Findings
from napari_stemprior.recording.image_check import (
    LEAST_SIDE,
    checked_image,
    masked_away,
    without_contrast,
)
from napari_stemprior.recording.inpainting import inpaint
from napari_stemprior.recording.row_offsets import row_offsets_steps
from napari_stemprior.recording.stage import PREPARING
from napari_stemprior.recording.stored_image import StoredImage, middle_of
from napari_stemprior.recording.valid_mask import BadArea, bad_areas_steps

Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class PreparedImage:
    """A recording without what the scan and the file have added to the specimen.

    Parameters
    ----------
    image : (H, W) array of float32
        Bad pixels filled from their surroundings, row offsets taken out; all else as recorded.
    valid : (H, W) array of bool
        Where the image shows the specimen. No atom is reported elsewhere.
    mended : (H, W) array of bool
        Lone hot or dead pixels, and flashes in single rows, that were filled though their surroundings are
        valid.
    row_offsets : (H,) array of float32
        What was subtracted from each row, in units of the image.
    areas : tuple of BadArea
        What is not valid, by kind.
    """

    image: NDArray[np.float32]
    valid: Mask
    mended: Mask
    row_offsets: NDArray[np.float32]
    areas: tuple[BadArea, ...] = ()

    @classmethod
    def of(cls, image: NDArray[np.float32], valid: Mask | None = None) -> PreparedImage:
        """Take an image as it is: nothing is looked for, nothing is changed."""
        good = np.ones(image.shape, bool) if valid is None else valid
        return cls(image, good, np.zeros(image.shape, bool), np.zeros(image.shape[0], np.float32))

    @cached_property
    def skewness(self) -> ColumnSkewness:
        """Whether the columns look darker than the ground, by the middle of a large image."""
        middle = middle_of(self.shape, LOOKED_AT_MIDDLE)
        if self.valid[middle].any():
            return column_skewness(self.image[middle], self.valid[middle])
        return column_skewness(self.image, self.valid)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return int(self.image.shape[0]), int(self.image.shape[1])

    def is_valid_at(self, yx: ArrayLike) -> Mask:
        """Tell which of (N, 2) pixels (y, x) lie on valid pixels; outside the image none does."""
        places = np.floor(np.asarray(yx, float).reshape(-1, 2) + 0.5).astype(np.int64)
        inside = ((places >= 0) & (places < np.array(self.shape))).all(axis=1)
        clipped = np.clip(places, 0, np.array(self.shape) - 1)
        return np.asarray(inside & self.valid[clipped[:, 0], clipped[:, 1]])

    def cropped(self, rows: slice, columns: slice) -> PreparedImage:
        """Return a part of it."""
        part = (rows, columns)
        areas = tuple(BadArea(a.kind, a.mask[part]) for a in self.areas if a.mask[part].any())
        return PreparedImage(
            self.image[part], self.valid[part], self.mended[part], self.row_offsets[rows], areas
        )

    @cached_property
    def findings(self) -> Findings:
        """What was found and done, in numbers."""
        return Findings.of(self)

    def summary(self) -> dict[str, object]:
        """Return what was done, as plain values for the provenance of a table."""
        return self.findings.summary() | {"dark_columns": self.skewness.dark}

    def sentences(self) -> list[str]:
        """Say in plain sentences what was found and done; empty where nothing was."""
        return self.findings.sentences()


def prepare(image: ArrayLike | PreparedImage, excluded: Mask | None = None) -> PreparedImage:
    """Make a recording fit for analysis.

    Finds what holds no signal (borders, corners left by rotation, caption strips, scale bars, dead and
    saturated rows), fills it and lone spoiled pixels, and takes out row offsets. A good pixel of an image
    without row offsets comes out as it went in.

    Parameters
    ----------
    image : (H, W) array-like, or PreparedImage
        Any unit and real type; NaN and infinity are bad pixels. What is prepared already is returned as
        it is.
    excluded : (H, W) array of bool, optional
        Where a person wants no atoms: an area without signal like any other. A `StoredImage` brings its own.

    Returns
    -------
    PreparedImage

    Raises
    ------
    MicrographError
        If it is no two-dimensional image of real numbers, see `image_check`, or without contrast.
    """
    return drain(prepare_steps(image, excluded))


def prepare_steps(
    image: ArrayLike | PreparedImage, excluded: Mask | None = None
) -> Generator[Progress, None, PreparedImage]:
    """Make a recording fit for analysis, step by step; see `prepare`."""
    if isinstance(image, PreparedImage):
        return image
    if excluded is None and isinstance(image, StoredImage):
        excluded = image.excluded
    array = checked_image(image).copy()
    if min(array.shape) < LEAST_SIDE:  # nothing but NaN is looked for
        finite = np.isfinite(array)
        areas = [] if finite.all() else [BadArea("pixels that are no numbers", ~finite)]
    else:
        areas = yield from bad_areas_steps(array)
    valid = np.ones(array.shape, bool)
    for area in areas:
        valid &= ~area.mask
    if not valid.any() or np.ptp(array[valid]) == 0:
        raise without_contrast()
    if excluded is not None and (mask := excluded & valid).any():
        areas.append(BadArea("mask", mask))
        valid &= ~mask
        if not valid.any() or np.ptp(array[valid]) == 0:
            raise masked_away()
    yield PREPARING
    filled = inpaint(array, valid)
    if min(array.shape) < LEAST_SIDE:
        nothing = np.zeros(array.shape, bool)
        return PreparedImage(filled, valid, nothing, np.zeros(len(array), np.float32), tuple(areas))
    yield PREPARING
    spoiled = yield from lone_pixels_steps(filled, valid)
    if spoiled.any():
        filled = inpaint(filled, valid & ~spoiled)
    yield PREPARING
    offsets = yield from row_offsets_steps(filled, valid & ~spoiled)
    if offsets.any():
        filled = np.where(valid, filled - offsets[:, None], filled)
    yield PREPARING
    streaks = yield from flashes_steps(filled, valid & ~spoiled)
    yield PREPARING
    mended = spoiled | streaks
    if streaks.any() or (offsets.any() and not valid.all()):
        filled = inpaint(filled, valid & ~mended)
    return PreparedImage(filled, valid, mended, offsets, tuple(areas))
