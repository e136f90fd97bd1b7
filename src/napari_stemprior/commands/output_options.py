"""The option by which a person says that files may be replaced, the same in every command that writes."""

from __future__ import annotations

import argparse


def add_overwrite(parser: argparse.ArgumentParser) -> None:
    """Declare ``--overwrite``."""
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="replace files that stemprior did not write; an input never is",
    )
