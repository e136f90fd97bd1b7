"""File > Open for the formats of electron microscopes, for training pairs, and for sessions.

TIFF, PNG and JPEG stay with napari's own reader: a second one would make napari ask which to take.
Step 1 looks into such a file for its pixel size. What reads a file is imported when there is one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from napari_stemprior.errors import StempriorError

if TYPE_CHECKING:
    from napari_stemprior.qt.layers.atom_layers import LayerData

Reader: TypeAlias = "Callable[[str | Sequence[str]], list[LayerData]]"


def get_reader(path: str | Sequence[str]) -> Reader | None:
    """Return the reader for a path that napari offers by its suffix; None for HDF5 of an unknown layout."""
    return read if all(_may_be_micrograph(Path(one)) for one in _paths(path)) else None


def _may_be_micrograph(path: Path) -> bool:
    from napari_stemprior.io.readers.signal_files import ANY_HDF5

    if path.suffix.lower() not in ANY_HDF5:
        return True
    from napari_stemprior.io.readers.hdf5_layout import hdf5_layout

    try:
        return hdf5_layout(path) is not None
    except (StempriorError, OSError):
        return False


def read(path: str | Sequence[str]) -> list[LayerData]:
    """Read micrographs as image layers in Å; a stack becomes one stack.

    Raises
    ------
    StempriorError
        If a file is no micrograph.
    """
    from napari.utils.notifications import show_warning

    from napari_stemprior.io import read_micrographs
    from napari_stemprior.qt.layers.atom_layers import layer_from_micrographs

    layers: list[LayerData] = []
    for one in _paths(path):
        micrographs = read_micrographs(one)
        for remark in dict.fromkeys(r for m in micrographs for r in m.metadata.get("remarks", ())):
            show_warning(remark)
        layers += layer_from_micrographs(micrographs)
    return layers


def get_pair_reader(path: str | Sequence[str]) -> Reader | None:
    """Return the reader of training pairs for a folder of them, its ``dataset.json`` or a ``meta.json``."""
    from napari_stemprior.qt.layers.pair_layers import is_pair_file

    return read_pairs if all(is_pair_file(one) for one in _paths(path)) else None


def read_pairs(path: str | Sequence[str]) -> list[LayerData]:
    """Open training pairs as layers that the desk takes up, for further correction.

    Raises
    ------
    DatasetError
        If there is no pair or it is damaged.
    """
    from napari_stemprior.qt.layers.pair_layers import layers_from_path

    return [layer for one in _paths(path) for layer in layers_from_path(one)]


def get_session_reader(path: str | Sequence[str]) -> Reader | None:
    """Return the reader of session files."""
    return read_sessions


def read_sessions(path: str | Sequence[str]) -> list[LayerData]:
    """Open sessions as layers that the desk takes up; where there is a window, the desk is opened for them.

    Raises
    ------
    SessionError
        If a file is damaged, or one of its images is missing.
    """
    from napari.utils.notifications import show_warning

    from napari_stemprior.progress import drain
    from napari_stemprior.qt.layers.session_layers import session_layers
    from napari_stemprior.qt.open_desk import open_soon
    from napari_stemprior.workflow.open_session import open_session

    layers: list[LayerData] = []
    for one in _paths(path):
        opened = drain(open_session(one))
        for remark in opened.remarks:
            show_warning(remark)
        layers += session_layers(opened)
    open_soon()
    return layers


def _paths(path: str | Sequence[str]) -> list[str]:
    return [path] if isinstance(path, str) else list(path)
