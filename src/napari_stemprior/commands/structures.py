"""Write the crystals that training scenes are made of as one file: ``stemprior structures``."""

from __future__ import annotations

import argparse
from pathlib import Path

from napari_stemprior.commands.output_options import add_overwrite
from napari_stemprior.commands.prior_options import add_view_options, has_view, load_priors


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
    add_view_options(parser, " for all of them")
    parser.add_argument(
        "--add", action="store_true", help="the named ones beside the built-in crystals, not instead of them"
    )
    add_overwrite(parser)


def run(options: argparse.Namespace) -> int:
    """Write the bank, print its path and what is in it; return 0."""
    from napari_stemprior.errors import TrainingError
    from napari_stemprior.output_files import check_output
    from napari_stemprior.training.structure_bank import BANK_MARK, library_bank, save_bank

    output: Path = options.output
    if output.suffix != ".npz":
        raise TrainingError(f"{output}: a structure bank is a .npz file; give such a name.")
    if (option := has_view(options)) is not None and not options.structures:
        raise TrainingError(f"{option} belongs to named structures; name them, as in 'SrTiO3 my.cif'.")
    check_output(output, options.structures, own_marks=[BANK_MARK], overwrite=options.overwrite)
    bank = library_bank() if options.add or not options.structures else []
    for name, prior in zip(options.structures, load_priors(options.structures, options), strict=True):
        if prior.crystal is None:
            raise TrainingError(
                f"{name}: a bank holds single lattices, and scenes twist them by themselves; name its layers."
            )
        bank.append(prior.crystal)
    save_bank(bank, output)
    print(f"{output}: {len(bank)} crystals")
    return 0
