"""Resampling of an image to the canonical pixel size in reciprocal space.

Cropping the spectrum keeps white noise white and places every column to sub-pixel accuracy, which
block averages with a ratio that is no integer do not.
"""

from __future__ import annotations

import torch
from torch import Tensor


def fourier_resample(image: Tensor, shape: tuple[int, int]) -> Tensor:
    """Resample a periodic image to another number of pixels over the same field.

    Parameters
    ----------
    image : Tensor (..., H, W)
    shape : (int, int)
        Rows and columns wanted.

    Returns
    -------
    Tensor (..., *shape)
        Same mean; the edges of the field stay where they are, so pixel centres go from
        ``i`` to ``(i + 0.5) * shape / (H, W) - 0.5``.
    """
    for axis, size in ((-2, shape[0]), (-1, shape[1])):
        old = image.shape[axis]
        if size == old:
            continue
        spectrum = torch.fft.fft(image, dim=axis)
        kept = min(size, old)
        half = (kept + 1) // 2
        low = spectrum.narrow(axis, 0, half)
        high = spectrum.narrow(axis, old - (half - 1), half - 1) if half > 1 else None
        frequency = torch.cat([torch.arange(half), torch.arange(-(half - 1), 0)]).to(image.device)
        gap = list(spectrum.shape)
        gap[axis] = size - (2 * half - 1)
        parts = [low, spectrum.new_zeros(gap)] + ([high] if high is not None else [])
        # move from "first pixel centres coincide" to "field edges coincide"
        shift = 0.5 / size - 0.5 / old
        phase = torch.exp(2j * torch.pi * frequency * shift).to(spectrum.dtype)
        view = [1] * spectrum.ndim
        view[axis] = -1
        parts[0] = parts[0] * phase[:half].view(view)
        if len(parts) == 3:
            parts[2] = parts[2] * phase[half:].view(view)
        image = torch.fft.ifft(torch.cat(parts, dim=axis), dim=axis).real * (size / old)
    return image
