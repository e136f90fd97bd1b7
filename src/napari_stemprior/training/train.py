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
from napari_stemprior.errors import TrainingError
from napari_stemprior.network.checkpoint import save_network
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

#: Share of the averaged weights that stays at each step: they look back some 500 steps.
_EMA_DECAY = 0.998


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
        network = build(config.network).to(self.device)
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
            self.seconds = float(metadata["seconds"])
            if self._writes:
                forget_after(self.folder / "log.csv", self.step)

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
        return self.folder / "state.safetensors"

    @property
    def weights_path(self) -> Path:
        """Where the averaged weights are written."""
        return self.folder / "weights.safetensors"

    def run(self, report_every: int = 20, save_every: int = 200) -> Generator[Progress, None, Path]:
        """Train to the last step, yielding after every one; returns the path of the weights."""
        if self._writes:
            self.folder.mkdir(parents=True, exist_ok=True)
            with replaced(self.folder / "config.json") as beside:
                beside.write_text(json.dumps(self.config.to_dict(), indent=2), encoding="utf-8")
        stream = ExampleStream(
            self.bank, self.config.side, self.config.batch, self.config.seed,
            first_step=self.step, odds=self.config.prompts,
            rank=self.fabric.global_rank if self.fabric else 0, recorded=self.config.recorded,
            disordered=self.config.disordered,
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
        while self.step < self.config.steps:
            parts = self._one_step(next(batches))
            for name, value in parts.items():
                sums[name] = sums.get(name, 0.0) + float(value.detach())
            since += 1
            now = time.monotonic()
            if self.step % report_every == 0 and self._writes:
                self._log({n: s / since for n, s in sums.items()}, self.seconds + now - start)
                sums, since = {}, 0
            if self.step % save_every == 0 or self.step == self.config.steps:
                self.seconds += now - start
                start = now
                if self._writes:
                    self._save()
            yield Progress(self.step, self.config.steps, "training")
        return self.weights_path

    def _one_step(self, example: Example) -> dict[str, Tensor]:
        example = example.to(self.device)
        example.prompt = example.prompt.to(self.device)
        network = self.state.network.train()
        with mixed_precision(self.device):
            output = network(example.image, example.prompt)
        parts = losses(output, example, self.config.losses)
        share = partial(share_gradients, self.fabric, network) if self.fabric else None
        self.state.learn(parts["total"], share)
        return parts

    def _log(self, means: dict[str, float], seconds: float) -> None:
        samples = self.step * self.config.batch * self._devices
        rate = self.config.learning_rate * self.config.rate_factor(self.step - 1)
        append_losses(self.folder / "log.csv", self.step, samples, seconds, rate, means)

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
