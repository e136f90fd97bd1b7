"""A recording that need not be in memory, made fit for analysis strip by strip; see `prepare`."""

from __future__ import annotations

from collections.abc import Generator
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_stemprior.progress import Progress
from napari_stemprior.recording.artefacts import flashes, lone_pixels
from napari_stemprior.recording.contrast import LOOKED_AT_MIDDLE, ColumnSkewness, column_skewness
from napari_stemprior.recording.empty_frame import constant_lines
from napari_stemprior.recording.findings import Extent, Findings, rms
from napari_stemprior.recording.image_check import masked_away, without_contrast
from napari_stemprior.recording.inpainting import inpaint
from napari_stemprior.recording.prepare import PreparedImage
from napari_stemprior.recording.row_offsets import RowSums, brightness, offsets_from
from napari_stemprior.recording.stage import STAGE
from napari_stemprior.recording.stored_image import StoredImage, middle_of, strips_of
from napari_stemprior.recording.valid_mask import BadArea, bad_areas
from napari_stemprior.scratch_arrays import ScratchArrays, read_block

Mask = NDArray[np.bool_]

#: Rows on either side that a strip is seen with: two of the widest Gaussians that fill gaps.
_OVERLAP = 128
#: Share of a strip that shows the specimen at least; of the whole image five times as much.
_LEAST_OF_STRIP, _LEAST = 0.04, 0.2
#: What the masks on the disk say of a pixel.
_GOOD, _BAD, _MENDED = 0, 1, 2
#: Values by which the brightness of an image is told.
_SAMPLE = 2**18


class PreparedStrips:
    """A recording without what the scan and the file have added to the specimen, on the disk.

    Parameters
    ----------
    image : zarr.Array (H, W) of float32
        As in `PreparedImage`.
    state : zarr.Array (H, W) of uint8
        0 good, 1 not valid, 2 mended.
    row_offsets : (H,) array of float32
    findings : Findings
    scratch : ScratchArrays
        Holds the arrays: they go with the last who knows it.
    """

    def __init__(
        self,
        image: Any,
        state: Any,
        row_offsets: NDArray[np.float32],
        findings: Findings,
        scratch: ScratchArrays,
    ) -> None:
        self._scratch = scratch
        self._image, self._state = image, state
        self.row_offsets, self.findings = row_offsets, findings
        self.shape: tuple[int, int] = (int(image.shape[0]), int(image.shape[1]))

    @property
    def all_valid(self) -> bool:
        """Whether every pixel shows the specimen."""
        return not self.findings.areas

    def block(self, rows: slice, columns: slice) -> PreparedImage:
        """Return a block of it; its areas are not told apart by kind."""
        image = read_block(self._image, rows, columns)
        if self.all_valid and not self.findings.mended:
            good = np.ones(image.shape, bool)
            return PreparedImage(image, good, ~good, self.row_offsets[rows])
        state = read_block(self._state, rows, columns)
        valid = state != _BAD
        areas = () if valid.all() else (BadArea("border", ~valid),)
        return PreparedImage(image, valid, state == _MENDED, self.row_offsets[rows], areas)

    def is_valid_at(self, yx: ArrayLike) -> Mask:
        """Tell which of (N, 2) pixels (y, x) lie on valid pixels; outside the image none does."""
        places = np.floor(np.asarray(yx, float).reshape(-1, 2) + 0.5).astype(np.int64)
        found: Mask = np.asarray(((places >= 0) & (places < np.array(self.shape))).all(axis=1))
        if self.all_valid:
            return found
        for core, _ in strips_of(self.shape):
            mine = np.flatnonzero(found & (places[:, 0] >= core.start) & (places[:, 0] < core.stop))
            if len(mine):
                state = read_block(self._state, core, slice(None))
                found[mine] = state[places[mine, 0] - core.start, places[mine, 1]] != _BAD
        return found

    def binned(self, binning: int) -> PreparedImage:
        """Return it with the means of so many pixels along either side; what is half valid is valid."""
        height, width = (n // binning for n in self.shape)
        image, valid = np.empty((height, width), np.float32), np.ones((height, width), bool)
        for core, _ in strips_of(self.shape, multiple=binning):
            rows = slice(core.start // binning, min(core.stop // binning, height))
            part = self.block(core, slice(None))
            shape = (rows.stop - rows.start, binning, width, binning)
            inside = np.s_[: shape[0] * binning, : width * binning]
            image[rows] = part.image[inside].reshape(shape).mean(axis=(1, 3))
            if not self.all_valid:
                valid[rows] = part.valid[inside].reshape(shape).mean(axis=(1, 3)) > 0.5
        offsets = self.row_offsets[: height * binning].reshape(height, binning).mean(axis=1)
        areas = () if valid.all() else (BadArea("border", ~valid),)
        return PreparedImage(image, valid, np.zeros(image.shape, bool), offsets, areas)

    @cached_property
    def skewness(self) -> ColumnSkewness:
        """Whether the columns look darker than the ground, by the middle of the image."""
        part = self.block(*middle_of(self.shape, LOOKED_AT_MIDDLE))
        return column_skewness(part.image, part.valid)

    def summary(self) -> dict[str, object]:
        """Return what was done, as plain values for the provenance of a table."""
        return self.findings.summary() | {"dark_columns": self.skewness.dark}

    def sentences(self) -> list[str]:
        """Say in plain sentences what was found and done; empty where nothing was."""
        return self.findings.sentences()


def prepare_strips(image: StoredImage, scratch: ScratchArrays) -> Generator[Progress, None, PreparedStrips]:
    """Make a recording fit for analysis that need not be in memory, step by step.

    The same as `prepare` of the whole, but that bad areas and spoiled pixels are looked for in strips. Row
    offsets are estimated from all rows together.

    Parameters
    ----------
    image : StoredImage
    scratch : ScratchArrays
        Where the result goes.

    Raises
    ------
    MicrographError
        If the image has no contrast.
    """
    strips = strips_of(image.shape, _OVERLAP)
    total = 3 * len(strips)
    seen = _Seen(scratch.create("state", image.shape, "uint8"), image.size)
    for number, (core, read) in enumerate(strips):
        yield Progress(number, total, STAGE)
        data = image[read]
        inner = slice(core.start - read.start, core.stop - read.start)
        seen.take(data, _bad_areas(data), _mask(image, read), core, inner)
    if seen.good < _LEAST * image.size:  # an image that is nearly all of one value is dark, not bad
        seen = _Seen(scratch.create("numbers", image.shape, "uint8"), image.size)
        for core, _ in strips:
            data = image[core]
            bad = ~np.isfinite(data)
            areas = [BadArea("pixels that are no numbers", bad)] if bad.any() else []
            seen.take(data, areas, _mask(image, core), core, slice(None))
    state, left, mean, samples = seen.state, seen.left, seen.sum, seen.samples
    nothing_left = without_contrast if image.excluded is None else masked_away
    if not samples:
        raise nothing_left(image.name)
    sample = np.concatenate(samples)
    if np.ptp(sample) == 0:
        raise nothing_left(image.name)
    limits = brightness(sample[None], np.ones((1, len(sample)), bool))
    sums = []
    for number, (core, _) in enumerate(strips, len(strips)):
        yield Progress(number, total, STAGE)
        sums.append(RowSums.of(image[core], read_block(state, core, slice(None)) == _GOOD, limits))
    offsets = offsets_from(RowSums.joined(sums))
    prepared, mended = scratch.create("prepared", image.shape, "float32"), 0
    squares = np.zeros(3)
    for number, (core, read) in enumerate(strips, 2 * len(strips)):
        yield Progress(number, total, STAGE)
        before = read_block(state, read, slice(None))
        inner = slice(core.start - read.start, core.stop - read.start)
        filled, streaks = _filled(image[read], before, offsets[read], mean / left)
        if streaks[inner].any():
            state[core, :] = np.where(streaks, _MENDED, before).astype(np.uint8)[inner]
        mended += int((streaks | (before == _MENDED))[inner].sum())
        prepared[core, :] = filled[inner]
        shown = filled[inner][before[inner] != _BAD].astype(np.float64) - mean / left
        squares += [shown.size, shown.sum(), (shown**2).sum()]
    yield Progress(total, total, STAGE)
    extents = {kind: Extent.joined(parts, image.shape[0]) for kind, parts in seen.areas.items()}
    spread = float(np.sqrt(max(squares[2] / squares[0] - (squares[1] / squares[0]) ** 2, 0.0)))
    findings = Findings(image.size, extents, mended, rms(offsets), spread)
    return PreparedStrips(prepared, state, offsets, findings, scratch)


class _Seen:
    """What is found in one strip after the other: masks on the disk, and numbers.

    Parameters
    ----------
    state : zarr.Array (H, W) of uint8
        Gets the masks.
    size : int
        Pixels of the image.
    """

    def __init__(self, state: Any, size: int) -> None:
        self.state, self._size = state, size
        self.areas: dict[str, list[tuple[int, Extent]]] = {}
        self.samples: list[NDArray[np.float32]] = []
        #: Pixels with signal, those of them that no mask excludes, and the sum of these.
        self.good, self.left, self.sum = 0, 0, 0.0

    def take(
        self, data: NDArray[np.float32], areas: list[BadArea], mask: Mask | None, core: slice, inner: slice
    ) -> None:
        """Take a strip, its bad areas and its mask: its rows `inner` are the rows `core` of the image."""
        valid, spoiled = np.ones(data.shape, bool), np.zeros(data.shape, bool)
        for area in areas:
            valid &= ~area.mask
            self._note(area, core, inner)
        self.good += int(valid[inner].sum())
        if mask is not None:
            self._note(BadArea("mask", mask & valid), core, inner)
            valid &= ~mask
        if valid.any():
            spoiled = lone_pixels(inpaint(data, valid), valid)
            good = data[inner][valid[inner]]
            self.left, self.sum = self.left + good.size, self.sum + float(good.sum(dtype=np.float64))
            self.samples.append(good[:: max(1, self._size // _SAMPLE)])
        if not valid.all() or spoiled.any():
            state = np.where(valid, np.where(spoiled, _MENDED, _GOOD), _BAD)
            self.state[core, :] = state.astype(np.uint8)[inner]

    def _note(self, area: BadArea, core: slice, inner: slice) -> None:
        if area.mask[inner].any():
            self.areas.setdefault(area.kind, []).append((core.start, Extent.of(area.mask[inner])))


def _mask(image: StoredImage, rows: slice) -> Mask | None:
    """Return where a person wants no atoms in rows of an image."""
    return None if image.excluded is None else image.excluded[rows]


def _bad_areas(data: NDArray[np.float32]) -> list[BadArea]:
    """Find the bad areas of a strip; full rows of one value at its ends may be more than the rest of it."""
    finite = np.isfinite(data)
    varied = np.flatnonzero(~constant_lines(data, finite))
    if not len(varied):
        return [BadArea("border", np.ones(data.shape, bool))]
    inside = slice(int(varied[0]), int(varied[-1]) + 1)
    edges = np.ones(data.shape, bool)
    edges[inside] = False
    found = [BadArea("border", edges)] if edges.any() else []
    for area in bad_areas(data[inside], _LEAST_OF_STRIP):
        mask = np.zeros(data.shape, bool)
        mask[inside] = area.mask
        found.append(BadArea(area.kind, mask))
    return found


def _filled(
    data: NDArray[np.float32], state: NDArray[np.uint8], offsets: NDArray[np.float32], mean: float
) -> tuple[NDArray[np.float32], Mask]:
    """Return a strip with its bad pixels filled and its offsets taken out, and its flashes."""
    valid, good = state != _BAD, state == _GOOD
    if not good.any():
        return np.full(data.shape, mean, np.float32), np.zeros(data.shape, bool)
    filled = inpaint(data, good)
    if offsets.any():
        filled = np.where(valid, filled - offsets[:, None], filled)
    streaks = flashes(filled, good)
    if streaks.any() or (offsets.any() and not valid.all()):
        filled = inpaint(filled, good & ~streaks)
    return filled, streaks
