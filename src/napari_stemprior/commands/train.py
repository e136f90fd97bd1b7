"""Train a network on random scenes: ``stemprior train``."""

from __future__ import annotations

import argparse
import sys
from importlib.resources import files
from itertools import chain
from pathlib import Path

from napari_stemprior.commands.option_types import count, positive, positive_count
from napari_stemprior.commands.stopping import exit_code, stop_between_steps
from napari_stemprior.errors import TrainingError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``stemprior train``."""
    parser.add_argument(
        "-o", "--output", type=Path, required=True, help="run folder; the same folder resumes"
    )
    parser.add_argument(
        "--config",
        nargs="+",
        default=["small"],
        help="a TOML file, or the name of one that ships (default small); several learn from the same "
        "scenes, each in a subfolder of its name",
    )
    parser.add_argument(
        "--steps", type=positive_count, help="mini-batches in all, instead of the configuration's"
    )
    parser.add_argument("--batch", type=positive_count, help="images in a mini-batch")
    parser.add_argument("--side", type=positive_count, help="pixels on a side")
    parser.add_argument("--learning-rate", type=positive)
    parser.add_argument("--seed", type=count)
    parser.add_argument("--workers", type=count, help="processes that draw scenes")
    parser.add_argument("--device", help="auto, cpu, cuda or mps")
    parser.add_argument("--devices", type=positive_count, help="how many of them, through Lightning Fabric")
    parser.add_argument(
        "--bank", type=Path, help="crystals of 'stemprior structures' instead of the built-in ones"
    )
    parser.add_argument(
        "--start-from",
        type=Path,
        help="network to start a new run from, a name or a file; what agrees in size is taken",
    )


def run(args: argparse.Namespace) -> int:
    """Run ``stemprior train``; 130 or 143 if it was stopped, which leaves it to be resumed."""
    from tqdm import tqdm

    from napari_stemprior.kept_memory import keep_freed_memory
    from napari_stemprior.network.checkpoint import load_network
    from napari_stemprior.output_files import check_output, output_folder
    from napari_stemprior.training.config import read_config
    from napari_stemprior.training.distributed import start_fabric
    from napari_stemprior.training.structure_bank import library_bank, load_bank
    from napari_stemprior.training.together import train_together
    from napari_stemprior.training.train import Trainer, run_files

    configs = {
        name: read_config(name).with_options(
            steps=args.steps, batch=args.batch, side=args.side, learning_rate=args.learning_rate,
            seed=args.seed, workers=args.workers, device=args.device, devices=args.devices,
        )
        for name in args.config
    }  # fmt: skip
    folders = _folders(args.output, list(configs))
    bank = load_bank(args.bank) if args.bank else library_bank()
    with output_folder(args.output):  # before the long work
        for path, mark in chain.from_iterable(run_files(folder) for folder in folders):
            check_output(path, [*args.config, args.bank, args.start_from], own_marks=[mark])
        fabric = start_fabric(next(iter(configs.values())))
        trainers = [
            Trainer(config, folder, bank, fabric=fabric)
            for config, folder in zip(configs.values(), folders, strict=True)
        ]
        if trainers[0].device.type == "cpu":
            keep_freed_memory(whole=True)
        speaks = fabric is None or fabric.is_global_zero
        for trainer in trainers:
            initial = args.start_from or trainer.config.initial_weights
            if initial and trainer.step == 0:
                network, _ = load_network(_weights(initial))
                share = trainer.start_from(network)
                if speaks:
                    said = f"{100 * share:.0f} % of the weights are those of {initial}."
                    print(f"stemprior: {said}", file=sys.stderr)
        work = train_together(trainers)
        with (
            stop_between_steps() as stopped,
            tqdm(
                total=max(trainer.config.steps for trainer in trainers),
                initial=min(trainer.step for trainer in trainers),
                unit="step",
                disable=None if speaks else True,
            ) as bar,
        ):
            while True:
                try:
                    bar.update(next(work).done - bar.n)
                except StopIteration as end:
                    weights = end.value
                    break
                if stopped:
                    work.close()  # which saves the state and ends the workers
                    if speaks:
                        step = min(trainer.step for trainer in trainers)
                        said = f"stopped at step {step}; the same command goes on from there."
                        print(f"stemprior: {said}", file=sys.stderr)
                    return exit_code(stopped[0])
    if speaks:
        print(*weights, sep="\n")
    return 0


def _folders(output: Path, configs: list[str]) -> list[Path]:
    """Return the folder of each run: a subfolder where there are several.

    Raises
    ------
    TrainingError
        If two of them have one name.
    """
    if len(configs) == 1:
        return [output]
    names = [Path(config).stem for config in configs]
    if twice := {name for name in names if names.count(name) > 1}:
        raise TrainingError(f"Two configurations are called {min(twice)}; rename one.")
    return [output / name for name in names]


def _weights(name: str | Path) -> Path:
    """Return the file of a network by its name or path."""
    shipped = Path(str(files("napari_stemprior"))) / "weights" / f"{name}.safetensors"
    if shipped.is_file():  # known without what only a segmentation needs
        return shipped
    from napari_stemprior.inference.models import model_path

    return model_path(name)
