"""Pre-training on random scenes.

Resumable: the run folder holds ``state.safetensors`` (weights, moments, step) and ``log.csv``; the same
command goes on where it stopped. The scenes are decided by the seed alone; so are the weights on one kind of
device with one number of threads.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from napari_stemprior.atomic_write import replaced
from napari_stemprior.errors import TrainingError
from napari_stemprior.network.checkpoint import load_tensors, save_network, save_tensors
from napari_stemprior.network.config import NetworkConfig
from napari_stemprior.network.stemprior_net import StructurePromptedNet
from napari_stemprior.progress import Progress
from napari_stemprior.training.config import TrainingConfig
from napari_stemprior.training.crystals import Crystal
from napari_stemprior.training.devices import share_gradients, training_device
from napari_stemprior.training.examples import Example, ExampleStream
from napari_stemprior.training.loss_log import append_losses, forget_after
from napari_stemprior.training.losses import losses

if TYPE_CHECKING:
    from lightning_fabric import Fabric

_EMA_DECAY = 0.998


class Trainer:
    """One run: network, optimiser, averaged weights and its folder.

    Parameters
    ----------
    config : TrainingConfig
    folder : pathlib.Path
    bank : list of Crystal
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
        bank: list[Crystal],
        build: Callable[[NetworkConfig], StructurePromptedNet] = StructurePromptedNet,
        fabric: Fabric | None = None,
    ) -> None:
        self.config, self.folder, self.bank, self.fabric = config, folder, bank, fabric
        self.device = fabric.device if fabric else training_device(config)
        torch.manual_seed(config.seed)
        self.network = build(config.network).to(self.device)
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = build(config.network).to(self.device).eval()
        self.average.load_state_dict(self.network.state_dict())
        self.optimiser = torch.optim.AdamW(
            self.network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
        )
        self.step = 0
        self.seconds = 0.0
        if self._state_path.exists():
            self._resume()

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
            self.step += 1
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
        rate = self.config.rate(self.step)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.network.train()
        mixed = self.device.type in ("cpu", "cuda")
        with torch.autocast(self.device.type, torch.bfloat16) if mixed else nullcontext():
            output = self.network(example.image, example.prompt)
        parts = losses(output, example, self.config.losses)
        self.optimiser.zero_grad(set_to_none=True)
        parts["total"].backward()  # type: ignore[no-untyped-call]
        if self.fabric:
            share_gradients(self.fabric, self.network)
        norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), 2.0)
        if not bool(torch.isfinite(norm)):
            raise TrainingError(f"The loss is not finite at step {self.step}; lower the learning rate.")
        self.optimiser.step()
        decay = min(_EMA_DECAY, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for kept, new in zip(
                self.average.state_dict().values(), self.network.state_dict().values(), strict=True
            ):
                if kept.is_floating_point():
                    kept.lerp_(new.to(kept.dtype), 1 - decay)
                else:
                    kept.copy_(new)
        return parts

    def _log(self, means: dict[str, float], seconds: float) -> None:
        samples = self.step * self.config.batch * self._devices
        rate = self.config.rate(self.step - 1)
        append_losses(self.folder / "log.csv", self.step, samples, seconds, rate, means)

    def _save(self) -> None:
        names = [name for name, _ in self.network.named_parameters()]
        tensors = {f"network.{n}": t for n, t in self.network.state_dict().items()}
        tensors |= {f"average.{n}": t.clone() for n, t in self.average.state_dict().items()}
        for name, parameter in zip(names, self.network.parameters(), strict=True):
            state = self.optimiser.state.get(parameter, {})
            tensors |= {f"moment.{key}.{name}": value.clone() for key, value in state.items()}
        metadata = {
            "step": str(self.step),
            "seconds": str(self.seconds),
            "config": self.network.config.to_json(),
        }
        save_tensors(tensors, metadata, self._state_path)
        notes = {
            "steps": self.step,
            "samples": self.step * self.config.batch * self._devices,
            "minutes": round(self.seconds / 60, 1),
            "device": str(self.device),
            "devices": self._devices,
            "training": self.config.to_dict(),
        }
        save_network(self.average, self.weights_path, notes)

    def _resume(self) -> None:
        tensors, metadata = load_tensors(self._state_path)
        if metadata.get("config") != self.network.config.to_json():
            raise TrainingError(
                f"{self.folder}: the run there has a network of other sizes; choose another folder."
            )
        for prefix, module in (("network.", self.network), ("average.", self.average)):
            module.load_state_dict({n[len(prefix) :]: t for n, t in tensors.items() if n.startswith(prefix)})
        for name, parameter in self.network.named_parameters():
            state = {
                key: tensors[f"moment.{key}.{name}"]
                for key in ("step", "exp_avg", "exp_avg_sq")
                if f"moment.{key}.{name}" in tensors
            }
            if state:
                self.optimiser.state[parameter] = {
                    k: v if k == "step" else v.to(self.device) for k, v in state.items()
                }
        self.step = int(metadata["step"])
        self.seconds = float(metadata["seconds"])
        if self._writes:
            forget_after(self.folder / "log.csv", self.step)
