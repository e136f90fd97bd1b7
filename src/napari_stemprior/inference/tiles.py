"""Large images in overlapping tiles, blended without seams."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from napari_stemprior.errors import out_of_memory
from napari_stemprior.inference.normalisation import normalised_image
from napari_stemprior.network.config import SITE_MARGIN, STRIDE
from napari_stemprior.network.prompt import StructurePrompt
from napari_stemprior.network.stemprior_net import StructurePromptedNet
from napari_stemprior.progress import Progress

#: Canonical pixels on a side of the largest tile, and how many of them neighbours share. What they share is
#: asked twice, and a tile sees nothing beyond its edges: the fewer the better.
TILE = 512
OVERLAP = 64
#: Tiles that are asked at once: a CPU is fastest with one, which its cache holds.
_ON_CPU, _ON_GPU = 1, 32


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
    site : Tensor (H, W) of int32
        Most likely column of the cell; -1 without a prior.
    """

    probability: Tensor
    offset: Tensor
    variance: Tensor
    site: Tensor


def tile_starts(size: int) -> tuple[list[int], int]:
    """Return where tiles begin along an axis of `size` pixels, a multiple of `STRIDE`, and how long they are.

    The tiles are as few as `TILE` allows, and as short as these few allow.
    """
    count = max(1, -(-(size - OVERLAP) // (TILE - OVERLAP)))
    side = _multiple(-(-(size + (count - 1) * OVERLAP) // count))
    return [round(i * (size - side) / max(count - 1, 1)) for i in range(count)], side


def predict(
    network: StructurePromptedNet,
    image: Tensor,
    prompt: StructurePrompt,
    device: torch.device,
    stage: str,
    precision: torch.dtype = torch.float32,
) -> Generator[Progress, None, Answer]:
    """Run the network over an image of any size, with one prompt; see `predict_each`."""
    return (yield from predict_each(network, image, [prompt], device, stage, precision))[0]


def predict_each(
    network: StructurePromptedNet,
    image: Tensor,
    prompts: Sequence[StructurePrompt],
    device: torch.device,
    stage: str,
    precision: torch.dtype = torch.float32,
) -> Generator[Progress, None, list[Answer]]:
    """Run the network over an image of any size, with several prompts; the image is seen once for all.

    Tiles go in batches, which become smaller where the memory of a GPU does not suffice.

    Parameters
    ----------
    network : StructurePromptedNet
        On `device`, in evaluation mode.
    image : Tensor (H, W)
        At the canonical pixel size.
    prompts : sequence of StructurePrompt
        Of batch size 1, their sites in pixels of `image`.
    device : torch.device
    stage : str
        What the progress says.
    precision : torch.dtype
        Of the network's coarse layers, see `StructurePromptedNet.folded`.
    """
    seen = yield from normalised_image(padded(image).to(device), stage)
    shape = (int(image.shape[0]), int(image.shape[1]))
    return (yield from predict_normalised(network.folded(precision), seen, shape, prompts, stage))


def predict_normalised(
    network: StructurePromptedNet,
    seen: Tensor,
    shape: tuple[int, int],
    prompts: Sequence[StructurePrompt],
    stage: str,
) -> Generator[Progress, None, list[Answer]]:
    """Run the network over the input channels of an image; see `predict_each`.

    Parameters
    ----------
    network : StructurePromptedNet
        Folded, on the device of `seen`.
    seen : Tensor (IMAGE_CHANNELS, H, W)
        Normalised; both sides are multiples of `STRIDE`.
    shape : (int, int)
        Rows and columns that are wanted of it, from the first on.
    prompts : sequence of StructurePrompt
        Of batch size 1, their sites in pixels of the image.
    stage : str
        What the progress says.
    """
    device = seen.device
    height, width = seen.shape[1:]
    (tops, rows), (lefts, columns) = tile_starts(height), tile_starts(width)
    places = [(y, x) for y in tops for x in lefts]
    total, best = torch.zeros(2, height, width, device=device)
    sums = [torch.zeros(5, height, width, device=device) for _ in prompts]
    site = [torch.full((height, width), -1, dtype=torch.int32, device=device) for _ in prompts]
    done, size = 0, _ON_CPU if device.type == "cpu" else _ON_GPU
    while done < len(places):
        yield Progress(done, len(places), stage)
        batch = places[done : done + size]
        tiles = torch.stack([seen[:, y : y + rows, x : x + columns] for y, x in batch])
        try:
            answers = yield from _ask(network, tiles, prompts, batch, Progress(done, len(places), stage))
        except (MemoryError, RuntimeError) as error:  # of the CPU or the GPU
            if size == 1 or out_of_memory(error) is None:
                raise
            size = size // 2
            continue
        done += len(batch)
        for number, (y, x) in enumerate(batch):
            weight = fading(rows, y > 0, y + rows < height)[:, None] * fading(
                columns, x > 0, x + columns < width
            )
            if len(places) == 1:  # nothing to be blended
                sums = [maps[0] for maps, _ in answers]
                site = [
                    old if here is None else here[0] for old, (_, here) in zip(site, answers, strict=True)
                ]
                break
            weight = weight.to(device)
            area = (slice(y, y + rows), slice(x, x + columns))
            better = weight > best[area]
            for asked, (maps, here) in enumerate(answers):
                sums[asked][:, area[0], area[1]] += maps[number] * weight
                if here is not None:
                    site[asked][area] = torch.where(better, here[number], site[asked][area])
            total[area] += weight
            best[area] = torch.maximum(best[area], weight)
    yield Progress(len(places), len(places), stage)
    found = []
    for one, named in zip(sums, site, strict=True):
        if len(places) > 1:
            one /= total
        maps = one[:, : shape[0], : shape[1]].cpu()
        found.append(Answer(maps[:2], maps[2:4], maps[4], named[: shape[0], : shape[1]].cpu()))
    return found


@torch.inference_mode()
def _ask(
    network: StructurePromptedNet,
    tiles: Tensor,
    prompts: Sequence[StructurePrompt],
    places: Sequence[tuple[int, int]],
    progress: Progress,
) -> Generator[Progress, None, list[tuple[Tensor, Tensor | None]]]:
    """Ask the network of a batch of tiles with each prompt, layer by layer.

    Parameters
    ----------
    network : StructurePromptedNet
    tiles : Tensor (B, IMAGE_CHANNELS, H, W)
        Normalised.
    prompts : sequence of StructurePrompt
        Of batch size 1, of the whole image.
    places : sequence of (int, int)
        Where the tiles begin.
    progress : Progress
        What is said between the layers.

    Returns
    -------
    list
        For each prompt (B, 5, H, W) probabilities, offsets and variance, and the (B, H, W) most likely column
        of the cell; None without a prior.
    """
    rows, columns = tiles.shape[2:]
    features, answers = None, []
    for prompt in prompts:
        cropped = StructurePrompt.collate([_cropped(prompt, y, x, rows, columns) for y, x in places])
        cropped = cropped.to(tiles.device)
        if features is None or not network.sees_image_first:
            features = network.image_features(tiles, cropped)
        layers = network.maps_steps(features, cropped)
        while True:
            yield progress
            try:
                next(layers)
            except StopIteration as stop:
                answers.append(stop.value)
                break
    return answers


def padded(image: Tensor) -> Tensor:
    """Extend to a multiple of the stride that the reflecting filters can work on."""
    extra = [padded_size(n) - n for n in image.shape]
    if not any(extra):
        return image
    mode = "reflect" if all(more < n for more, n in zip(extra, image.shape, strict=True)) else "replicate"
    return F.pad(image[None, None], [0, extra[1], 0, extra[0]], mode=mode)[0, 0]


def padded_size(size: int) -> int:
    """Return how many pixels `padded` makes of so many along an axis."""
    return max(4 * STRIDE, _multiple(size))


def _multiple(size: int) -> int:
    """Return the smallest multiple of `STRIDE` that is no smaller."""
    return -(-size // STRIDE) * STRIDE


def fading(size: int, fade_in: bool, fade_out: bool) -> Tensor:
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
