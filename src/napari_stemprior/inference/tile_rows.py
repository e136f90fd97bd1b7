"""The network's answer to an image that is not in memory, from row to row of its tiles.

A tile counts by the product of a weight along its rows and one along its columns, and all rows of tiles are
cut alike. So the answers of one row of tiles are blended first, as for an image of that height, and the rows
then with the weights along the columns: the sums are those of `predict_each`, taken in another order.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_stemprior.inference.canonical import CanonicalImage
from napari_stemprior.inference.canonical_strips import CanonicalStrips
from napari_stemprior.inference.normalisation import SEEN, normalised_image
from napari_stemprior.inference.tiles import (
    OVERLAP,
    Answer,
    fading,
    padded,
    padded_size,
    predict_normalised,
    tile_starts,
)
from napari_stemprior.network.config import STRIDE
from napari_stemprior.network.prompt import StructurePrompt
from napari_stemprior.network.stemprior_net import StructurePromptedNet
from napari_stemprior.progress import Progress

T = TypeVar("T")

#: Canonical pixels that are normalised together.
_NORMALISED = 2**23


def predict_rows(
    network: StructurePromptedNet,
    image: CanonicalStrips,
    prompts: Callable[[CanonicalImage], list[StructurePrompt]],
    device: torch.device,
    precision: torch.dtype,
    stage: str,
    take: Callable[[int, list[Answer]], None],
) -> Generator[Progress, None, None]:
    """Run the network over an image with several prompts.

    Parameters
    ----------
    network : StructurePromptedNet
        On `device`, in evaluation mode.
    image : CanonicalStrips
    prompts : callable
        Gives the prompts of some rows of the image.
    device : torch.device
    precision : torch.dtype
        Of the network's coarse layers, see `StructurePromptedNet.folded`.
    stage : str
        What the progress says.
    take : callable
        Gets the answers to rows that are done, from the top, one for each prompt, and their first row.
    """
    network = network.folded(precision)
    height, width = image.shape
    whole = (padded_size(height), padded_size(width))
    (tops, rows), across = tile_starts(whole[0]), len(tile_starts(whole[1])[0])
    together = max(1, (_NORMALISED // whole[1] - 2 * SEEN - OVERLAP) // (rows - OVERLAP))
    blended: _Blended | None = None
    for number, top in enumerate(tops):
        if number % together == 0:
            group = tops[number : number + together]
            first = max(0, top - SEEN) // STRIDE * STRIDE  # so that the end is padded as that of the whole
            band = image.block(slice(first, min(group[-1] + rows + SEEN, height))).image
            seen = yield from _counted(
                normalised_image(padded(band).to(device), stage), number * across, len(tops) * across
            )
        here = image.block(slice(top, min(top + rows, height)))
        part = seen[:, top - first : top - first + rows]
        work = predict_normalised(network, part, here.shape, prompts(here), stage)
        answers = yield from _counted(work, number * across, len(tops) * across)
        if blended is None:
            blended = _Blended(len(answers), width)
        weight = fading(rows, top > 0, top + rows < whole[0]).numpy()
        blended.add(top, weight[: here.shape[0]], answers)
        done = tops[number + 1] if number + 1 < len(tops) else height
        take(*blended.taken(done))
    yield Progress(len(tops) * across, len(tops) * across, stage)


def _counted(work: Generator[Progress, None, T], before: int, total: int) -> Generator[Progress, None, T]:
    """Tell the progress of one row of tiles as that of the whole image."""
    while True:
        try:
            progress = next(work)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]
        yield Progress(min(before + progress.done, total), total, progress.stage)


class _Blended:
    """Rows of tiles that are being blended: those from `first` on, which may get more."""

    def __init__(self, prompts: int, width: int) -> None:
        self.first = 0
        self._maps = [np.zeros((5, 0, width), np.float32) for _ in range(prompts)]
        self._sites = [np.zeros((0, width), np.int32) for _ in range(prompts)]
        self._total, self._best = np.zeros(0, np.float32), np.zeros(0, np.float32)

    def add(self, first: int, weight: NDArray[np.float32], answers: Sequence[Answer]) -> None:
        """Add a row of tiles that begins at the row `first`, with its (R,) weights."""
        more = first + len(weight) - self.first - len(self._total)
        self._total, self._best = (np.pad(one, (0, more)) for one in (self._total, self._best))
        rows = slice(first - self.first, None)
        better = weight > self._best[rows]
        for number, answer in enumerate(answers):
            maps = torch.cat([answer.probability, answer.offset, answer.variance[None]]).numpy()
            self._maps[number] = np.pad(self._maps[number], ((0, 0), (0, more), (0, 0)))
            self._maps[number][:, rows] += maps * weight[:, None]
            sites = np.pad(self._sites[number], ((0, more), (0, 0)), constant_values=-1)
            sites[rows][better] = answer.site.numpy()[better]
            self._sites[number] = sites
        self._total[rows] += weight
        self._best[rows] = np.maximum(self._best[rows], weight)

    def taken(self, last: int) -> tuple[int, list[Answer]]:
        """Take the rows before `last` out: return their first and the answers."""
        count, first = last - self.first, self.first
        answers = []
        for number in range(len(self._maps)):
            maps = torch.from_numpy(self._maps[number][:, :count] / self._total[:count, None])
            site = torch.from_numpy(self._sites[number][:count].copy())
            answers.append(Answer(maps[:2], maps[2:4], maps[4], site))
            self._maps[number] = self._maps[number][:, count:].copy()
            self._sites[number] = self._sites[number][count:].copy()
        self._total, self._best, self.first = self._total[count:], self._best[count:], last
        return first, answers


def rows_of(answer: Answer, rows: slice) -> Answer:
    """Return some rows of the maps."""
    return Answer(
        answer.probability[:, rows], answer.offset[:, rows], answer.variance[rows], answer.site[rows]
    )


def stacked(above: Answer, below: Answer) -> Answer:
    """Put the rows of two answers under one another."""

    def both(name: str, axis: int) -> Tensor:
        return torch.cat([getattr(above, name), getattr(below, name)], dim=axis)

    return Answer(both("probability", 1), both("offset", 1), both("variance", 0), both("site", 0))
