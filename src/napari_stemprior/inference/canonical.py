"""A micrograph on the pixel grid that the network knows, and the way back."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from napari_stemprior.errors import PixelSizeError
from napari_stemprior.network.config import CANONICAL_PIXEL_SIZE
from napari_stemprior.network.resample import fourier_resample
from napari_stemprior.progress import Progress, drain
from napari_stemprior.recording import PreparedImage
from napari_stemprior.recording.pixel_size_range import checked_pixel_size
from napari_stemprior.recording.stage import STAGE

#: Pixels that are resampled together.
_TOGETHER = 2**19
#: Å: the smallest field of which the network sees enough.
_SMALLEST = 6.0
#: Å of mirrored image around the field while resampling, so that its edges do not wrap into each other.
_PAD = 4.0


@dataclass(frozen=True, eq=False)
class CanonicalGrid:
    """Where the canonical pixels of a micrograph lie.

    Parameters
    ----------
    pads : (int, int)
        Pixels of the micrograph that are mirrored at its edges while resampling.
    padded : (int, int)
        Canonical pixels with what was mirrored.
    first, last : (int, int)
        Those of them whose centres lie on the micrograph.
    scale, shift : (2,) arrays
        ``canonical = pixel * scale + shift``.
    """

    pads: tuple[int, int]
    padded: tuple[int, int]
    first: tuple[int, int]
    last: tuple[int, int]
    scale: NDArray[np.float64]
    shift: NDArray[np.float64]

    @classmethod
    def of(cls, shape: tuple[int, ...], pixel_size: float) -> CanonicalGrid:
        """Lay it on an image of `shape` (rows, columns) and `pixel_size` Å/px."""
        ratio = pixel_size / CANONICAL_PIXEL_SIZE
        pads = [min(int(np.ceil(_PAD / pixel_size)), n - 1) for n in shape]
        old = [n + 2 * p for n, p in zip(shape, pads, strict=True)]
        new = [max(8, round(n * ratio)) for n in old]
        scale = np.array([n / o for n, o in zip(new, old, strict=True)])
        centre = (np.array(pads) + 0.5) * scale - 0.5
        first = np.ceil(centre - 0.5 * scale).astype(int).tolist()
        last = np.floor(centre + (np.array(shape) - 0.5) * scale).astype(int).tolist()
        return cls(
            (pads[0], pads[1]), (new[0], new[1]), (first[0], first[1]), (last[0], last[1]),
            scale, centre - np.array(first),
        )  # fmt: skip

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the canonical image."""
        return self.last[0] - self.first[0] + 1, self.last[1] - self.first[1] + 1


@dataclass(frozen=True, eq=False)
class CanonicalImage:
    """An image at `CANONICAL_PIXEL_SIZE`.

    Parameters
    ----------
    image : Tensor (H, W) of float32
    scale : (2,) array
        Canonical pixels per pixel of the micrograph, (y, x).
    shift : (2,) array
        ``canonical = pixel * scale + shift``.
    valid : (H, W) array of bool, or None
        Pixels that show the specimen; None where all do.
    """

    image: Tensor
    scale: NDArray[np.float64]
    shift: NDArray[np.float64]
    valid: NDArray[np.bool_] | None = None

    @classmethod
    def from_prepared(cls, prepared: PreparedImage, pixel_size: float) -> CanonicalImage:
        """Resample a prepared recording of `pixel_size` Å/px, and what of it is valid."""
        return drain(cls.from_prepared_steps(prepared, pixel_size))

    @classmethod
    def from_prepared_steps(
        cls, prepared: PreparedImage, pixel_size: float
    ) -> Generator[Progress, None, CanonicalImage]:
        """Resample a prepared recording step by step; see `from_prepared`."""
        plain = yield from cls._from_array(prepared.image, pixel_size)
        if prepared.valid.all():
            return plain
        rows, columns = (
            np.clip(np.round((np.arange(n) - plain.shift[a]) / plain.scale[a]).astype(int), 0, m - 1)
            for a, (n, m) in enumerate(zip(plain.shape, prepared.shape, strict=True))
        )
        return replace(plain, valid=prepared.valid[np.ix_(rows, columns)])

    @classmethod
    def from_array(cls, image: NDArray[np.float32], pixel_size: float) -> CanonicalImage:
        """Resample an (H, W) array of `pixel_size` Å/px, all of it valid."""
        return drain(cls._from_array(image, pixel_size))

    @classmethod
    def _from_array(
        cls, image: NDArray[np.float32], pixel_size: float
    ) -> Generator[Progress, None, CanonicalImage]:
        """Resample some columns at a time, then some rows."""
        grid, here = CanonicalGrid.of(image.shape, pixel_size), Progress(0, 1, STAGE)
        data = np.asarray(image, dtype=np.float32)
        height, width = grid.shape
        level, (pad_y, pad_x) = data.mean(), grid.pads
        half = torch.empty(height, data.shape[1])
        some = max(1, _TOGETHER // len(data))
        for first in range(0, data.shape[1], some):
            yield here
            part = np.pad(data[:, first : first + some] - level, [(pad_y, pad_y), (0, 0)], mode="reflect")
            made = fourier_resample(torch.from_numpy(part), (grid.padded[0], part.shape[1]))
            half[:, first : first + some] = made[grid.first[0] : grid.last[0] + 1]
        whole = torch.empty(height, width)
        some = max(1, _TOGETHER // data.shape[1])
        for first in range(0, height, some):
            yield here
            part = np.pad(half[first : first + some].numpy(), [(0, 0), (pad_x, pad_x)], mode="reflect")
            made = fourier_resample(torch.from_numpy(part), (len(part), grid.padded[1]))
            whole[first : first + some] = made[:, grid.first[1] : grid.last[1] + 1]
        return cls(whole, grid.scale, grid.shift)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the canonical image."""
        return int(self.image.shape[0]), int(self.image.shape[1])

    def to_canonical(self, yx: ArrayLike) -> NDArray[np.float64]:
        """Carry (N, 2) micrograph pixels to canonical ones."""
        return np.asarray(yx, float) * self.scale + self.shift

    def to_pixels(self, yx: ArrayLike) -> NDArray[np.float64]:
        """Carry (N, 2) canonical pixels to the micrograph's."""
        return (np.asarray(yx, float) - self.shift) / self.scale


def canonical_pixels(image: object, pixel_size: float) -> float:
    """Return how many pixels the network would see of an image; 0 where that cannot be told."""
    shape = getattr(image, "shape", ())
    known = len(shape) == 2 and np.isfinite(pixel_size)
    return float(np.prod(CanonicalGrid.of(shape, pixel_size).shape)) if known and pixel_size > 0 else 0.0


def check_field(shape: tuple[int, int], pixel_size: float) -> None:
    """Check that the network can see the atoms of an image.

    Raises
    ------
    PixelSizeError
        If the pixel size cannot show atoms, or the field is smaller than `_SMALLEST`.
    """
    checked_pixel_size(pixel_size)
    if min(shape) * pixel_size < _SMALLEST:
        raise PixelSizeError(
            f"At {pixel_size:g} Å/px the image is only {min(shape) * pixel_size:.1f} Å wide; "
            f"check the pixel size, at least {_SMALLEST:g} Å are needed."
        )
