"""Train a network on random scenes: ``stemprior train``."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``stemprior train``."""
    parser.add_argument(
        "-o", "--output", type=Path, required=True, help="run folder; the same folder resumes"
    )
    parser.add_argument(
        "--config", default="small", help="a TOML file, or the name of one that ships (default %(default)s)"
    )
    parser.add_argument("--steps", type=int, help="mini-batches in all, instead of the configuration's")
    parser.add_argument("--batch", type=int, help="images in a mini-batch")
    parser.add_argument("--side", type=int, help="pixels on a side")
    parser.add_argument("--learning-rate", type=float)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--workers", type=int, help="processes that draw scenes")
    parser.add_argument("--device", help="auto, cpu, cuda or mps")
    parser.add_argument("--devices", type=int, help="how many of them, through Lightning Fabric")
    parser.add_argument(
        "--bank", type=Path, help="crystals of 'stemprior structures' instead of the built-in ones"
    )
    parser.add_argument("--start-from", type=Path, help="weights to start a new run from")


def run(args: argparse.Namespace) -> int:
    """Run ``stemprior train``."""
    from tqdm import tqdm

    from napari_stemprior.network.checkpoint import load_network
    from napari_stemprior.progress import drain
    from napari_stemprior.training.config import read_config
    from napari_stemprior.training.distributed import start_fabric
    from napari_stemprior.training.structure_bank import library_bank, load_bank
    from napari_stemprior.training.train import Trainer

    config = read_config(args.config).with_options(
        steps=args.steps, batch=args.batch, side=args.side, learning_rate=args.learning_rate,
        seed=args.seed, workers=args.workers, device=args.device, devices=args.devices,
    )  # fmt: skip
    bank = load_bank(args.bank) if args.bank else library_bank()
    fabric = start_fabric(config)
    trainer = Trainer(config, args.output, bank, fabric=fabric)
    if args.start_from and trainer.step == 0:
        network, _ = load_network(args.start_from)
        trainer.state.start_from(network.state_dict())
    with tqdm(
        total=config.steps,
        initial=trainer.step,
        unit="step",
        disable=None if fabric is None or fabric.is_global_zero else True,
    ) as bar:
        path = drain(trainer.run(), lambda progress: bar.update(progress.done - bar.n) and None)
    if fabric is None or fabric.is_global_zero:
        print(path)
    return 0
