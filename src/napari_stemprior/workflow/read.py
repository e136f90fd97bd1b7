"""Reading what a person names: a prior, the pixel size of a file."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

from napari_stemprior.io import read_micrograph
from napari_stemprior.progress import Progress
from napari_stemprior.workflow.operations import Operations


def load_structure(
    operations: Operations, path: str, zone_axis: str, block: str
) -> Generator[Progress, None, Any]:
    """Read and project the structure of a file.

    Parameters
    ----------
    operations : Operations
    path : str
    zone_axis : str
        Direction of the beam, or ``normal``; empty: as the structure lies.
    block : str
        Which data block of a CIF; empty: the first.
    """
    yield Progress(0, 0, "Reading the structure")
    return operations.load_prior(path, zone_axis, block)


def read_pixel_size(path: Path) -> Generator[Progress, None, float | None]:
    """Look into the file of an image for its pixel size."""
    yield Progress(0, 0, "Reading the pixel size")
    return read_micrograph(path).pixel_size
