"""The options that say how a prior is seen, shared by the commands that take one."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_stemprior.structure import Direction, Prior


def add_view_options(parser: argparse.ArgumentParser, whose: str = "") -> None:
    """Add ``--zone-axis``, ``--normal`` and ``--block``.

    Parameters
    ----------
    parser : argparse.ArgumentParser
    whose : str
        Stands behind the direction in the help, such as ``" for all of them"``.
    """
    direction = parser.add_mutually_exclusive_group()
    direction.add_argument(
        "--zone-axis",
        metavar="UVW",
        help=f"direction of the beam{whose} such as 001, [1-10] or [11-20], or 'normal' for the normal of "
        "the layers; without it a file is taken as it lies, beam along its z axis",
    )
    direction.add_argument(
        "--normal",
        metavar="HKL",
        help="beam along the normal of this plane, such as 001, where no zone axis lies along it",
    )
    parser.add_argument(
        "--block", metavar="NAME", help="which data block of a CIF with several (default the first)"
    )


def has_view(options: argparse.Namespace) -> str | None:
    """Return the first option of a view that was given, such as ``--zone-axis``; None without any."""
    for name in ("zone_axis", "normal", "block"):
        if getattr(options, name) is not None:
            return "--" + name.replace("_", "-")
    return None


def direction_of(options: argparse.Namespace) -> Direction | None:
    """Return the direction of the beam that the options say.

    Raises
    ------
    StructureError
        If it cannot be read.
    """
    from napari_stemprior.structure import parse_direction, parse_plane

    if options.normal is not None:
        return parse_plane(options.normal)
    return None if options.zone_axis is None else parse_direction(options.zone_axis)


def load_priors(names: Sequence[str], options: argparse.Namespace) -> list[Prior]:
    """Load priors as the options say, and print what a person should know of their files.

    Parameters
    ----------
    names : sequence of str
        Names or files.
    options : argparse.Namespace
        With what `add_view_options` adds.

    Raises
    ------
    StructureError
        If one cannot be used.
    """
    from napari_stemprior.structure import load_prior

    direction = direction_of(options)
    priors = [load_prior(name, direction, options.block) for name in names]
    say_remarks(priors)
    return priors


def say_remarks(priors: Sequence[Prior]) -> None:
    """Print what a person should know of how priors were read, a line each."""
    for remark in dict.fromkeys(remark for prior in priors for remark in prior.remarks):
        print("stemprior: " + " ".join(remark.split()), file=sys.stderr)
