"""Gaussian smoothing of tensors, on whatever device they are."""

from __future__ import annotations

from collections.abc import Generator

import torch
from torch import Tensor

from napari_stemprior.progress import Progress
from napari_stemprior.recording.smoothing import smoothing_blocks


def gaussian_smoothed_steps(image: Tensor, sigma: float, told: Progress) -> Generator[Progress, None, Tensor]:
    """Return what `recording.smoothing.gaussian_smoothed` does of an image, step by step.

    Parameters
    ----------
    image : Tensor (H, W)
        Computed in float32.
    sigma : float
        Pixels.
    told : Progress
        What is said between two steps.

    Returns
    -------
    Tensor (H, W)
        In the precision of `image`.
    """
    data = image.float()
    down = torch.empty_like(data)
    for first, last, low, high, matrix in smoothing_blocks(len(data), sigma):
        torch.matmul(torch.from_numpy(matrix).to(data.device), data[low:high], out=down[first:last])
        yield told
    smooth = torch.empty_like(image)
    for first, last, low, high, matrix in smoothing_blocks(data.shape[1], sigma):
        smooth[:, first:last] = down[:, low:high] @ torch.from_numpy(matrix).to(data.device).T
        yield told
    return smooth
