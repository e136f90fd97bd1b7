"""Train the network of the paper without each of its parts, on the same scenes.

``python -m benchmarks.training.ablations -o out/ablations`` keeps the networks;
``benchmarks.training.ablation_losses`` and ``benchmarks.accuracy.accuracy --ablations`` measure them.

All variants of one seed take the same number of steps and see the same mini-batches, which are drawn once.
Each has a folder under ``--output/seed…`` and resumes where it stopped; a finished one is left alone.
``--first-seed 3 --seeds 1`` adds another seed to networks that were trained elsewhere.
``--beside paper continued`` trains networks that ship at the same time: the variants then take turns, a few
(``--at-once``) at a time, on the scenes that these networks draw anyway.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from tqdm import tqdm

from benchmarks.training.rendered_prior import RenderedPriorNet
from napari_stemprior.adaptation.calibrate import calibrate
from napari_stemprior.commands.stopping import exit_code, stop_between_steps
from napari_stemprior.inference import Segmenter
from napari_stemprior.inference.calibration import Calibration
from napari_stemprior.inference.models import model_path
from napari_stemprior.kept_memory import keep_freed_memory
from napari_stemprior.network.checkpoint import load_network
from napari_stemprior.network.config import NetworkConfig
from napari_stemprior.network.devices import resolve_device
from napari_stemprior.network.stemprior_net import StructurePromptedNet
from napari_stemprior.progress import drain
from napari_stemprior.structure.prior import StructurePrior
from napari_stemprior.training.config import TrainingConfig, read_config
from napari_stemprior.training.prompt_sampling import PromptOdds
from napari_stemprior.training.structure_bank import library_bank, load_bank
from napari_stemprior.training.together import train_together
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
    "plain": Variant(
        "without self-attention and contrast of whole images",
        _without(self_attention=False, embeddings=False),
    ),
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
    "no_modulation": Variant(
        "without surroundings and modulation", _without(surroundings=False, modulation=False)
    ),
    "no_sites": Variant("without attention to registered sites", _without(site_attention=False)),
}


def settings(
    variant: Variant, steps: int, seed: int | None = None, batch: int | None = None
) -> TrainingConfig:
    """Return the settings of a variant, shortened."""
    return variant.change(read_config("paper").with_options(steps=steps, seed=seed, batch=batch))


def seeds(args: argparse.Namespace) -> range:
    """Return the seeds that are asked for."""
    return range(args.first_seed, args.first_seed + args.seeds)


def networks(folder: Path) -> dict[tuple[str, str], Path]:
    """Return the weights of each variant and seed that is trained."""
    found = {(path.parts[-2], path.parts[-3]): path for path in folder.glob("seed*/*/weights.safetensors")}
    return {(name, seed): found[name, seed] for name, seed in sorted(found) if name in VARIANTS}


def segmenters(folder: Path) -> dict[str, tuple[Segmenter, bool]]:
    """Return the segmenter of each variant of the first seed, and whether it is to be given the prior."""
    found = {}
    for (name, seed), path in networks(folder).items():
        variant = VARIANTS[name]
        if seed == "seed1":
            segmenter = Segmenter()
            network, segmenter.notes = load_network(path, variant.build)
            segmenter.network = network.to(segmenter.device, memory_format=torch.channels_last)
            segmenter.calibration = Calibration.from_notes(segmenter.notes)
            found[variant.label] = (segmenter, variant.prompted)
    return found


def beside(args: argparse.Namespace, bank: list[StructurePrior]) -> list[Trainer]:
    """Return the networks that ship, and the variants that take turns beside them."""
    ship = []
    for name in args.beside:
        config = read_config(name).with_options(
            steps=args.beside_steps, workers=args.workers, seed=args.beside_seed
        )
        trainer = Trainer(config, args.output / name, bank)
        ship.append(trainer)
        initial = config.initial_weights or (name if args.beside_go_on else "")
        if initial and trainer.step == 0:
            trainer.start_from(load_network(model_path(initial))[0])
    scenes = ship[0].config.scenes
    turns = [(seed, name) for seed in seeds(args) for name in args.variants]
    variants = []
    for number, (seed, name) in enumerate(turns):
        variant = VARIANTS[name]
        config = settings(variant, args.steps, args.beside_seed)
        if config.scenes != scenes:
            print(f"{name}: other prompts, not beside")
            continue
        folder = args.output / f"seed{seed}" / name
        first = number // args.at_once * args.steps
        variants.append(Trainer(config, folder, bank, variant.build, first_batch=first, weights_seed=seed))
    return ship + variants


def groups(args: argparse.Namespace, bank: list[StructurePrior]) -> list[list[Trainer]]:
    """Return the variants of each seed, those with the same scenes and prompts together."""
    out: list[list[Trainer]] = []
    for seed in seeds(args):
        alike: dict[tuple[object, ...], list[Trainer]] = {}
        for name in args.variants:
            variant = VARIANTS[name]
            config = settings(variant, args.steps, seed, args.batch).with_options(workers=args.workers)
            trainer = Trainer(config, args.output / f"seed{seed}" / name, bank, variant.build)
            alike.setdefault(config.scenes, []).append(trainer)
        out += alike.values()
    return out


def main() -> int:
    """Train what is asked for; 130 or 143 if it was stopped, which leaves it to be resumed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-o", "--output", type=Path, default=Path("ablations"))
    parser.add_argument("--steps", type=int, default=500, help="mini-batches of each (default %(default)s)")
    parser.add_argument("--seeds", type=int, default=3, help="networks of each variant (default %(default)s)")
    parser.add_argument("--first-seed", type=int, default=1, help="of these networks (default %(default)s)")
    parser.add_argument("--batch", type=int, help="scenes a mini-batch, other than those of 'paper'")
    parser.add_argument("--scenes", type=int, default=150, help="for the calibration of each; 0 for none")
    parser.add_argument("--variants", nargs="*", choices=list(VARIANTS), default=list(VARIANTS))
    parser.add_argument("--workers", type=int, help="processes that draw scenes")
    parser.add_argument("--bank", type=Path, help="crystals of 'stemprior structures'")
    parser.add_argument("--beside", nargs="+", default=[], help="configurations of networks that ship")
    parser.add_argument("--beside-steps", type=int, help="mini-batches of these")
    parser.add_argument("--beside-seed", type=int, help="of the scenes that these and the variants see")
    parser.add_argument("--beside-go-on", action="store_true", help="start these from the weights that ship")
    parser.add_argument("--at-once", type=int, default=1, help="variants that take their turn together")
    args = parser.parse_args()
    if resolve_device("auto").type == "cpu":
        keep_freed_memory(whole=True)  # as `stemprior train` does
    bank = load_bank(args.bank) if args.bank else library_bank()
    together = [beside(args, bank)] if args.beside else groups(args, bank)
    with stop_between_steps() as stopped:
        for trainers in together:
            last = max(t.last_batch for t in trainers)
            work = train_together(trainers, save_every=1000)
            with tqdm(total=last, unit="step", disable=None, mininterval=10) as bar:
                for progress in work:
                    bar.update(progress.done - bar.n)
                    if stopped:
                        work.close()
                        return exit_code(stopped[0])
    for (name, _), path in networks(args.output).items() if args.scenes else ():
        with torch.inference_mode():
            drain(calibrate(path, args.scenes, build=VARIANTS[name].build))
    return 0


if __name__ == "__main__":
    sys.exit(main())
