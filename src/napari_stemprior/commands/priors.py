"""``stemprior priors``: list the built-in priors, or the columns of one."""

from __future__ import annotations

import argparse
import sys


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``stemprior priors``."""
    parser.add_argument(
        "prior",
        nargs="?",
        metavar="NAME_OR_FILE",
        help="show the columns of this one; also a stack such as 'MoS2/WS2 twist 3.1' or 'MoS2 AB'",
    )
    parser.add_argument("--zone-axis", metavar="UVW", help="direction of the beam such as 001 or [11-20]")


def run(options: argparse.Namespace) -> int:
    """Print the list or the table; return 0."""
    from napari_stemprior.errors import StructureError
    from napari_stemprior.structure import load_prior, parse_zone_axis
    from napari_stemprior.structure.column_table import column_table

    if options.prior is not None:
        axis = None if options.zone_axis is None else parse_zone_axis(options.zone_axis)
        print(column_table(load_prior(options.prior, axis)))
    elif options.zone_axis is not None:
        raise StructureError("--zone-axis belongs to one prior; name it, as in 'stemprior priors SrTiO3'.")
    else:
        print(_list())
    sys.stdout.flush()
    return 0


def _list() -> str:
    from napari_stemprior.structure import built_in, names
    from napari_stemprior.structure.column_table import cell_text

    rows = [("NAME", "ZONE AXIS", "COLUMNS", "CELL")]
    for name in names():
        prior = built_in(name)
        formulas = " ".join(column.formula for column in prior.columns)
        rows.append((name, prior.zone_axis, formulas, cell_text(prior)))
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    return "\n".join(
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3]])
        for row in rows
    )
