"""Examples: image, prompt and targets of one random scene, and an endless stream of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from napari_stemprior.network.config import CANONICAL_PIXEL_SIZE
from napari_stemprior.network.devices import sent
from napari_stemprior.network.prompt import StructurePrompt
from napari_stemprior.structure.prior import StructurePrior
from napari_stemprior.training.acquisition import RECORDED, acquire
from napari_stemprior.training.prompt_sampling import PromptKind, PromptOdds, negative_prompts, prompt_for
from napari_stemprior.training.scenes import DISORDERED, random_scene

#: Å: width of the target around a column.
TARGET_SIGMA = 0.26
#: Pixels to each side over which the target around a column is drawn.
_TARGET_REACH = 5
#: Pixels around a column in which the offset is learned.
_OFFSET_REACH = 2
#: Pixels that are cut off around the field, so that its periodic edges do not show.
_MARGIN = 16


@dataclass(eq=False)
class Example:
    """One or more training images with everything the losses need.

    Parameters
    ----------
    image : Tensor (B, 1, H, W)
    prompt : StructurePrompt
    heat : Tensor (B, 2, H, W)
        Targets in [0, 1]: entrance layer, hidden layers; NaN where the truth is unknown.
    offset : Tensor (B, 2, H, W)
        Pixels from each pixel to its column, NaN where there is none near.
    columns : Tensor (B, M, 2)
        True columns, pixels; padded.
    column_token : Tensor (B, M) of int64
        The token of the prompt that the column shows; -1 for none, -2 for padding.
    matched : Tensor (B,) of bool
        Whether the prompt describes the image.
    negatives : StructurePrompt, optional
        Structures that are easily taken for the true one: K for each image, one image after the other.
    """

    image: Tensor
    prompt: StructurePrompt
    heat: Tensor
    offset: Tensor
    columns: Tensor
    column_token: Tensor
    matched: Tensor
    negatives: StructurePrompt | None = None

    def to(self, device: torch.device | str) -> Example:
        """Move to a device, with its prompts."""
        moved: dict[str, Any] = {
            name: sent(value, device) if isinstance(value, Tensor) else value and value.to(device)
            for name, value in vars(self).items()
        }
        return Example(**moved)


def make_example(
    rng: np.random.Generator,
    bank: list[StructurePrior],
    side: int,
    kind: PromptKind | None = None,
    odds: PromptOdds | None = None,
    recorded: float = RECORDED,
    disordered: float = DISORDERED,
    negatives: int = 0,
) -> Example:
    """Draw one example of `side` pixels; batch size 1.

    The image is drawn before the prompt, so the same seed shows the same image whatever the odds.
    `recorded` is the share of examples with the artefacts of a recording, `disordered` that of examples
    without a crystal. Columns in what was filled in are no targets. `negatives` is how many structures are
    drawn that are easily taken for the true one.
    """
    acquired = acquire(random_scene(rng, bank, side + 2 * _MARGIN, disordered), rng, recorded=recorded)
    scene, image = acquired.scene, acquired.image[_MARGIN:-_MARGIN, _MARGIN:-_MARGIN]
    kind = (odds or PromptOdds()).draw(rng) if kind is None else kind
    prompt, token_of = prompt_for(scene, kind, rng, bank, _MARGIN, side)
    yx, hidden, lattice, index = scene.true_columns()
    seen = acquired.shows(yx)
    yx, hidden, lattice, index = yx[seen] - _MARGIN, hidden[seen], lattice[seen], index[seen]
    on_site = (token_of[lattice] >= 0) & (index >= 0)
    token = np.where(on_site, token_of[lattice] + index, -1)
    heat, offset = targets(yx, hidden, side)
    inside = ((yx >= 0) & (yx <= side - 1)).all(axis=1)
    return Example(
        torch.from_numpy(np.ascontiguousarray(image))[None, None],
        prompt,
        torch.from_numpy(heat)[None],
        torch.from_numpy(offset)[None],
        torch.from_numpy(yx[inside]).float()[None],
        torch.from_numpy(token[inside].astype(np.int64))[None],
        torch.tensor([bool(on_site.any()) and kind in (PromptKind.MATCHED, PromptKind.UNREGISTERED)]),
        negative_prompts(scene, negatives, rng, bank) if negatives else None,
    )


def targets(
    yx: NDArray[np.float64], hidden: NDArray[np.int64], side: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Draw the target maps of (N, 2) columns.

    Returns
    -------
    heat : (2, side, side) array
    offset : (2, side, side) array
        NaN away from columns.
    """
    sigma, wide, near = TARGET_SIGMA / CANONICAL_PIXEL_SIZE, _TARGET_REACH, _OFFSET_REACH
    pixel = np.round(yx).astype(np.int64)[:, :, None] + np.arange(
        -wide, wide + 1
    )  # (N, 2, 11): rows, columns
    delta = (yx[:, :, None] - pixel).astype(np.float32)
    inside = (pixel >= 0) & (pixel < side)
    row, column = np.where(inside[:, 0], pixel[:, 0] * side, -2 * side**2), pixel[:, 1]
    flat = row[:, :, None] + np.where(inside[:, 1], column, -2 * side**2)[:, None]  # negative outside
    known = flat >= 0
    profile = np.exp(-(delta**2) / np.float32(2 * sigma**2))
    spot = profile[:, 0, :, None] * profile[:, 1, None]
    heat = np.zeros((2, side * side), np.float32)
    for layer in (0, 1):
        mine = hidden == layer
        chosen = known[mine]
        np.maximum.at(heat[layer], flat[mine][chosen], spot[mine][chosen])
    core = slice(wide - near, wide + near + 1)
    dy, dx = delta[:, 0, core, None], delta[:, 1, None, core]
    distance2 = dy**2 + dx**2
    taken = known[:, core, core] & (distance2 <= near**2)
    order = np.argsort(-distance2[taken], kind="stable")  # the nearest column writes last
    places = flat[:, core, core][taken][order]
    offset = np.full((2, side * side), np.nan, np.float32)
    for axis, part in enumerate((dy, dx)):
        offset[axis, places] = np.broadcast_to(part, distance2.shape)[taken][order]
    return heat.reshape(2, side, side), offset.reshape(2, side, side)


def collate(examples: list[Example]) -> Example:
    """Join examples of batch size 1."""
    longest = max(e.columns.shape[1] for e in examples)
    columns = torch.zeros(len(examples), longest, 2)
    token = torch.full((len(examples), longest), -2)
    for row, e in enumerate(examples):
        columns[row, : e.columns.shape[1]] = e.columns[0]
        token[row, : e.columns.shape[1]] = e.column_token[0]
    return Example(
        torch.cat([e.image for e in examples]),
        StructurePrompt.collate([e.prompt for e in examples]),
        torch.cat([e.heat for e in examples]),
        torch.cat([e.offset for e in examples]),
        columns,
        token,
        torch.cat([e.matched for e in examples]),
        StructurePrompt.collate([p for e in examples for p in _each(e.negatives)])
        if examples[0].negatives is not None
        else None,
    )


def _each(prompts: StructurePrompt | None) -> list[StructurePrompt]:
    """Take a batch of prompts apart."""
    if prompts is None:
        return []
    return [
        StructurePrompt(**{name: value[row : row + 1] for name, value in vars(prompts).items()})
        for row in range(len(prompts.present))
    ]


class ExampleStream(IterableDataset[Example]):
    """Batches without end; every worker and every start draws its own, decided by the seed.

    Parameters
    ----------
    bank : list of StructurePrior
    side : int
        Pixels of a crop.
    batch : int
    seed : int
    first_step : int
        Steps already done, so that a resumed run does not see the same scenes again.
    odds : PromptOdds, optional
    rank : int
        Number of the device that trains on them; each sees its own scenes.
    recorded : float
        Share of the scenes with the artefacts of a recording.
    disordered : float
        Share of the scenes without a crystal.
    negatives : int
        Structures a scene that are easily taken for the true one.
    """

    def __init__(
        self,
        bank: list[StructurePrior],
        side: int,
        batch: int,
        seed: int,
        first_step: int = 0,
        odds: PromptOdds | None = None,
        rank: int = 0,
        recorded: float = RECORDED,
        disordered: float = DISORDERED,
        negatives: int = 0,
    ) -> None:
        super().__init__()
        self.bank, self.side, self.batch, self.seed, self.first_step = bank, side, batch, seed, first_step
        self.odds, self.rank, self.recorded, self.disordered = odds, rank, recorded, disordered
        self.negatives = negatives

    def __iter__(self) -> Iterator[Example]:
        """Yield batches."""
        worker = get_worker_info()
        number = worker.id if worker else 0
        workers = worker.num_workers if worker else 1
        if worker:  # a worker beside others gains nothing from more threads
            torch.set_num_threads(1)
        step = self.first_step + number
        while True:
            # one generator an example: a scene stays the same whatever prompt the one before it drew
            rngs = [np.random.default_rng([self.seed, step, self.rank, i]) for i in range(self.batch)]
            yield collate([self._example(rng) for rng in rngs])
            step += workers

    def _example(self, rng: np.random.Generator) -> Example:
        return make_example(
            rng,
            self.bank,
            self.side,
            odds=self.odds,
            recorded=self.recorded,
            disordered=self.disordered,
            negatives=self.negatives,
        )
