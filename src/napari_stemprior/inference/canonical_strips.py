"""A micrograph that is not in memory on the pixel grid that the network knows, on the disk."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from napari_stemprior.inference.canonical import CanonicalGrid, CanonicalImage
from napari_stemprior.network.resample import fourier_resample
from napari_stemprior.progress import Progress
from napari_stemprior.recording.prepared_strips import PreparedStrips
from napari_stemprior.recording.stage import STAGE
from napari_stemprior.recording.stored_image import middle_of, strips_of
from napari_stemprior.scratch_arrays import ScratchArrays, read_block

#: Columns that are read together, and of these how many are transformed at once.
_COLUMNS, _AT_ONCE = 1024, 128
#: Pixels in the middle whose mean is taken off first, so that single precision has little to carry.
_MIDDLE = 2**18


@dataclass(frozen=True, eq=False)
class CanonicalStrips:
    """An image at `CANONICAL_PIXEL_SIZE`, of which rows come into memory; the same as `CanonicalImage`.

    Parameters
    ----------
    image : zarr.Array (H, W) of float32
    prepared : PreparedStrips
        What it was made of.
    grid : CanonicalGrid
    """

    image: Any
    prepared: PreparedStrips
    grid: CanonicalGrid

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the canonical image."""
        return self.grid.shape

    @property
    def scale(self) -> NDArray[np.float64]:
        """(2,) canonical pixels per pixel of the micrograph, (y, x)."""
        return self.grid.scale

    def to_canonical(self, yx: ArrayLike) -> NDArray[np.float64]:
        """Carry (N, 2) micrograph pixels to canonical ones."""
        return np.asarray(yx, float) * self.grid.scale + self.grid.shift

    def to_pixels(self, yx: ArrayLike) -> NDArray[np.float64]:
        """Carry (N, 2) canonical pixels to the micrograph's."""
        return (np.asarray(yx, float) - self.grid.shift) / self.grid.scale

    def block(self, rows: slice, columns: slice = slice(None)) -> CanonicalImage:
        """Return a block of it in memory; `to_canonical` of the block counts from the block's corner."""
        image = read_block(self.image, rows, columns)
        corner = np.array([rows.start, columns.start or 0])
        valid = None if self.prepared.all_valid else self._valid(rows, columns)
        return CanonicalImage(torch.from_numpy(image), self.grid.scale, self.grid.shift - corner, valid)

    def _valid(self, rows: slice, columns: slice) -> NDArray[np.bool_] | None:
        """Return which canonical pixels show the specimen; None where all do."""
        places = [
            np.clip(np.round((np.arange(*part.indices(n)) - shift) / scale).astype(int), 0, most - 1)
            for part, n, shift, scale, most in zip(
                (rows, columns),
                self.shape,
                self.grid.shift,
                self.grid.scale,
                self.prepared.shape,
                strict=True,
            )
        ]
        y, x = places
        part = self.prepared.block(slice(int(y[0]), int(y[-1]) + 1), slice(int(x[0]), int(x[-1]) + 1))
        return None if part.valid.all() else part.valid[np.ix_(y - y[0], x - x[0])]


def canonical_strips(
    prepared: PreparedStrips, pixel_size: float, scratch: ScratchArrays
) -> Generator[Progress, None, CanonicalStrips]:
    """Resample a prepared recording of `pixel_size` Å/px, along its rows first and then along its columns.

    The transforms are those of `CanonicalImage`; only what is in memory at a time is less.
    """
    grid = CanonicalGrid.of(prepared.shape, pixel_size)
    height, width = prepared.shape
    first, last = grid.first, grid.last
    half = scratch.create("half", (height, grid.shape[1]), "float32")
    about = float(prepared.block(*middle_of(prepared.shape, _MIDDLE)).image.mean(dtype=np.float64))
    strips, blocks = strips_of(prepared.shape), range(0, grid.shape[1], _COLUMNS)
    total, rest = len(strips) + len(blocks), 0.0
    for number, (core, _) in enumerate(strips):
        yield Progress(number, total, STAGE)
        data = prepared.block(core, slice(None)).image - np.float32(about)
        rest += float(data.sum(dtype=np.float64))
        half[core, :] = _resampled(data, grid.pads[1], grid.padded[1])[:, first[1] : last[1] + 1]
    mean = np.float32(rest / (height * width))
    image = scratch.create("canonical", grid.shape, "float32")
    for number, left in enumerate(blocks, len(strips)):
        yield Progress(number, total, STAGE)
        part = read_block(half, slice(None), slice(left, left + _COLUMNS))
        part = np.ascontiguousarray(part.T) - mean
        made = _resampled(part, grid.pads[0], grid.padded[0])[:, first[0] : last[0] + 1]
        image[:, left : left + _COLUMNS] = np.ascontiguousarray(made.T)
    yield Progress(total, total, STAGE)
    scratch.remove("half")
    return CanonicalStrips(image, prepared, grid)


def _resampled(lines: NDArray[np.float32], pad: int, size: int) -> NDArray[np.float32]:
    """Resample (N, L) lines, mirrored by `pad` pixels at both ends, to `size` pixels."""
    made = np.empty((len(lines), size), np.float32)
    for n in range(0, len(lines), _AT_ONCE):
        some = np.pad(lines[n : n + _AT_ONCE], ((0, 0), (pad, pad)), mode="reflect")
        made[n : n + _AT_ONCE] = fourier_resample(torch.from_numpy(some), (len(some), size)).numpy()
    return made
