"""``stemprior export``: a saved atom table in the format of another program."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from napari_stemprior.commands.option_types import positive
from napari_stemprior.commands.output_options import add_overwrite
from napari_stemprior.errors import StempriorError
from napari_stemprior.io import FORMATS, export_atoms, find_format, read_atoms, read_micrographs
from napari_stemprior.io.writers.exporters import check_export


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``stemprior export``."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = "formats:\n" + "\n".join(
        f"  {one.key:9} {' '.join(one.suffixes):42} {one.summary}" for one in FORMATS
    )
    parser.add_argument("atoms", metavar="ATOMS", type=Path, help="a .csv or .parquet of 'stemprior segment'")
    parser.add_argument(
        "-o", "--output", metavar="FILE", type=Path, required=True, help="the ending says the format"
    )
    parser.add_argument("--image", metavar="IMAGE", type=Path, help="the micrograph, where a format needs it")
    parser.add_argument("--frame", metavar="N", type=int, default=0, help="of a stack, counted from 0")
    parser.add_argument(
        "--format",
        metavar="NAME",
        choices=[one.key for one in FORMATS],
        help="where the ending leaves a choice, as between a mask and a heat map",
    )
    parser.add_argument(
        "--pixel-size", metavar="Å", type=positive, help="Å per pixel, where the table has none"
    )
    add_overwrite(parser)


def run(options: argparse.Namespace) -> int:
    """Write the file and return the exit code.

    Raises
    ------
    StempriorError
        If something cannot be read or written, or the format needs the image.
    """
    form = find_format(options.output, options.format)  # before the long reading
    inputs = [options.atoms, options.image]
    check_export(options.output, inputs, overwrite=options.overwrite)
    table = read_atoms(options.atoms, options.pixel_size)
    image, name = None, options.atoms.stem
    if options.image is not None:
        frames = read_micrographs(options.image, options.pixel_size)
        if not 0 <= options.frame < len(frames):
            raise StempriorError(
                f"{options.image}: there is no frame {options.frame}; give 0 to {len(frames) - 1}."
            )
        image, name = frames[options.frame].image, frames[options.frame].name
    elif form.needs:
        raise StempriorError(f"{options.output.name}: {form.name} needs the micrograph; add --image IMAGE.")
    export_atoms(
        table, options.output, image=image, name=name, key=form.key,
        inputs=inputs, overwrite=options.overwrite,
    )  # fmt: skip
    if sys.stderr.isatty():
        print(f"{len(table.atoms)} atoms in {options.output}", file=sys.stderr)
    return 0
