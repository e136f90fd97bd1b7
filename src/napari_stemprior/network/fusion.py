"""Fusion of image and structure by cross-attention, with a way to say that nothing matches."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_stemprior.network.config import CANONICAL_PIXEL_SIZE

#: Blocks per side of a group, and how many sites near its middle are candidates for the nearest of a block.
_GROUP, _CANDIDATES = 8, 96


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
        size = (batch, h, height // h, w, columns // w, width)
        pixels = x.permute(0, 2, 3, 1).reshape(size).transpose(2, 3).reshape(batch * h * w, -1, width)
        k = min(self.neighbours, nearest.shape[1])
        index = nearest[:, :k].permute(0, 2, 3, 1).reshape(batch, -1)
        seen = valid[:, :k].permute(0, 2, 3, 1).reshape(-1, 1, k)
        first = torch.arange(batch, device=x.device)[:, None] * site_tokens.shape[1]
        index = (index + first).reshape(-1)

        def of_sites(table: Tensor) -> Tensor:
            return table.flatten(0, 1).index_select(0, index).reshape(batch * h * w, k, -1)

        # what there is of a pixel and a site lies as (K, pixels): long rows, which a CPU works on at once
        place = self._place(of_sites(sites), (h, w), size[2], size[4], step, batch).to(x.dtype)
        query = self._linear(self.query, pixels)
        # the key is the sum of the site's and of the place's, and so is its product with the query
        logits = (of_sites(self.key_token(site_tokens)) @ query.transpose(1, 2)).transpose(0, 1)
        flat = query.flatten(0, 1)
        logits = logits.reshape(k, -1) + (place * (self.key_place.weight.t() @ flat.t())[:, None]).sum(0)
        logits = logits.reshape(k, len(pixels), -1).masked_fill(~seen.reshape(-1, k).t()[..., None], -1e4)
        logits = torch.cat([(flat @ self.no_match_key)[None], logits.flatten(1)]).float() / width**0.5
        weight = torch.softmax(logits, dim=0)[1:].to(x.dtype)
        # a token is only worth something near its site: its value is carried by the radial functions
        value = of_sites(self.value_token(site_tokens))
        answer = torch.zeros_like(pixels)
        for number in range(k):
            carried = self.value_place((weight[number] * place[:, number]).t())
            answer = torch.addcmul(answer, carried.reshape(pixels.shape), value[:, number, None])
        gate = torch.sigmoid(self._linear(self.gate, torch.cat([pixels, answer], dim=-1)))
        fused = torch.addcmul(pixels, gate, self._linear(self.out, answer))
        fused = fused.reshape(batch, h, w, size[2], size[4], width).transpose(2, 3)
        return fused.reshape(batch, height, columns, width).permute(0, 3, 1, 2)

    def without_sites(self, x: Tensor) -> Tensor:
        """Return what `forward` does where no site is valid: the answer of "no match" is zero."""
        assert self.out.bias is not None
        width = x.shape[1]
        gate = F.linear(x.permute(0, 2, 3, 1), self.gate.weight[:, :width, 0, 0], self.gate.bias)
        return x + (torch.sigmoid(gate) * self.out.bias).permute(0, 3, 1, 2)

    @staticmethod
    def _linear(layer: nn.Conv2d, x: Tensor) -> Tensor:
        """Apply a 1 x 1 convolution to (..., C)."""
        return F.linear(x, layer.weight[:, :, 0, 0], layer.bias)

    def _place(
        self, sites: Tensor, blocks: tuple[int, int], rows: int, columns: int, step: int, batch: int
    ) -> Tensor:
        """Describe where sites lie from the pixels of their blocks.

        Parameters
        ----------
        sites : Tensor (B * h * w, K, 2)
            Canonical pixels.
        blocks : (int, int)
            h, w.
        rows, columns : int
            Pixels of a block.
        step : int
            Canonical pixels per pixel.
        batch : int

        Returns
        -------
        Tensor (6, K, B * h * w * rows * columns)
            Four radial functions, and the direction under the third.
        """
        y = (torch.arange(blocks[0] * rows, device=sites.device) * step + (step - 1) / 2).to(sites)
        x = (torch.arange(blocks[1] * columns, device=sites.device) * step + (step - 1) / 2).to(sites)
        grid = (batch, blocks[0], blocks[1], rows, columns)
        y = y.reshape(1, blocks[0], 1, rows, 1).expand(grid).reshape(len(sites), -1)
        x = x.reshape(1, 1, blocks[1], 1, columns).expand(grid).reshape(len(sites), -1)
        of_y, of_x = sites.permute(2, 1, 0)[..., None]
        offset_y = ((of_y - y) * CANONICAL_PIXEL_SIZE).flatten(1)
        offset_x = ((of_x - x) * CANONICAL_PIXEL_SIZE).flatten(1)
        distance2 = offset_y**2 + offset_x**2
        near = [torch.exp(distance2 * (-0.5 / width**2)) for width in self._WIDTHS]
        return torch.stack([*near, 2 * offset_y * near[2], 2 * offset_x * near[2]])


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
    centre = torch.stack(torch.meshgrid(y, x, indexing="ij"), dim=-1).to(sites)
    k = min(neighbours, sites.shape[1])
    size = (sites.shape[0], height, width, k)
    found = None
    if sites.shape[1] > 2 * _CANDIDATES and not height % _GROUP and not width % _GROUP:
        found = _nearest_in_groups(sites, mask, centre, k)
    if found is None:
        distance2 = _squared_distances(centre.reshape(1, -1, 2), sites, mask)
        found = distance2.topk(k, dim=-1, largest=False)
    distance2, nearest = found
    return (
        nearest.reshape(size).permute(0, 3, 1, 2),
        torch.isfinite(distance2).reshape(size).permute(0, 3, 1, 2),
    )


def _squared_distances(places: Tensor, sites: Tensor, mask: Tensor) -> Tensor:
    """Return (B, P, M) squared distances of (1, P, 2) places to (B, M, 2) sites; infinite to masked ones."""
    # |c - s|² by expansion: one matrix product instead of a (P, M, 2) array
    shift = places.mean(dim=1, keepdim=True)
    a, b = places - shift, sites - shift
    distance2 = (a**2).sum(-1)[..., None] - 2 * a @ b.transpose(1, 2) + (b**2).sum(-1)[:, None]
    return distance2.masked_fill(~mask[:, None], torch.inf)


def _nearest_in_groups(sites: Tensor, mask: Tensor, centre: Tensor, k: int) -> tuple[Tensor, Tensor] | None:
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
    far, index = _squared_distances(middle, sites, mask).topk(_CANDIDATES, dim=-1, largest=False)
    near = sites.gather(1, index.reshape(batch, -1, 1).expand(-1, -1, 2))
    near = near.reshape(batch, rows * columns, 1, _CANDIDATES, 2)
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
