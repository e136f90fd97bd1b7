"""File > Open for the formats of electron microscopes.

TIFF, PNG and JPEG stay with napari's own reader: a second one would make napari ask which to take.
Step 1 looks into such a file for its pixel size.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from napari_stemprior.io import read_micrographs
from napari_stemprior.qt.layers import LayerData, layer_from_micrographs


def get_reader(path: str | Sequence[str]) -> Callable[[str | Sequence[str]], list[LayerData]] | None:
    """Return the reader for a path that napari offers by its suffix."""
    return read


def read(path: str | Sequence[str]) -> list[LayerData]:
    """Read micrographs as image layers in Å; a stack becomes one stack.

    Raises
    ------
    StempriorError
        If a file is no micrograph.
    """
    paths = [path] if isinstance(path, str) else list(path)
    return [layer for one in paths for layer in layer_from_micrographs(read_micrographs(one))]
