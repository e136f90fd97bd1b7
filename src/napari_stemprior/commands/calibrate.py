"""Calibrate a trained network: ``stemprior calibrate``."""

from __future__ import annotations

import argparse
from pathlib import Path

from napari_stemprior.commands.option_types import positive_count


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``stemprior calibrate``."""
    parser.add_argument("weights", type=Path, help="the .safetensors file of 'stemprior train'")
    parser.add_argument(
        "--scenes", type=positive_count, default=150, help="simulated scenes (default %(default)s)"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")


def run(args: argparse.Namespace) -> int:
    """Run ``stemprior calibrate``."""
    import torch
    from tqdm import tqdm

    from napari_stemprior.adaptation.calibrate import calibrate
    from napari_stemprior.kept_memory import keep_freed_memory
    from napari_stemprior.progress import drain

    keep_freed_memory()
    with torch.inference_mode(), tqdm(total=args.scenes, unit="scene", disable=None) as bar:
        calibration = drain(
            calibrate(args.weights, args.scenes, args.device), lambda p: bar.update(p.done - bar.n) and None
        )
    print(calibration)
    return 0
