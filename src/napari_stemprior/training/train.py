"""Pre-training on random scenes.

Resumable: the run folder holds ``state.safetensors`` (`RunState`) and ``log.csv``; the same command goes on
where it stopped. The scenes are decided by the seed alone; so are the weights on one kind of
device with one number of threads.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from napari_stemprior.atomic_write import replaced
from napari_stemprior.errors import ModelError, TrainingError
from napari_stemprior.network.checkpoint import load_tensors, save_network
from napari_stemprior.network.config import NetworkConfig
from napari_stemprior.network.devices import resolve_device
from napari_stemprior.network.stemprior_net import StructurePromptedNet
from napari_stemprior.progress import Progress
from napari_stemprior.structure.prior import StructurePrior
from napari_stemprior.training.config import TrainingConfig
from napari_stemprior.training.distributed import share_gradients
from napari_stemprior.training.examples import Example, ExampleStream
from napari_stemprior.training.loss_log import append_losses, forget_after
from napari_stemprior.training.losses import losses
from napari_stemprior.training.run_state import RunState, mixed_precision

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
    """

    def __init__(
        self,
        config: TrainingConfig,
        folder: Path,
        bank: list[StructurePrior],
        build: Callable[[NetworkConfig], StructurePromptedNet] = StructurePromptedNet,
        fabric: Fabric | None = None,
    ) -> None:
        self.config, self.folder, self.bank, self.fabric = config, folder, bank, fabric
        self.device = fabric.device if fabric else resolve_device(config.device)
        torch.manual_seed(config.seed)
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
        self.seconds = 0.0
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
        if self._writes:
            self.folder.mkdir(parents=True, exist_ok=True)
            forget_after(self.folder / _LOG, self.step)
            with replaced(self.folder / "config.json") as beside:
                beside.write_text(json.dumps(self.config.to_dict(), indent=2), encoding="utf-8")
        stream = ExampleStream(
            self.bank, self.config.side, self.config.batch, self.config.seed,
            first_step=self.step, odds=self.config.prompts,
            rank=self.fabric.global_rank if self.fabric else 0, recorded=self.config.recorded,
            disordered=self.config.disordered, negatives=self.config.negatives,
        )  # fmt: skip
        loader = DataLoader(
            stream,
            batch_size=None,
            num_workers=self.config.workers,
            prefetch_factor=4 if self.config.workers else None,
        )
        batches: Iterator[Example] = iter(loader)
        sums: dict[str, float] = {}
        since, start = 0, time.monotonic()
        saved = self.step
        while self.step < self.config.steps:
            parts = self._one_step(_next(batches))
            for name, value in parts.items():
                sums[name] = sums.get(name, 0.0) + float(value.detach())
            since += 1
            now = time.monotonic()
            if self.step % report_every == 0 and self._writes:
                self._log({n: s / since for n, s in sums.items()}, self.seconds + now - start)
                sums, since = {}, 0
            if self.step % save_every == 0 or self.step == self.config.steps:
                self.seconds += now - start
                start, saved = now, self.step
                if self._writes:
                    self._save()
            try:
                yield Progress(self.step, self.config.steps, "training")
            except GeneratorExit:
                self.seconds += time.monotonic() - start
                if self._writes and saved != self.step:
                    self._save()
                raise
        # a run that was killed between state and weights, or whose weights were taken away
        if self._writes and _steps_of(self.weights_path) != self.step:
            self._save()
        return self.weights_path

    def _one_step(self, example: Example) -> dict[str, Tensor]:
        example = example.to(self.device)
        example.prompt = example.prompt.to(self.device)
        network = self.state.network.train()
        with mixed_precision(self.device):
            output = network(example.image, example.prompt)
            if example.negatives is not None and self.config.network.embeddings:
                embedded = network.structure_embedding(example.negatives.to(self.device))
                output.negative_embedding = embedded.reshape(len(example.image), -1, embedded.shape[-1])
        parts = losses(output, example, self.config.losses)
        share = partial(share_gradients, self.fabric, network) if self.fabric else None
        self.state.learn(parts["total"], share)
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


def _next(batches: Iterator[Example]) -> Example:
    """Return the next mini-batch.

    Raises
    ------
    TrainingError
        If a process that draws scenes was ended from outside.
    """
    try:
        return next(batches)
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise TrainingError(
            "A process that draws scenes was ended from outside, perhaps for lack of memory; the same "
            "command goes on from the last saved step, and --workers 0 draws in one process."
        ) from error


def _steps_of(weights: Path) -> int:
    """Return the steps after which weights were saved; -1 where there are none that can be read."""
    try:
        return int(json.loads(load_tensors(weights)[1]["notes"])["steps"])
    except (ModelError, KeyError, ValueError, TypeError, OverflowError, RecursionError):
        return -1
