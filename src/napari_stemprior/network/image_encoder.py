"""The image branch: normalisation and convolutional blocks."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

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
    both = _smoothed(torch.cat([flat, flat**2], dim=1), _box)
    local_mean = both[:, :1]
    local_variance = (both[:, 1:] - local_mean**2).clamp(min=0.02)
    local = (flat - local_mean) / local_variance.sqrt()
    smooth = _smoothed(flat, _gaussian)
    smooth = smooth - _smoothed(smooth, _box)
    smooth = smooth / smooth.std(dim=(2, 3), keepdim=True).clamp(min=1e-4)
    return torch.cat([torch.asinh(flat), torch.asinh(local), smooth], dim=1)


def _smoothed(image: Tensor, kernel: Callable[[], NDArray[np.float64]]) -> Tensor:
    """Smooth along both axes, the image mirrored at its edges.

    A product with a banded matrix for each axis: on tiles it takes a third of the time of a wide filter.
    """
    rows, columns = (torch.from_numpy(_banded(n, kernel)).to(image) for n in image.shape[-2:])
    return rows @ image @ columns.T


@lru_cache(maxsize=32)
def _banded(size: int, kernel: Callable[[], NDArray[np.float64]]) -> NDArray[np.float32]:
    """Return the (size, size) matrix that smooths `size` pixels."""
    weights = kernel()
    radius = len(weights) // 2
    matrix = np.zeros((size, size))
    row = np.arange(size)
    for step, weight in zip(range(-radius, radius + 1), weights, strict=True):
        column = np.abs(row + step)
        column = np.where(column < size, column, 2 * (size - 1) - column)
        matrix[row, column] += weight
    return matrix.astype(np.float32)


def _box() -> NDArray[np.float64]:
    """Return the weights of a window of some 6 Å."""
    size = 2 * round(3.0 / CANONICAL_PIXEL_SIZE) + 1
    return np.full(size, 1 / size)


def _gaussian() -> NDArray[np.float64]:
    """Return the weights of a Gaussian of 0.5 Å."""
    sigma = 0.5 / CANONICAL_PIXEL_SIZE
    radius = round(3 * sigma)
    kernel = np.exp(-(np.arange(-radius, radius + 1) ** 2) / (2 * sigma**2))
    return np.asarray(kernel / kernel.sum())


class ConvBlock(nn.Module):
    """Two 3 x 3 convolutions with batch normalisation and a residual path."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm_first: nn.Module = nn.BatchNorm2d(outputs)
        self.second = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norm_second: nn.Module = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, H, W) to (B, outputs, H / stride, W / stride)."""
        in_place = not torch.is_grad_enabled()
        x = F.silu(self.norm_first(self.first(x)), inplace=in_place)
        y = self.norm_second(self.second(x))
        return F.silu(y.add_(x) if in_place else x + y, inplace=in_place)

    def fold(self) -> None:
        """Let the convolutions do the normalisation, too; for prediction alone."""
        self.first, self.second = (
            folded(self.first, self.norm_first),
            folded(self.second, self.norm_second),
        )
        self.norm_first, self.norm_second = nn.Identity(), nn.Identity()


def folded(convolution: nn.Module, norm: nn.Module) -> nn.Conv2d:
    """Return one convolution that does the batch normalisation behind it, too; for prediction alone."""
    assert isinstance(convolution, nn.Conv2d)
    assert isinstance(norm, nn.BatchNorm2d)
    return fuse_conv_bn_eval(convolution, norm)
