"""Whose layout an HDF5 file has: what is in it decides, for any of them may be called .h5."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, TypeAlias

import h5py

from napari_stemprior.io.readers.hdf5_guard import check_hdf5

#: Berkeley EMD, the EMD of Velox, HyperSpy's.
Layout: TypeAlias = Literal["berkeley", "velox", "hspy"]


def hdf5_layout(path: Path) -> Layout | None:
    """Tell whose layout an HDF5 file has, after a look at whether it can be opened at all.

    Parameters
    ----------
    path : pathlib.Path

    Returns
    -------
    str or None
        None where the layout is none of those that can be read.

    Raises
    ------
    MicrographError
        If the file leads out of itself or is damaged, see `check_hdf5`.
    OSError
        If it is no HDF5 file.
    """
    check_hdf5(path)
    with h5py.File(path, "r") as file:
        if "Experiments" in file and "hyperspy" in str(file.attrs.get("file_format", "hyperspy")).lower():
            return "hspy"
        if "Data/Image" in file:
            return "velox"
        return "berkeley" if _has_emd_group(file) else None


def _has_emd_group(file: Any) -> bool:
    found: list[str] = []

    def look(name: str, item: Any) -> bool | None:
        if isinstance(item, h5py.Group) and "emd_group_type" in item.attrs:
            found.append(name)
        return True if found else None

    file.visititems(look)
    return bool(found)
