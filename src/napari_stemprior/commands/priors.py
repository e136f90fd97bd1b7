"""``stemprior priors``: list the built-in priors, or the columns of one."""

from __future__ import annotations

import argparse
import sys

from napari_stemprior.commands.prior_options import add_view_options, has_view, load_priors


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``stemprior priors``."""
    parser.add_argument(
        "prior",
        nargs="?",
        metavar="NAME_OR_FILE",
        help="show the columns of this one; also a stack such as 'MoS2/WS2 twist 3.1' or 'MoS2 AB'",
    )
    add_view_options(parser)


def run(options: argparse.Namespace) -> int:
    """Print the list or the table; return 0."""
    from napari_stemprior.errors import StructureError
    from napari_stemprior.structure.column_table import column_table

    if options.prior is not None:
        print(column_table(load_priors([options.prior], options)[0]))
    elif (option := has_view(options)) is not None:
        raise StructureError(f"{option} belongs to one prior; name it, as in 'stemprior priors SrTiO3'.")
    else:
        print(_list())
    sys.stdout.flush()
    return 0


def _list() -> str:
    from napari_stemprior.structure import built_in, names

    rows = [("NAME", "ZONE AXIS", "COLUMNS", "CELL")]
    for name in names():
        prior = built_in(name)
        formulas = " ".join(column.formula for column in prior.columns)
        rows.append((name, prior.zone_axis, formulas, prior.cell_text))
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    return "\n".join(
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3]])
        for row in rows
    )
