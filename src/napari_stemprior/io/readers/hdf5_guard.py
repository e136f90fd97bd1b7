"""HDF5 files that read nothing but themselves: no link, storage or virtual source outside is followed."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import h5py

from napari_stemprior.errors import MicrographError
from napari_stemprior.io.readers.decoded_size import check_compression
from napari_stemprior.io.readers.hdf5_heaps import has_endless_heap

#: Objects beyond which a file is no micrograph.
_MOST = 200_000


def check_hdf5(path: Path) -> None:
    """See that no dataset of an HDF5 file lies in another file, or is larger than the file explains.

    Parameters
    ----------
    path : pathlib.Path

    Raises
    ------
    MicrographError
        If a link, a dataset's storage or a virtual source leads out of the file, no compression makes so
        little of a dataset, or reading would never end.
    OSError
        If it is no HDF5 file.
    """
    if has_endless_heap(path):
        raise MicrographError(f"{path.name}: the file is damaged within its texts; copy it again.")
    with h5py.File(path, "r") as file:
        seen: set[Any] = set()
        waiting: list[Any] = [file]
        while waiting:
            group = waiting.pop()
            for name in group:
                link = group.get(name, getlink=True)
                if isinstance(link, h5py.ExternalLink):
                    raise _outside(path, link.filename)
                if isinstance(link, h5py.SoftLink):
                    continue  # what it leads to is met where it lies
                item = group[name]
                place = h5py.h5o.get_info(item.id).addr
                if place in seen:
                    continue
                seen.add(place)
                if len(seen) > _MOST:
                    raise MicrographError(f"{path.name}: the file holds too many objects for a micrograph.")
                if isinstance(item, h5py.Group):
                    waiting.append(item)
                elif isinstance(item, h5py.Dataset):
                    _check(item, path)


def stored_size(path: Path, *, without: str = "") -> int:
    """Return the bytes of the largest dataset of an HDF5 file once it is decoded.

    Parameters
    ----------
    path : pathlib.Path
    without : str
        Datasets of this name do not count.
    """
    sizes = [0]

    def look(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and (not without or name.rpartition("/")[2] != without):
            sizes.append(_decoded(item))

    with h5py.File(path, "r") as file:
        file.visititems(look)
    return max(sizes)


def _decoded(dataset: Any) -> int:
    return int(math.prod(dataset.shape or (0,))) * int(dataset.dtype.itemsize)


def _check(dataset: Any, path: Path) -> None:
    check_compression(path, _decoded(dataset))
    for name, *_ in dataset.external or ():
        raise _outside(path, name)
    if dataset.is_virtual:
        for source in dataset.virtual_sources():
            if source.file_name != ".":
                raise _outside(path, source.file_name)


def _outside(path: Path, other: object) -> MicrographError:
    return MicrographError(
        f"{path.name}: a part of it lies in another file ({other}), which is not opened; save everything "
        "in one file."
    )
