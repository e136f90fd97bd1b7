"""Where the time of a training step goes: ``python -m benchmarks.speed.training_step --config paper small``.

Draws a few mini-batches of each configuration, takes steps on them, and prints the ms of a step, what part
of it the device computes, how many pieces of work the processor hands it, and how often the processor waits
for an answer meanwhile. Where the device computes for less than the whole step, the processor is too slow for
it. A GPU repeats a step that was recorded (`training.cuda_graph`); the last column is what that takes while
`--busy` processes draw scenes beside it, as they do in training. On a CPU, which records nothing, the times
of the pieces overlap with what measures them, and may add up to more.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import torch
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile
from torch.utils.data import DataLoader

from napari_stemprior.kept_memory import keep_freed_memory
from napari_stemprior.network.devices import resolve_device
from napari_stemprior.structure.prior import StructurePrior
from napari_stemprior.training.config import TrainingConfig, read_config
from napari_stemprior.training.cuda_graph import StaticExamples
from napari_stemprior.training.examples import Example, ExampleStream
from napari_stemprior.training.structure_bank import library_bank, load_bank
from napari_stemprior.training.train import Trainer

#: Mini-batches that are drawn, and that pass before the time counts; of those that wait a process has drawn.
_DRAWN, _WARM, _WAITING = 4, 5, 5


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", nargs="+", default=["paper", "small"], help="as of stemprior train")
    parser.add_argument("--bank", type=Path, help="crystals saved as arrays, where ASE is not installed")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--batch", type=int, help="scenes a step, other than the configuration's")
    parser.add_argument("--steps", type=int, default=20, help="that are timed (default 20)")
    parser.add_argument(
        "--busy", type=int, default=0, help="processes that draw scenes beside the last column"
    )
    arguments = parser.parse_args()
    bank = load_bank(arguments.bank) if arguments.bank else library_bank()
    device = resolve_device(arguments.device)
    if device.type == "cpu":
        keep_freed_memory(whole=True)  # as `stemprior train` does
    print(f"{device}, torch {torch.__version__}, {torch.get_num_threads()} threads\n")
    columns = ("scenes", "ms a step", "computing", "pieces of work", "answers", "recorded", "drawn beside")
    print("| configuration | " + " | ".join(columns) + " |\n|---" + "|---:" * len(columns) + "|")
    for name in arguments.config:
        config = read_config(name).with_options(device=arguments.device)
        config = config.with_options(batch=arguments.batch) if arguments.batch else config
        with tempfile.TemporaryDirectory() as folder:
            trainer = Trainer(config, Path(folder), bank)
            examples = [one.to(device) for one in drawn(config, bank)]
            step = timed(trainer, examples, arguments.steps)
            computing, pieces, answers = profiled(trainer, examples)
            recorded, beside = "", ""
            if place := StaticExamples.on(device):
                static = [place(one) for one in drawn(config, bank)[:1]]
                recorded = f"{timed(trainer, static, arguments.steps):.0f}"
            if arguments.busy:
                with_others = beside_loaders(trainer, config, bank, arguments.steps, arguments.busy)
                beside = f"{with_others:.0f}"
        print(
            f"| {name} | {config.batch} | {step:.0f} | {100 * computing / step:.0f} % | {pieces} | {answers} "
            f"| {recorded} | {beside} |",
            flush=True,
        )
    return 0


def drawn(config: TrainingConfig, bank: list[StructurePrior]) -> list[Example]:
    """Draw a few mini-batches."""
    batches = iter(stream(config, bank))
    return [next(batches) for _ in range(_DRAWN)]


def stream(config: TrainingConfig, bank: list[StructurePrior]) -> ExampleStream:
    """Return the scenes of a configuration."""
    return ExampleStream(
        bank, config.side, config.batch, config.seed, odds=config.prompts, recorded=config.recorded,
        disordered=config.disordered, negatives=config.negatives,
    )  # fmt: skip


def timed(trainer: Trainer, examples: list[Example], steps: int) -> float:
    """Return the ms of a step on mini-batches that lie on the device."""
    for number in range(_WARM + steps):
        if number == _WARM:
            wait(trainer.device)
            start = time.perf_counter()
        trainer._one_step(examples[number % len(examples)])
    wait(trainer.device)
    return 1e3 * (time.perf_counter() - start) / steps


def profiled(trainer: Trainer, examples: list[Example]) -> tuple[float, int, int]:
    """Return ms that the device computes in a step, pieces of work and answers that are waited for."""
    on_gpu = trainer.device.type == "cuda"
    kinds = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]
    with profile(activities=kinds) as seen:
        trainer._one_step(examples[0])
        wait(trainer.device)
    events = seen.key_averages()
    if on_gpu:
        # what the processor asked for is listed with the same times again
        kernels = [event for event in events if event.device_type == DeviceType.CUDA]
        computing = sum(event.self_device_time_total for event in kernels) / 1e3
        answers = sum(event.count for event in events if event.key == "cudaStreamSynchronize")
        return computing, sum(event.count for event in kernels), answers
    own = [event for event in events if event.key.startswith("aten::") and event.self_cpu_time_total > 0]
    computing = sum(event.self_cpu_time_total for event in own) / 1e3
    answers = sum(event.count for event in events if event.key == "aten::_local_scalar_dense")
    return computing, sum(event.count for event in own), answers


def beside_loaders(
    trainer: Trainer, config: TrainingConfig, bank: list[StructurePrior], steps: int, workers: int
) -> float:
    """Return the ms of a step, waiting for its scenes included, while processes draw them."""
    loader = DataLoader(stream(config, bank), batch_size=None, num_workers=workers, prefetch_factor=4)
    batches = iter(loader)
    place = StaticExamples.on(trainer.device) or (lambda example: example.to(trainer.device))
    for _ in range(_WARM + _WAITING * workers):
        trainer._one_step(place(next(batches)))
    wait(trainer.device)
    start = time.perf_counter()
    for _ in range(steps):
        trainer._one_step(place(next(batches)))
    wait(trainer.device)
    return 1e3 * (time.perf_counter() - start) / steps


def wait(device: torch.device) -> None:
    """Wait until a GPU has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


if __name__ == "__main__":
    raise SystemExit(main())
