"""A micrograph on the pixel grid that the network knows, and the way back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from napari_stemprior.network.config import CANONICAL_PIXEL_SIZE
from napari_stemprior.network.resample import fourier_resample

#: Å of mirrored image around the field while resampling, so that its edges do not wrap into each other.
_PAD = 4.0


@dataclass(frozen=True)
class CanonicalImage:
    """An image at `CANONICAL_PIXEL_SIZE`.

    Parameters
    ----------
    image : Tensor (H, W) of float32
    scale : (2,) array
        Canonical pixels per pixel of the micrograph, (y, x).
    shift : (2,) array
        ``canonical = pixel * scale + shift``.
    """

    image: Tensor
    scale: NDArray[np.float64]
    shift: NDArray[np.float64]

    @classmethod
    def from_array(cls, image: NDArray[np.float32], pixel_size: float) -> CanonicalImage:
        """Resample an (H, W) array of `pixel_size` Å/px."""
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
