"""Reading what a person names: a prior, the pixel size of a file."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

from napari_stemprior.io import read_micrograph
from napari_stemprior.progress import Progress
from napari_stemprior.workflow.operations import Operations


def load_prior(operations: Operations, name: str, zone_axis: str) -> Generator[Progress, None, Any]:
    """Read and project a structure, or build a stack."""
    yield Progress(0, 0, "Reading the structure")
    return operations.load_prior(name, zone_axis)


def read_pixel_size(path: Path) -> Generator[Progress, None, float | None]:
    """Look into the file of an image for its pixel size."""
    yield Progress(0, 0, "Reading the pixel size")
    return read_micrograph(path).pixel_size
