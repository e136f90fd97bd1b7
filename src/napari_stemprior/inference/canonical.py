"""A micrograph on the pixel grid that the network knows, and the way back."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from napari_stemprior.network.config import CANONICAL_PIXEL_SIZE
from napari_stemprior.network.resample import fourier_resample
from napari_stemprior.recording import PreparedImage

#: Å of mirrored image around the field while resampling, so that its edges do not wrap into each other.
_PAD = 4.0


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
        plain = cls.from_array(prepared.image, pixel_size)
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
        ratio = pixel_size / CANONICAL_PIXEL_SIZE
        pads = [min(int(np.ceil(_PAD / pixel_size)), n - 1) for n in image.shape]
        data = np.asarray(image, dtype=np.float32)
        data = data - data.mean()
        padded = np.pad(data, [(p, p) for p in pads], mode="reflect")
        shape = tuple(max(8, round(n * ratio)) for n in padded.shape)
        scale = np.array([new / old for new, old in zip(shape, padded.shape, strict=True)])
        resampled = fourier_resample(torch.from_numpy(padded), (shape[0], shape[1]))
        # keep the canonical pixels whose centres lie on the micrograph
        centre = (np.array(pads) + 0.5) * scale - 0.5
        first = np.ceil(centre - 0.5 * scale).astype(int)
        last = np.floor(centre + (np.array(image.shape) - 0.5) * scale).astype(int)
        cropped = resampled[first[0] : last[0] + 1, first[1] : last[1] + 1].contiguous()
        return cls(cropped, scale, centre - first)

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
