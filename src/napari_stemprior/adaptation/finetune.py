"""Fine-tuning: a trained network learns from corrected images without forgetting simulated ones.

Every mini-batch is half crops of corrected images and half simulated scenes. The statistics of the batch
normalisation stay those of the parent: a few images say too little about them. Averaged weights are kept
beside those that move, and a state file makes a stopped run go on as if it had not been stopped.
"""

from __future__ import annotations

import copy
import hashlib
import json
import math
import time
from collections.abc import Generator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from napari_stemprior.adaptation.augmentation import CorrectedView
from napari_stemprior.errors import TrainingError
from napari_stemprior.network.prompt import StructurePrompt
from napari_stemprior.network.stemprior_net import StructurePromptedNet
from napari_stemprior.progress import Progress
from napari_stemprior.structure.prior import StructurePrior
from napari_stemprior.training.examples import Example, collate, make_example
from napari_stemprior.training.losses import losses
from napari_stemprior.training.prompt_sampling import PromptOdds
from napari_stemprior.training.run_state import RunState, mixed_precision

#: Apart from the seeds of training and of calibration.
_REPLAY, _CROPS = 31_000_000, 32_000_000
#: What simulated scenes are given: without a prior as often as with one, for most of what is forgotten
#: without pairs of the old kind is forgotten there.
_REPLAY_ODDS = PromptOdds(matched=0.4, unregistered=0.04, absent=0.4, wrong=0.1, half_right=0.06)
#: How much of the averaged weights stays at each step, once the run is long enough.
_EMA_DECAY = 0.97
#: Steps that are timed to find out how many fit into the minutes.
_TIMED = 4


@dataclass(frozen=True)
class FinetuneConfig:
    """Settings of a fine-tuning.

    Parameters
    ----------
    steps : int
        Mini-batches; 0 takes as many as fit into `minutes`.
    minutes : float
        For the steps alone, by the clock.
    batch, side : int
        Images in a mini-batch and pixels on their side.
    replay : float
        Share of simulated scenes.
    learning_rate : float
        After a short warm-up; it falls along a cosine to 2 %.
    seed : int
    """

    steps: int = 0
    minutes: float = 1.2
    batch: int = 8
    side: int = 128
    replay: float = 0.5
    learning_rate: float = 5e-4
    seed: int = 1

    def __post_init__(self) -> None:
        if self.steps < 0 or self.batch < 1:
            raise TrainingError("steps must not be negative and batch must be at least 1.")
        if not (math.isfinite(self.learning_rate) and self.learning_rate > 0) or self.seed < 0:
            raise TrainingError("learning_rate must be a number above 0, and seed must not be negative.")
        if self.steps == 0 and not (math.isfinite(self.minutes) and self.minutes > 0):
            raise TrainingError(f"minutes is {self.minutes}; give a positive number, or steps.")
        if self.side < 32 or self.side % 8:
            raise TrainingError(f"side is {self.side}; it must be a multiple of 8 from 32 up.")
        if not 0 <= self.replay < 1:
            raise TrainingError(f"replay is {self.replay}; give a share from 0 to below 1.")

    @property
    def replayed(self) -> int:
        """Simulated scenes in a mini-batch."""
        return min(round(self.replay * self.batch), self.batch - 1)


@dataclass(frozen=True)
class TrainingProgress(Progress):
    """How far the training is, with the loss of the last step."""

    loss: float = float("nan")


class FineTuner:
    """One fine-tuning.

    Parameters
    ----------
    network : StructurePromptedNet
        The parent; it is changed.
    views : sequence of CorrectedView
    bank : list of StructurePrior
        What simulated scenes are made of.
    config : FinetuneConfig
    state : pathlib.Path, optional
        Where the run is kept while it goes on, so that it can be resumed.
    resume : bool
        Go on from `state` if it is there.
    device : torch device

    Raises
    ------
    TrainingError
        If there is nothing to learn from, or `state` belongs to another run.
    """

    def __init__(
        self,
        network: StructurePromptedNet,
        views: Sequence[CorrectedView],
        bank: list[StructurePrior],
        config: FinetuneConfig,
        *,
        state: Path | None = None,
        resume: bool = False,
        device: torch.device | str = "cpu",
    ) -> None:
        self.views = [view for view in views if view.known.any()]
        if not self.views:
            raise TrainingError(
                "No pixel of the training pairs is marked as reviewed; mark what you checked."
            )
        self.config, self.bank, self.state_path = config, bank, state
        self.device = torch.device(device)
        self.identity = self._identity(network)
        network = network.to(self.device)
        self._parent = copy.deepcopy(network).eval().requires_grad_(False)
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        network.eval()  # see the module's docstring; nothing else depends on the mode
        self.steps = config.steps
        self.losses: list[float] = []
        self.state = RunState(
            network, config.learning_rate, self._rate_factor, weight_decay=0.0, ema_decay=_EMA_DECAY
        )
        if resume and state is not None and state.exists():
            self._resume(state)
        # a large image counts for more than a small one, but not in proportion
        area = np.array([np.sqrt(view.known.sum()) for view in self.views])
        self._odds = area / area.sum()

    @property
    def step(self) -> int:
        """Steps done."""
        return self.state.step

    def run(self, save_every: int = 20) -> Generator[Progress, None, StructurePromptedNet]:
        """Train to the last step, yielding after each; returns the network with the averaged weights.

        Closing the generator between two steps saves the state.
        """
        start, done = time.monotonic(), 0
        try:
            while not self.steps or self.step < self.steps:
                if done == 1:
                    start = time.monotonic()  # the first step is slower than the rest
                self.losses.append(self._one_step())
                done += 1
                if not self.steps and done == _TIMED:
                    each = (time.monotonic() - start) / (_TIMED - 1)
                    self.steps = max(2 * _TIMED, int(60 * self.config.minutes / each))
                    self.state.follow(self._rate_factor)
                total = self.steps
                if self.step % save_every == 0 and self.step != total:
                    self._save()
                yield TrainingProgress(self.step, total, "training", self.losses[-1])
        except GeneratorExit:
            self._save()
            raise
        network = self.state.network
        network.load_state_dict(self.state.averaged.state_dict())
        return network

    def examples(self, step: int) -> list[Example]:
        """Return the mini-batch of a step; the seed alone decides it."""
        config, made = self.config, []
        for number in range(config.batch):
            replayed = number < config.replayed
            rng = np.random.default_rng([config.seed, _REPLAY if replayed else _CROPS, step, number])
            if replayed:
                made.append(make_example(rng, self.bank, config.side, odds=_REPLAY_ODDS))
            else:
                made.append(
                    self.views[int(rng.choice(len(self.views), p=self._odds))].example(rng, config.side)
                )
        return made

    def _rate_factor(self, step: int) -> float:
        warmup = min(10, max(1, self.steps // 5)) if self.steps else 10
        if step < warmup:
            return (step + 1) / warmup
        part = (step - warmup) / max(1, self.steps - warmup)
        return 0.02 + 0.98 * 0.5 * (1 + float(np.cos(np.pi * min(part, 1.0))))

    def _one_step(self) -> float:
        batch = collate(self.examples(self.step)).to(self.device)
        batch.prompt = batch.prompt.to(self.device)
        with mixed_precision(self.device):
            output = self.state.network(batch.image, batch.prompt)
        self._distil(batch)
        total = losses(output, batch)["total"]
        self.state.learn(total)
        return float(total.detach())

    def _distil(self, batch: Example) -> None:
        """Make what the parent says of the simulated scenes their target, so that it is not forgotten.

        Distillation from the network before training: Li and Hoiem, Learning without Forgetting
        (arXiv:1606.09282).
        """
        count = self.config.replayed
        if count:
            prompt = StructurePrompt(**{name: value[:count] for name, value in vars(batch.prompt).items()})
            with torch.no_grad(), mixed_precision(self.device):
                batch.heat[:count] = self._parent(batch.image[:count], prompt).heat.sigmoid()

    def _identity(self, network: StructurePromptedNet) -> str:
        """Hash everything that decides the run: parent, images, settings."""
        hashed = hashlib.sha256(json.dumps(asdict(self.config), sort_keys=True).encode())
        for tensor in network.state_dict().values():
            hashed.update(tensor.detach().cpu().contiguous().numpy().tobytes())
        for view in self.views:
            for part in (view.images[0].numpy(), view.known, view.yx):
                hashed.update(np.ascontiguousarray(part).tobytes())
        return hashed.hexdigest()

    def _save(self) -> None:
        if self.state_path is None or self.step == 0:
            return
        extra = {"losses": torch.tensor(self.losses, dtype=torch.float64)}
        self.state.save_to(self.state_path, {"steps": str(self.steps), "identity": self.identity}, extra)

    def _resume(self, path: Path) -> None:
        def check(metadata: Mapping[str, str]) -> None:
            if metadata.get("identity") != self.identity:
                raise TrainingError(
                    f"{path}: this run had other pairs, settings or another parent; "
                    "give the network another name, or start without --resume to begin anew."
                )
            self.steps = int(metadata["steps"])  # the schedule depends on it

        extra, _ = self.state.resume_from(path, check)
        self.losses = extra["losses"].tolist() if "losses" in extra else []
