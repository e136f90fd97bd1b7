"""Train the network without each of its parts, on the same scenes.

``python -m benchmarks.training.ablations -o out/ablations`` keeps the networks;
``benchmarks.accuracy.accuracy --ablations`` measures them.

Every variant sees the same images in the same order and takes the same number of steps. Each has a
folder under ``--output`` and resumes where it stopped; a finished one is left alone.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from tqdm import tqdm

from benchmarks.training.rendered_prior import RenderedPriorNet
from napari_stemprior.adaptation.calibrate import calibrate
from napari_stemprior.inference import Segmenter
from napari_stemprior.inference.calibration import Calibration
from napari_stemprior.network.checkpoint import load_network
from napari_stemprior.network.config import NetworkConfig
from napari_stemprior.network.stemprior_net import StructurePromptedNet
from napari_stemprior.progress import drain
from napari_stemprior.training.config import TrainingConfig, read_config
from napari_stemprior.training.prompt_sampling import PromptOdds
from napari_stemprior.training.structure_bank import library_bank
from napari_stemprior.training.train import Trainer


@dataclass(frozen=True)
class Variant:
    """One network of the comparison.

    Parameters
    ----------
    label : str
        As the table names it.
    change : callable
        Makes its settings from those of the shipped network.
    build : callable
        Makes the network.
    prompted : bool
        Whether it is given the prior when it is measured.
    """

    label: str
    change: Callable[[TrainingConfig], TrainingConfig] = lambda config: config
    build: Callable[[NetworkConfig], StructurePromptedNet] = StructurePromptedNet
    prompted: bool = True


def _without(**switches: bool) -> Callable[[TrainingConfig], TrainingConfig]:
    return lambda config: replace(config, network=replace(config.network, **switches))


VARIANTS = {
    "full": Variant("all parts"),
    "shipped": Variant("as shipped", _without(self_attention=False, embeddings=False)),
    "rendered": Variant("prior drawn as channels, no cross-attention", build=RenderedPriorNet),
    "no_prior": Variant(
        "trained without any prior",
        lambda config: replace(config, prompts=PromptOdds(0, 0, 1, 0, 0)),
        prompted=False,
    ),
    "no_contrast": Variant(
        "without contrast",
        lambda config: replace(config, losses=replace(config.losses, site=0.0, contrast=0.0)),
    ),
    "no_embeddings": Variant("without contrast of whole images", _without(embeddings=False)),
    "no_cell": Variant("without attention to the cell", _without(cell_attention=False)),
    "no_self": Variant("without self-attention", _without(self_attention=False)),
    "no_sites": Variant("without attention to registered sites", _without(site_attention=False)),
}


def settings(variant: Variant, steps: int) -> TrainingConfig:
    """Return the settings of a variant, shortened; what the shipped network lacks is put back first."""
    config = read_config("small").with_options(steps=steps)
    whole = replace(config.network, self_attention=True, embeddings=True)
    return variant.change(replace(config, network=whole))


def segmenters(folder: Path) -> dict[str, tuple[Segmenter, bool]]:
    """Return the segmenter of each variant that is trained, and whether it is to be given the prior."""
    found = {}
    for name, variant in VARIANTS.items():
        path = folder / name / "weights.safetensors"
        if path.exists():
            segmenter = Segmenter()
            network, segmenter.notes = load_network(path, variant.build)
            segmenter.network = network.to(segmenter.device, memory_format=torch.channels_last)
            segmenter.calibration = Calibration.from_notes(segmenter.notes)
            found[variant.label] = (segmenter, variant.prompted)
    return found


def main() -> None:
    """Train what is asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-o", "--output", type=Path, default=Path("ablations"))
    parser.add_argument("--steps", type=int, default=1500, help="mini-batches of each (default %(default)s)")
    parser.add_argument("--scenes", type=int, default=150, help="for the calibration of each")
    parser.add_argument("--variants", nargs="+", choices=list(VARIANTS), default=list(VARIANTS))
    args = parser.parse_args()
    bank = library_bank()
    for name in args.variants:
        variant = VARIANTS[name]
        trainer = Trainer(settings(variant, args.steps), args.output / name, bank, variant.build)
        if trainer.step >= args.steps:
            print(f"{name}: finished before")
            continue
        with tqdm(total=args.steps, initial=trainer.step, desc=name, unit="step", disable=None) as bar:
            drain(trainer.run(), lambda progress, bar=bar: bar.update(progress.done - bar.n) and None)
        with torch.inference_mode():
            drain(calibrate(trainer.weights_path, args.scenes, build=variant.build))


if __name__ == "__main__":
    main()
