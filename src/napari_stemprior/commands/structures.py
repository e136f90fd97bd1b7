"""Write the crystals that training scenes are made of as one file: ``stemprior structures``."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``stemprior structures``."""
    parser.add_argument(
        "structures",
        nargs="*",
        metavar="NAME_OR_FILE",
        help="built-in crystals or structure files; without any, the built-in ones not kept for tests",
    )
    parser.add_argument(
        "-o", "--output", metavar="FILE", type=Path, required=True, help="structure bank, .npz"
    )
    parser.add_argument(
        "--zone-axis", metavar="UVW", help="direction of the beam for all of them, such as 001 or [11-20]"
    )
    parser.add_argument(
        "--add", action="store_true", help="the named ones beside the built-in crystals, not instead of them"
    )
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="replace files that stemprior did not write; an input never is",
    )


def run(options: argparse.Namespace) -> int:
    """Write the bank, print its path and what is in it; return 0."""
    from napari_stemprior.errors import TrainingError
    from napari_stemprior.output_files import check_output
    from napari_stemprior.structure import StructurePrior, load_prior, parse_zone_axis
    from napari_stemprior.training.structure_bank import BANK_MARK, library_bank, save_bank

    output: Path = options.output
    if output.suffix != ".npz":
        raise TrainingError(f"{output}: a structure bank is a .npz file; give such a name.")
    if options.zone_axis is not None and not options.structures:
        raise TrainingError("--zone-axis belongs to named structures; name them, as in 'SrTiO3 my.cif'.")
    check_output(output, options.structures, own_marks=[BANK_MARK], overwrite=options.overwrite)
    axis = None if options.zone_axis is None else parse_zone_axis(options.zone_axis)
    bank = library_bank() if options.add or not options.structures else []
    for name in options.structures:
        prior = load_prior(name, axis)
        if not isinstance(prior, StructurePrior):
            raise TrainingError(
                f"{name}: a bank holds single lattices, and scenes twist them by themselves; name its layers."
            )
        bank.append(prior)
    save_bank(bank, output)
    print(f"{output}: {len(bank)} crystals")
    return 0
