"""The Fourier transform of an image, kept so that the fringes of many lattices are cheap."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from napari_stemprior.registration.fourier.normalized_image import NormalizedImage

#: Å of zeros beyond the image, so that opposite borders do not see each other.
_PADDING = 30.0


class PaddedTransform:
    """The full complex transform of an image and of its valid pixels, padded with zeros.

    Parameters
    ----------
    normalized : NormalizedImage

    Attributes
    ----------
    normalized : NormalizedImage
    size : (int, int)
        Rows and columns with the padding.
    image : (size) complex array
        Transform of the image.
    weight : (size) complex array, or None
        Transform of the share that is valid; None where all is.
    """

    def __init__(self, normalized: NormalizedImage) -> None:
        self.normalized = normalized
        height, width = normalized.image.shape
        pad = round(_PADDING / normalized.pixel_size)
        self.size: tuple[int, int] = (
            fft.next_fast_len(height + min(pad, height)),
            fft.next_fast_len(width + min(pad, width)),
        )
        # not the half plane alone: patches around a reflection cross its edge
        self.image: NDArray[np.complexfloating] = fft.fft2(normalized.image, self.size)
        self.weight: NDArray[np.complexfloating] | None = (
            None if normalized.weight is None else fft.fft2(normalized.weight, self.size)
        )
