"""The option ``--mask``, shared by the commands that analyse an image."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def add_mask(parser: argparse.ArgumentParser, holds: str = "") -> None:
    """Add ``--mask``.

    Parameters
    ----------
    parser : argparse.ArgumentParser
    holds : str
        Stands behind the help, such as ``"; it holds for every image and frame"``.
    """
    parser.add_argument(
        "--mask",
        metavar="FILE",
        type=Path,
        help=f"grey PNG or TIFF of the size of the image, not zero where no atoms may be{holds}",
    )


def mask_of(options: argparse.Namespace) -> NDArray[np.bool_] | None:
    """Read the mask that was given; None without any.

    Raises
    ------
    MicrographError
        If it cannot be read.
    """
    from napari_stemprior.io.readers.read_mask import read_mask

    return None if options.mask is None else read_mask(options.mask)
