"""Fusion of image and structure by cross-attention, with a way to say that nothing matches."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_stemprior.network.config import CANONICAL_PIXEL_SIZE


class CellAttention(nn.Module):
    """Every image token looks at the tokens of the cell and at a learned "no match" token.

    A gate, computed from the image, decides how much of the answer is let in.
    """

    def __init__(self, width: int, token_width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width)
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(token_width, 2 * width)
        self.no_match = nn.Parameter(torch.zeros(1, 1, token_width))
        self.gate = nn.Linear(2 * width, width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor, tokens: Tensor, mask: Tensor) -> Tensor:
        """Fuse (B, C, H, W) with (B, N, token_width) tokens under a (B, N) mask."""
        batch, width = x.shape[:2]
        image = x.flatten(2).transpose(1, 2)
        normed = self.norm(image)
        tokens = torch.cat([self.no_match.expand(batch, -1, -1), tokens], dim=1)
        mask = torch.cat([mask.new_ones(batch, 1), mask], dim=1)
        key, value = self.key_value(tokens).chunk(2, dim=-1)

        def split(t: Tensor) -> Tensor:
            return t.reshape(batch, -1, self.heads, width // self.heads).transpose(1, 2)

        attended = F.scaled_dot_product_attention(
            split(self.query(normed)), split(key), split(value), attn_mask=mask[:, None, None, :]
        )
        attended = attended.transpose(1, 2).reshape(batch, -1, width)
        gate = torch.sigmoid(self.gate(torch.cat([normed, attended], dim=-1)))
        return (image + gate * self.out(attended)).transpose(1, 2).reshape(x.shape)


class SiteAttention(nn.Module):
    """Every pixel looks at the registered columns nearest to it, and at "no match".

    Keys and values hold the column's token and a radial description of where it lies from the pixel,
    so the answer is as fine as the pose. The widths of the radial functions are in Å.
    """

    _WIDTHS = (0.15, 0.3, 0.5, 0.9)

    def __init__(self, width: int, token_width: int, neighbours: int) -> None:
        super().__init__()
        self.neighbours = neighbours
        radial = len(self._WIDTHS) + 2
        self.query = nn.Conv2d(width, width, 1)
        self.key_token = nn.Linear(token_width, width)
        self.key_place = nn.Linear(radial, width, bias=False)
        self.value_token = nn.Linear(token_width, width)
        self.value_place = nn.Linear(radial, width, bias=False)
        self.no_match_key = nn.Parameter(torch.zeros(width))
        self.gate = nn.Conv2d(2 * width, width, 1)
        self.out = nn.Conv2d(width, width, 1)

    def forward(
        self, x: Tensor, site_tokens: Tensor, nearest: Tensor, offset: Tensor, valid: Tensor
    ) -> Tensor:
        """Fuse the image with the registered columns.

        Parameters
        ----------
        x : Tensor (B, C, H, W)
        site_tokens : Tensor (B, M, token_width)
        nearest : Tensor (B, K, H, W) of int64
            Index of the nearest sites.
        offset : Tensor (B, K, H, W, 2)
            From the pixel to the site, in Å.
        valid : Tensor (B, K, H, W) of bool
        """
        batch, width, height, columns = x.shape
        k = min(self.neighbours, nearest.shape[1])
        nearest, offset, valid = nearest[:, :k], offset[:, :k], valid[:, :k]
        distance2 = (offset**2).sum(-1, keepdim=True)
        widths = torch.tensor(self._WIDTHS, device=x.device, dtype=offset.dtype)
        near = torch.exp(-distance2 / (2 * widths**2))
        place = torch.cat([near, 2 * offset * near[..., 2:3]], dim=-1).to(x.dtype)
        key_table, value_table = self.key_token(site_tokens), self.value_token(site_tokens)
        flat = nearest.reshape(batch, -1, 1).expand(-1, -1, width)
        shape = (batch, k, height, columns, width)
        key = key_table.gather(1, flat).reshape(shape) + self.key_place(place)
        # a token is only worth something near its site: its value is carried by the radial functions
        value = value_table.gather(1, flat).reshape(shape) * self.value_place(place)
        query = self.query(x).permute(0, 2, 3, 1)[:, None]
        logits = (query * key).sum(-1).float() / width**0.5
        none = (query[:, 0] * self.no_match_key).sum(-1, keepdim=False).float()[:, None] / width**0.5
        logits = torch.cat([none, logits.masked_fill(~valid, -1e4)], dim=1)
        weight = torch.softmax(logits, dim=1)[:, 1:].to(x.dtype)
        answer = (weight[..., None] * value).sum(1).permute(0, 3, 1, 2)
        gate = torch.sigmoid(self.gate(torch.cat([x, answer], dim=1)))
        return x + gate * self.out(answer)


def nearest_sites(
    sites: Tensor, mask: Tensor, shape: tuple[int, int], neighbours: int, block: int = 4
) -> tuple[Tensor, Tensor]:
    """Find the registered columns nearest to each block of pixels.

    Parameters
    ----------
    sites : Tensor (B, M, 2)
        Canonical pixels (y, x).
    mask : Tensor (B, M) of bool
    shape : (int, int)
        Full resolution; multiples of `block`.
    neighbours : int
    block : int

    Returns
    -------
    nearest : Tensor (B, K, H / block, W / block) of int64
    valid : Tensor of bool, same shape
    """
    height, width = shape[0] // block, shape[1] // block
    y = torch.arange(height, device=sites.device) * block + (block - 1) / 2
    x = torch.arange(width, device=sites.device) * block + (block - 1) / 2
    centre = torch.stack(torch.meshgrid(y, x, indexing="ij"), dim=-1)
    # |c - s|² by expansion: one matrix product instead of a (pixels, M, 2) array
    flat = centre.reshape(1, -1, 2).to(sites)
    shift = flat.mean(dim=1, keepdim=True)
    a, b = flat - shift, sites - shift
    distance2 = (a**2).sum(-1)[..., None] - 2 * a @ b.transpose(1, 2) + (b**2).sum(-1)[:, None]
    distance2 = distance2.masked_fill(~mask[:, None], torch.inf)
    k = min(neighbours, sites.shape[1])
    found, nearest = distance2.topk(k, dim=-1, largest=False)
    size = (sites.shape[0], height, width, k)
    return (
        nearest.reshape(size).permute(0, 3, 1, 2),
        torch.isfinite(found).reshape(size).permute(0, 3, 1, 2),
    )


def site_offsets(sites: Tensor, nearest: Tensor, step: int) -> Tensor:
    """Return the way in Å from each pixel of a level to its nearest sites.

    Parameters
    ----------
    sites : Tensor (B, M, 2)
    nearest : Tensor (B, K, H, W)
    step : int
        Full-resolution pixels per pixel of this level.
    """
    batch, k, height, width = nearest.shape
    y = torch.arange(height, device=sites.device) * step + (step - 1) / 2
    x = torch.arange(width, device=sites.device) * step + (step - 1) / 2
    pixel = torch.stack(torch.meshgrid(y, x, indexing="ij"), dim=-1).to(sites)
    place = sites.gather(1, nearest.reshape(batch, -1, 1).expand(-1, -1, 2))
    return (place.reshape(batch, k, height, width, 2) - pixel) * CANONICAL_PIXEL_SIZE
