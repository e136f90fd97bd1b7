"""An optional part of the network: image tokens that look at each other, at the coarsest level."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


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
        for last in (self.out, self.feed[-1]):  # a network that is given this part later answers as before
            assert isinstance(last, nn.Linear)
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)
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
