"""The image branch: normalisation, convolutional blocks, self-attention at the coarsest level."""

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


class SelfAttention(nn.Module):
    """Self-attention over image tokens with two-dimensional rotary positions in Å.

    Rotary positions: Su et al., RoFormer (arXiv:2104.09864), one half of each head for y, one for x.
    """

    def __init__(self, width: int, heads: int, spacing: float) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width)
        self.feed = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )
        pairs = width // heads // 4
        wavelengths = torch.logspace(0.3, 1.8, pairs)  # 2 to 63 Å
        self.register_buffer("frequency", 2 * torch.pi * spacing / wavelengths, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        batch, width, height, columns = x.shape
        tokens = x.flatten(2).transpose(1, 2)
        q, k, v = self.qkv(self.norm(tokens)).chunk(3, dim=-1)
        rotation = self._rotation(height, columns)
        split = (batch, height * columns, self.heads, width // self.heads)
        q, k, v = (t.reshape(split).transpose(1, 2) for t in (q, k, v))
        attended = F.scaled_dot_product_attention(_rotated(q, rotation), _rotated(k, rotation), v)
        tokens = tokens + self.out(attended.transpose(1, 2).reshape(batch, height * columns, width))
        tokens = tokens + self.feed(tokens)
        return tokens.transpose(1, 2).reshape(batch, width, height, columns)

    def _rotation(self, height: int, width: int) -> Tensor:
        frequency: Tensor = self.frequency  # type: ignore[assignment]
        y = torch.arange(height, device=frequency.device, dtype=frequency.dtype)
        x = torch.arange(width, device=frequency.device, dtype=frequency.dtype)
        grid_y = (y[:, None, None] * frequency).expand(height, width, -1)
        grid_x = (x[None, :, None] * frequency).expand(height, width, -1)
        return torch.cat([grid_y, grid_x], dim=-1).reshape(height * width, -1)


def _rotated(x: Tensor, angle: Tensor) -> Tensor:
    """Rotate pairs of the last axis by `angle` (tokens, pairs)."""
    cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    a, b = x[..., 0::2], x[..., 1::2]
    return torch.stack([a * cos - b * sin, a * sin + b * cos], dim=-1).flatten(-2)
