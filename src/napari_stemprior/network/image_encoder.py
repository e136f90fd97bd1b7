"""The image branch: normalisation and convolutional blocks."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_stemprior.network.config import CANONICAL_PIXEL_SIZE

#: Channels that `normalised` makes of an image.
IMAGE_CHANNELS = 3


def normalised(image: Tensor) -> Tensor:
    """Make the input channels, free of the detector's gain and offset.

    Parameters
    ----------
    image : Tensor (B, 1, H, W)
        Any unit.

    Returns
    -------
    Tensor (B, 3, H, W)
        Globally normalised and compressed; normalised in a window of some 6 Å; smoothed by 0.5 Å.
    """
    mean = image.mean(dim=(2, 3), keepdim=True)
    deviation = image.std(dim=(2, 3), keepdim=True).clamp(min=1e-8)
    flat = (image - mean) / deviation
    radius = round(3.0 / CANONICAL_PIXEL_SIZE)
    local_mean = _box(flat, radius)
    local_variance = (_box(flat**2, radius) - local_mean**2).clamp(min=0.02)
    local = (flat - local_mean) / local_variance.sqrt()
    smooth = _gaussian(flat, 0.5 / CANONICAL_PIXEL_SIZE)
    smooth = smooth - _box(smooth, radius)
    smooth = smooth / smooth.std(dim=(2, 3), keepdim=True).clamp(min=1e-4)
    return torch.cat([torch.asinh(flat), torch.asinh(local), smooth], dim=1)


def _box(image: Tensor, radius: int) -> Tensor:
    padded = F.pad(image, [radius] * 4, mode="reflect")
    return F.avg_pool2d(F.avg_pool2d(padded, (2 * radius + 1, 1), 1), (1, 2 * radius + 1), 1)


def _gaussian(image: Tensor, sigma: float) -> Tensor:
    radius = round(3 * sigma)
    x = torch.arange(-radius, radius + 1, device=image.device, dtype=image.dtype)
    kernel = torch.exp(-(x**2) / (2 * sigma**2))
    kernel = kernel / kernel.sum()
    padded = F.pad(image, [radius] * 4, mode="reflect")
    return F.conv2d(F.conv2d(padded, kernel.view(1, 1, -1, 1)), kernel.view(1, 1, 1, -1))


class ConvBlock(nn.Module):
    """Two 3 x 3 convolutions with batch normalisation and a residual path."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm_first = nn.BatchNorm2d(outputs)
        self.second = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norm_second = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, H, W) to (B, outputs, H / stride, W / stride)."""
        x = F.silu(self.norm_first(self.first(x)))
        return F.silu(x + self.norm_second(self.second(x)))
