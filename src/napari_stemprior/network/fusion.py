"""Fusion of image and structure by cross-attention, with a way to say that nothing matches."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_stemprior.network.config import CANONICAL_PIXEL_SIZE

#: Blocks per side of a group, and how many sites near its middle are candidates for the nearest of a block;
#: where the fewer do not suffice, more.
_GROUP, _CANDIDATES = 8, (48, 96)
#: Pairs of a pixel and a site that are worked on together on a CPU.
_TOGETHER = 2**15


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
        self, x: Tensor, site_tokens: Tensor, sites: Tensor, nearest: Tensor, valid: Tensor, step: int
    ) -> Tensor:
        """Fuse the image with the registered columns.

        Pixels of one block look at the same columns, so the columns' keys and values are taken once a block.

        Parameters
        ----------
        x : Tensor (B, C, H, W)
        site_tokens : Tensor (B, M, token_width)
        sites : Tensor (B, M, 2)
            Canonical pixels (y, x).
        nearest : Tensor (B, K, h, w) of int64
            Index of the nearest sites of each block of H / h x W / w pixels.
        valid : Tensor (B, K, h, w) of bool
        step : int
            Canonical pixels per pixel of `x`.
        """
        batch, width, height, columns = x.shape
        h, w = nearest.shape[2:]
        rows, across = height // h, columns // w
        k = min(self.neighbours, nearest.shape[1])
        pixels = x.permute(0, 2, 3, 1).reshape(batch * h, rows, w, across, width)
        first = torch.arange(batch, device=x.device)[:, None, None, None] * site_tokens.shape[1]
        index = (nearest[:, :k].permute(0, 2, 3, 1) + first).flatten(0, 1)
        seen = valid[:, :k].permute(0, 2, 3, 1).flatten(0, 1)
        tables = self._tables(site_tokens, sites)
        y = _middles(height, step, sites).reshape(h, rows).repeat(batch, 1)
        across_x = _middles(columns, step, sites).reshape(w, across)
        # while predicting on a CPU some rows of blocks at a time, which its cache holds
        whole = x.device.type != "cpu" or torch.is_grad_enabled()
        together = len(pixels) if whole else max(1, _TOGETHER // (k * columns * rows))
        parts = []
        for begin in range(0, len(pixels), together):
            part = slice(begin, begin + together)
            mine = pixels[part].transpose(1, 2)
            fused = self._of_blocks(
                mine.reshape(mine.shape[0] * w, rows * across, width),
                index[part].reshape(-1, k),
                seen[part].reshape(-1, k),
                y[part, None, :, None].expand(mine.shape[:-1]).reshape(-1),
                across_x[None, :, None].expand(mine.shape[:-1]).reshape(-1),
                tables,
            )
            parts.append(fused.reshape(mine.shape).transpose(1, 2))
        return torch.cat(parts).reshape(batch, height, columns, width).permute(0, 3, 1, 2)

    def _tables(self, site_tokens: Tensor, sites: Tensor) -> _SiteTables:
        """Look up once what all pixels ask of (B, M, token_width) sites at (B, M, 2) places.

        A query is linear in its pixel, so its products with the keys are products of the pixel with keys that
        hold the query's weights already.
        """
        weight, bias = self.query.weight[:, :, 0, 0], self.query.bias
        assert bias is not None
        key = self.key_token(site_tokens).flatten(0, 1)
        common = torch.cat([self.key_place.weight.t(), self.no_match_key[None]])
        return _SiteTables(
            sites.flatten(0, 1),
            key @ weight,
            key @ bias,
            self.value_token(site_tokens).flatten(0, 1),
            common @ weight,
            common @ bias,
        )

    def _of_blocks(
        self, pixels: Tensor, index: Tensor, seen: Tensor, y: Tensor, x: Tensor, tables: _SiteTables
    ) -> Tensor:
        """Fuse blocks of pixels with the columns that each block looks at.

        Parameters
        ----------
        pixels : Tensor (b, P, C)
            P pixels of each of b blocks.
        index, seen : Tensor (b, K)
            The sites of each block, and whether they are any.
        y, x : Tensor (b * P,)
            Middles of the pixels, canonical pixels.
        tables : _SiteTables

        Returns
        -------
        Tensor (b, P, C)
        """
        (blocks, many, width), k = pixels.shape, index.shape[1]
        flat, index = pixels.flatten(0, 1), index.reshape(-1)

        def of_sites(table: Tensor) -> Tensor:
            return table.index_select(0, index).reshape(blocks, k, *table.shape[1:])

        # what there is of a pixel and a site lies as (K, pixels): long rows, which a CPU works on at once
        at = of_sites(tables.sites).permute(2, 1, 0)[..., None]
        offset_y, offset_x = (
            ((of - own.reshape(blocks, many)) * CANONICAL_PIXEL_SIZE).flatten(1)
            for of, own in zip(at, (y, x), strict=True)
        )
        place = self._place(offset_y, offset_x).to(pixels.dtype)
        common = torch.addmm(tables.common_bias[:, None], tables.common, flat.t())
        # the key is the sum of the site's and of the place's, and so is its product with the query
        logits = of_sites(tables.key) @ pixels.transpose(1, 2) + of_sites(tables.key_bias)[..., None]
        logits = logits.masked_fill(~seen[..., None], -1e4).transpose(0, 1).reshape(k, -1)
        logits = logits + (place * common[:-1, None]).sum(0)
        logits = torch.cat([common[-1:], logits]).float() / width**0.5
        weights = torch.softmax(logits, dim=0).to(pixels.dtype).unbind()[1:]
        # a token is only worth something near its site: its value is carried by the radial functions
        values, places = of_sites(tables.value).unbind(1), place.unbind(1)
        # the gradient of a product with a row-major matrix takes a fifth of the time, over so many rows
        to_value = self.value_place.weight.t().contiguous()
        answer = torch.zeros_like(pixels)
        for weight, near, value in zip(weights, places, values, strict=True):
            carried = (weight * near).t() @ to_value
            answer = torch.addcmul(answer, carried.reshape(pixels.shape), value[:, None])
        mine, of_answer = self.gate.weight[:, :, 0, 0].chunk(2, dim=1)
        gate = torch.sigmoid(F.linear(pixels, mine, self.gate.bias) + F.linear(answer, of_answer))
        return torch.addcmul(pixels, gate, F.linear(answer, self.out.weight[:, :, 0, 0], self.out.bias))

    def without_sites(self, x: Tensor) -> Tensor:
        """Return what `forward` does where no site is valid: the answer of "no match" is zero."""
        assert self.out.bias is not None
        width = x.shape[1]
        pixels = x.permute(0, 2, 3, 1)
        weight = self.gate.weight[:, :width, 0, 0]
        if x.device.type != "cpu" or torch.is_grad_enabled():
            gate = torch.sigmoid(F.linear(pixels, weight, self.gate.bias))
            return torch.addcmul(pixels, gate, self.out.bias).permute(0, 3, 1, 2)
        flat = pixels.reshape(-1, width)  # some pixels at a time, which the cache of a CPU holds
        fused = torch.empty_like(flat)
        for begin in range(0, len(flat), _TOGETHER):
            some = slice(begin, begin + _TOGETHER)
            gate = F.linear(flat[some], weight, self.gate.bias).sigmoid_()
            torch.addcmul(flat[some], gate, self.out.bias, out=fused[some])
        return fused.reshape(pixels.shape).permute(0, 3, 1, 2)

    def _place(self, y: Tensor, x: Tensor) -> Tensor:
        """Describe (K, n) offsets in Å to sites: (6, K, n), four radial functions and a direction."""
        distance2 = y**2 + x**2
        near = [torch.exp(distance2 * (-0.5 / width**2)) for width in self._WIDTHS]
        return torch.stack([*near, 2 * y * near[2], 2 * x * near[2]])


@dataclass(frozen=True, eq=False)
class _SiteTables:
    """What the registered columns of a batch, S of them, tell every pixel that looks at them.

    Parameters
    ----------
    sites : Tensor (S, 2)
        Canonical pixels.
    key : Tensor (S, C)
        Times a pixel, and with `key_bias` (S,) added, the product of the pixel's query with the site's key.
    key_bias : Tensor (S,)
    value : Tensor (S, C)
    common : Tensor (7, C)
        The same for the six functions of the place, and for "no match"; `common_bias` (7,) is added.
    common_bias : Tensor (7,)
    """

    sites: Tensor
    key: Tensor
    key_bias: Tensor
    value: Tensor
    common: Tensor
    common_bias: Tensor


def _middles(size: int, step: int, like: Tensor) -> Tensor:
    """Return where the middles of pixels lie along an axis, canonical pixels."""
    return (torch.arange(size, device=like.device) * step + (step - 1) / 2).to(like)


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
    # whole groups of blocks: what is too many at the end is left out again
    rows, columns = (-(-n // _GROUP) * _GROUP for n in (height, width))
    y = torch.arange(rows, device=sites.device) * block + (block - 1) / 2
    x = torch.arange(columns, device=sites.device) * block + (block - 1) / 2
    centre = torch.stack(torch.meshgrid(y, x, indexing="ij"), dim=-1).to(sites)
    k = min(neighbours, sites.shape[1])
    found = None
    # whether candidates suffice is asked of the device, for which a GPU that trains would have to wait
    asks = sites.device.type == "cpu" or not torch.is_grad_enabled()
    for candidates in _CANDIDATES if asks else ():
        if found is None and sites.shape[1] > 2 * candidates:
            found = _nearest_in_groups(sites, mask, centre, k, candidates)
    if found is None:
        distance2 = _squared_distances(centre.reshape(1, -1, 2), sites, mask)
        found = distance2.topk(k, dim=-1, largest=False)
    distance2, nearest = (
        one.reshape(sites.shape[0], rows, columns, k)[:, :height, :width].permute(0, 3, 1, 2) for one in found
    )
    return nearest, torch.isfinite(distance2)


def _squared_distances(places: Tensor, sites: Tensor, mask: Tensor) -> Tensor:
    """Return (B, P, M) squared distances of (1, P, 2) places to (B, M, 2) sites; infinite to masked ones."""
    # |c - s|² by expansion: one matrix product instead of a (P, M, 2) array
    shift = places.mean(dim=1, keepdim=True)
    a, b = places - shift, sites - shift
    distance2 = (a**2).sum(-1)[..., None] - 2 * a @ b.transpose(1, 2) + (b**2).sum(-1)[:, None]
    return distance2.masked_fill(~mask[:, None], torch.inf)


def _nearest_in_groups(
    sites: Tensor, mask: Tensor, centre: Tensor, k: int, candidates: int
) -> tuple[Tensor, Tensor] | None:
    """Look for the nearest sites of (h, w, 2) places among those nearest to the middle of their group.

    Returns
    -------
    (Tensor, Tensor) or None
        Squared distances and indices of the sites, (B, h, w, K); None if a nearer one may be elsewhere.
    """
    batch, (height, width) = len(sites), centre.shape[:2]
    rows, columns = height // _GROUP, width // _GROUP
    groups = centre.reshape(rows, _GROUP, columns, _GROUP, 2).transpose(1, 2)
    groups = groups.reshape(1, rows * columns, _GROUP**2, 2)
    middle = groups.mean(dim=2)
    far, index = _squared_distances(middle, sites, mask).topk(candidates, dim=-1, largest=False)
    near = sites.gather(1, index.reshape(batch, -1, 1).expand(-1, -1, 2))
    near = near.reshape(batch, rows * columns, 1, candidates, 2)
    distance2 = (near[..., 0] - groups[..., None, 0]) ** 2 + (near[..., 1] - groups[..., None, 1]) ** 2
    distance2 = distance2.masked_fill(torch.isinf(far)[:, :, None], torch.inf)
    found, place = distance2.topk(k, dim=-1, largest=False)
    # what is nearer than the last one found lies within that distance and the way to the middle of it
    reach = found[..., -1].sqrt() + (groups - middle[:, :, None]).norm(dim=-1)
    if bool((reach.amax(dim=-1) > far[..., -1].sqrt()).any()):
        return None
    nearest = index.gather(2, place.flatten(2)).reshape(place.shape)

    def laid_out(x: Tensor) -> Tensor:
        x = x.reshape(batch, rows, columns, _GROUP, _GROUP, k).transpose(2, 3)
        return x.reshape(batch, height, width, k)

    return laid_out(found), laid_out(nearest)
