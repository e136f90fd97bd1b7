"""Pre-training on random scenes.

Resumable: the run folder holds ``state.safetensors`` (`RunState`) and ``log.csv``; the same command goes on
where it stopped. The scenes are decided by the seed alone; so are the weights on one kind of
device with one number of threads.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Generator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from napari_stemprior.atomic_write import replaced
from napari_stemprior.errors import ModelError, TrainingError
from napari_stemprior.network.checkpoint import load_tensors, save_network
from napari_stemprior.network.config import NetworkConfig
from napari_stemprior.network.devices import resolve_device
from napari_stemprior.network.stemprior_net import StructurePromptedNet
from napari_stemprior.progress import Progress
from napari_stemprior.structure.prior import StructurePrior
from napari_stemprior.training.config import TrainingConfig
from napari_stemprior.training.cuda_graph import GraphedStep, StaticExample
from napari_stemprior.training.distributed import share_gradients
from napari_stemprior.training.examples import Example
from napari_stemprior.training.loss_log import append_losses, forget_after
from napari_stemprior.training.losses import losses
from napari_stemprior.training.run_state import RunState, mixed_precision
from napari_stemprior.training.together import train_together

if TYPE_CHECKING:
    from lightning_fabric import Fabric

#: The files of a run.
_STATE, _WEIGHTS, _LOG = "state.safetensors", "weights.safetensors", "log.csv"
#: Share of the averaged weights that stays at each step: they look back some 500 steps.
_EMA_DECAY = 0.998


def run_files(folder: Path) -> list[tuple[Path, bytes]]:
    """List the files of a run, each with what it holds if a run wrote it; nothing else may lie there.

    The weights of another run that were copied into a folder without a state are not this run's.
    """
    own = b'"config"' if (folder / _STATE).is_file() else b""
    return [
        (folder / _STATE, b"moment."),
        (folder / _WEIGHTS, own),
        (folder / _LOG, b"step,samples,seconds"),
        (folder / "config.json", b'"learning_rate"'),
    ]


class Trainer:
    """One run in a folder of its own.

    Parameters
    ----------
    config : TrainingConfig
    folder : pathlib.Path
    bank : list of StructurePrior
        What scenes are made of, beside random crystals.
    build : callable, optional
        Makes the network from its configuration; for rivals that change a part of it.
    fabric : Fabric, optional
        Of `start_fabric`, where several devices train together. Each draws its own scenes; the first one
        writes.
    first_batch : int
        Mini-batch at which it begins, where it is trained together with others.
    weights_seed : int, optional
        Of the random weights; that of the scenes where not given.
    """

    def __init__(
        self,
        config: TrainingConfig,
        folder: Path,
        bank: list[StructurePrior],
        build: Callable[[NetworkConfig], StructurePromptedNet] = StructurePromptedNet,
        fabric: Fabric | None = None,
        first_batch: int = 0,
        weights_seed: int | None = None,
    ) -> None:
        self.config, self.folder, self.bank, self.fabric = config, folder, bank, fabric
        self.first_batch = first_batch
        self.device = fabric.device if fabric else resolve_device(config.device)
        torch.manual_seed(config.seed if weights_seed is None else weights_seed)
        try:
            network = build(config.network).to(self.device)
        except (ValueError, AssertionError, ZeroDivisionError) as error:
            raise TrainingError(f"The sizes of the network do not go together ({error}).") from error
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.state = RunState(
            network,
            config.learning_rate,
            config.rate_factor,
            weight_decay=config.weight_decay,
            ema_decay=_EMA_DECAY,
        )
        self._graphed = GraphedStep(self._descend)
        self.seconds = 0.0
        self._since: float | None = None  # it counts from its first mini-batch on
        self._saved = -1
        self._sums: dict[str, Tensor | float] = {}
        self._summed = 0
        if self._state_path.exists():
            _, metadata = self.state.resume_from(self._state_path, self._check)
            try:
                self.seconds = float(metadata["seconds"])
            except (KeyError, ValueError) as error:
                raise TrainingError(
                    f"{self._state_path}: the state of the run is damaged; begin anew in another folder."
                ) from error

    def start_from(self, network: StructurePromptedNet) -> float:
        """Take the weights of another network, before the first step.

        Every tensor is taken whose name and sizes agree; parts that the other network lacks start as they
        are.

        Returns
        -------
        float
            Share of the network's numbers that were taken.

        Raises
        ------
        TrainingError
            If nothing agrees.
        """
        own, given = self.state.network.state_dict(), network.state_dict()
        taken = {name: t for name, t in given.items() if name in own and own[name].shape == t.shape}
        share: float = sum(t.numel() for t in taken.values()) / sum(t.numel() for t in own.values())
        if share == 0:
            raise TrainingError(
                "The weights to start from belong to a network of other sizes; take its configuration."
            )
        self.state.start_from(own | taken)
        return share

    @property
    def step(self) -> int:
        """Steps done."""
        return self.state.step

    @property
    def next_batch(self) -> int:
        """Mini-batch that it learns from next."""
        return self.first_batch + self.step

    @property
    def last_batch(self) -> int:
        """Mini-batch before which it ends."""
        return self.first_batch + self.config.steps

    @property
    def _writes(self) -> bool:
        return self.fabric is None or self.fabric.is_global_zero

    @property
    def _devices(self) -> int:
        return self.fabric.world_size if self.fabric else 1

    @property
    def _state_path(self) -> Path:
        return self.folder / _STATE

    @property
    def weights_path(self) -> Path:
        """Where the averaged weights are written."""
        return self.folder / _WEIGHTS

    def run(self, report_every: int = 20, save_every: int = 200) -> Generator[Progress, None, Path]:
        """Train to the last step, yielding after every one; returns the path of the weights.

        Closing the generator between two steps saves the state.
        """
        (weights,) = yield from train_together([self], report_every, save_every)
        return weights

    def start(self) -> None:
        """Make the folder ready; the time counts from the first mini-batch on."""
        if self._writes:
            self.folder.mkdir(parents=True, exist_ok=True)
            forget_after(self.folder / _LOG, self.step)
            with replaced(self.folder / "config.json") as beside:
                beside.write_text(json.dumps(self.config.to_dict(), indent=2), encoding="utf-8")
        self._saved = self.step
        self._sums, self._summed = {}, 0
        self._since = None

    def learn(self, example: Example, report_every: int, save_every: int) -> None:
        """Take one step, and log and save where it is time to.

        Parameters
        ----------
        example : Example
            The mini-batch of step `step`, on the device. From a `StaticExample` a recorded step learns.
        report_every, save_every : int
            Steps.
        """
        if self._since is None:
            self._since = time.monotonic()
        for name, value in self._one_step(example).items():
            self._sums[name] = self._sums.get(name, 0.0) + value.detach()
        self._summed += 1
        if self.step % report_every == 0:
            if self._writes:
                means = {name: float(value) / self._summed for name, value in self._sums.items()}
                self._log(means, self.seconds + time.monotonic() - self._since)
            self._sums, self._summed = {}, 0
        if self.step % save_every == 0 or self.step == self.config.steps:
            self.save()

    def save(self) -> None:
        """Write state and weights, unless this step has been written."""
        if self._since is not None:
            now = time.monotonic()
            self.seconds, self._since = self.seconds + now - self._since, now
        if self._writes and self._saved != self.step:
            self._save()
        self._saved = self.step

    def finish(self) -> Path:
        """Return the path of the weights, which are there."""
        # a run that was killed between state and weights, or whose weights were taken away
        if self._writes and _steps_of(self.weights_path) != self.step:
            self._save()
        return self.weights_path

    def _one_step(self, example: Example) -> dict[str, Tensor]:
        self.state.set_rate()
        parts = self._graphed(example) if isinstance(example, StaticExample) else self._descend(example)
        self.state.settle(parts.pop("norm"))
        return parts

    def _descend(self, example: Example) -> dict[str, Tensor]:
        """Move the weights; returns the parts of the loss and the norm of the gradient."""
        network = self.state.network.train()
        with mixed_precision(self.device):
            output = network(example.image, example.prompt)
            if example.negatives is not None and self.config.network.embeddings:
                embedded = network.structure_embedding(example.negatives)
                output.negative_embedding = embedded.reshape(len(example.image), -1, embedded.shape[-1])
        parts = losses(output, example, self.config.losses)
        share = partial(share_gradients, self.fabric, network) if self.fabric else None
        parts["norm"] = self.state.descend(parts["total"], share)
        return parts

    def _log(self, means: dict[str, float], seconds: float) -> None:
        samples = self.step * self.config.batch * self._devices
        rate = self.config.learning_rate * self.config.rate_factor(self.step - 1)
        append_losses(self.folder / _LOG, self.step, samples, seconds, rate, means)

    def _save(self) -> None:
        metadata = {"seconds": str(self.seconds), "config": self.state.network.config.to_json()}
        self.state.save_to(self._state_path, metadata)
        notes = {
            "steps": self.step,
            "samples": self.step * self.config.batch * self._devices,
            "minutes": round(self.seconds / 60, 1),
            "device": str(self.device),
            "devices": self._devices,
            "training": self.config.to_dict(),
        }
        save_network(self.state.averaged, self.weights_path, notes)

    def _check(self, metadata: Mapping[str, str]) -> None:
        if metadata.get("config") != self.state.network.config.to_json():
            raise TrainingError(
                f"{self.folder}: the run there has a network of other sizes; choose another folder."
            )


def _steps_of(weights: Path) -> int:
    """Return the steps after which weights were saved; -1 where there are none that can be read."""
    try:
        return int(json.loads(load_tensors(weights)[1]["notes"])["steps"])
    except (ModelError, KeyError, ValueError, TypeError, OverflowError, RecursionError):
        return -1
