"""File > Save for an atoms layer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from napari_stemprior.io import export_atoms
from napari_stemprior.qt.layers.atom_layers import table_from_layer_data


def write_atoms(path: str, data: Any, meta: dict[str, Any]) -> list[str]:
    """Write one Points layer as an atom table; the suffix says how.

    Parameters
    ----------
    path : str
        Ends in ``.csv``, ``.parquet`` or ``.extxyz``.
    data : (N, 2) array
    meta : dict
        The attributes of the layer.

    Returns
    -------
    list of str
        The written file.

    Raises
    ------
    ExportError
        If the layer has no length unit or the file cannot be written.
    """
    export_atoms(table_from_layer_data(data, meta), Path(path), overwrite=True)  # napari's dialog has asked
    return [path]
