"""Large images in overlapping tiles, blended without seams."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from napari_stemprior.network.config import SITE_MARGIN, STRIDE
from napari_stemprior.network.prompt import StructurePrompt
from napari_stemprior.network.stemprior_net import StructurePromptedNet
from napari_stemprior.progress import Progress

#: Canonical pixels on a side of a tile, and how many of them neighbours share.
TILE = 256
OVERLAP = 64


@dataclass(eq=False)
class Answer:
    """The network's maps over a whole canonical image.

    Parameters
    ----------
    probability : Tensor (2, H, W)
        Of a column of the entrance layer, and of a hidden one.
    offset : Tensor (2, H, W)
        Canonical pixels (y, x).
    variance : Tensor (H, W)
        Of the offset, pixels².
    site : Tensor (H, W) of int64
        Most likely column of the cell; -1 without a prior.
    """

    probability: Tensor
    offset: Tensor
    variance: Tensor
    site: Tensor


def tile_starts(size: int) -> list[int]:
    """Return where tiles begin along an axis of `size` pixels."""
    if size <= TILE:
        return [0]
    count = int(np.ceil((size - OVERLAP) / (TILE - OVERLAP)))
    return [round(i * (size - TILE) / (count - 1)) for i in range(count)] if count > 1 else [0]


def predict(
    network: StructurePromptedNet,
    image: Tensor,
    prompt: StructurePrompt,
    device: torch.device,
    stage: str,
) -> Generator[Progress, None, Answer]:
    """Run the network over an image of any size.

    Parameters
    ----------
    network : StructurePromptedNet
        On `device`, in evaluation mode.
    image : Tensor (H, W)
        At the canonical pixel size.
    prompt : StructurePrompt
        Of batch size 1, its sites in pixels of `image`.
    device : torch.device
    stage : str
        What the progress says.
    """
    height, width = int(image.shape[0]), int(image.shape[1])
    places = [(y, x) for y in tile_starts(height) for x in tile_starts(width)]
    total = torch.zeros(1, height, width)
    sums = torch.zeros(5, height, width)
    site = torch.full((height, width), -1)
    best = torch.zeros(height, width)
    for number, (y, x) in enumerate(places):
        yield Progress(number, len(places), stage)
        tile = image[y : y + TILE, x : x + TILE]
        rows, columns = tile.shape
        padded = _padded(tile)
        with torch.inference_mode():
            output = network(
                padded[None, None].to(device),
                _cropped(prompt, y, x, padded.shape[0], padded.shape[1]).to(device),
            )
            maps = torch.cat([output.heat[0].sigmoid(), output.offset[0], output.log_variance[0].exp()])
            maps = maps[:, :rows, :columns].cpu()
            if bool(prompt.present.any()):
                logits = torch.einsum("ehw,ne->nhw", output.features[0].float(), output.tokens[0].float())
                here = logits[:, :rows, :columns].argmax(dim=0).cpu()
            else:
                here = torch.full((rows, columns), -1)
        weight = _window(rows, y > 0, y + rows < height)[:, None] * _window(
            columns, x > 0, x + columns < width
        )
        area = (slice(y, y + rows), slice(x, x + columns))
        sums[:, area[0], area[1]] += maps * weight
        total[:, area[0], area[1]] += weight
        better = weight > best[area]
        site[area] = torch.where(better, here, site[area])
        best[area] = torch.maximum(best[area], weight)
    sums /= total
    yield Progress(len(places), len(places), stage)
    return Answer(sums[:2], sums[2:4], sums[4], site)


def _padded(tile: Tensor) -> Tensor:
    """Extend to a multiple of the stride that the reflecting filters can work on."""
    rows, columns = tile.shape
    smallest = 4 * STRIDE
    extra = [max(smallest, -(-n // STRIDE) * STRIDE) - n for n in (rows, columns)]
    if not any(extra):
        return tile
    mode = "reflect" if extra[0] < rows and extra[1] < columns else "replicate"
    return F.pad(tile[None, None], [0, extra[1], 0, extra[0]], mode=mode)[0, 0]


def _window(size: int, fade_in: bool, fade_out: bool) -> Tensor:
    """Weight along one axis: 1 inside, falling to almost 0 where a neighbour takes over."""
    window = torch.ones(size)
    ramp = torch.from_numpy(_ramp(min(OVERLAP, size // 2)))
    if fade_in:
        window[: len(ramp)] = ramp
    if fade_out:
        window[-len(ramp) :] = torch.minimum(window[-len(ramp) :], ramp.flip(0))
    return window


def _ramp(length: int) -> NDArray[np.float32]:
    # the outer eighth of a tile has seen too little around it to count
    x = np.clip((np.arange(length) + 0.5) / length * 1.25 - 0.125, 0, 1)
    return (1e-3 + 0.999 * np.sin(np.pi / 2 * x) ** 2).astype(np.float32)


def _cropped(prompt: StructurePrompt, y: int, x: int, rows: int, columns: int) -> StructurePrompt:
    """Take the sites of one tile."""
    sites = prompt.sites[0] - torch.tensor([y, x], dtype=prompt.sites.dtype)
    low, high = -SITE_MARGIN, torch.tensor([rows + SITE_MARGIN, columns + SITE_MARGIN])
    near = prompt.site_mask[0] & (sites > low).all(1) & (sites < high).all(1)
    if not bool(near.any()):
        near = torch.zeros_like(near)
        near[0] = True
        mask = torch.zeros(1, 1, dtype=torch.bool)
    else:
        mask = torch.ones(1, int(near.sum()), dtype=torch.bool)
    return StructurePrompt(
        prompt.columns,
        prompt.column_mask,
        prompt.lattice,
        prompt.present,
        sites[near][None],
        prompt.site_index[:, near],
        mask,
    )
