"""Zarr folders that read nothing but themselves, and no more than their files explain."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

from napari_stemprior.errors import MicrographError
from napari_stemprior.io.readers.decoded_size import check_compression, check_decoded_size
from napari_stemprior.io.readers.folder_entries import folder_entries
from napari_stemprior.recording.image_check import kind_refusal
from napari_stemprior.recording.stored_image import STRIP, is_large_shape

#: Chunks that are read together at most: zarr 3.1 takes 0.22 ms of the processor for each, so 11 s.
_MOST_CHUNKS = 50_000


def check_zarr_folder(path: Path) -> int:
    """See that all of a Zarr folder lies in it, and that nothing in it waits for another program.

    Parameters
    ----------
    path : pathlib.Path

    Returns
    -------
    int
        Bytes of its files.

    Raises
    ------
    MicrographError
        If a link leads out of it, or it holds a pipe, a socket or a device.
    OSError
        If a part of it cannot be looked at.
    """
    root, size = os.path.realpath(path), 0
    for entry in folder_entries(path):
        if entry.is_symlink():
            target = os.path.realpath(entry.path)
            if os.path.commonpath((root, target)) != root:
                raise MicrographError(
                    f"{path.name}: a part of it lies elsewhere ({entry.name} is a link), which is not "
                    "opened; copy everything into the folder."
                )
        if entry.is_file():
            size += entry.stat().st_size
        elif not entry.is_dir():
            raise MicrographError(f"{path.name}: {entry.name} in it is no file; copy the folder again.")
    return size


def check_zarr_array(array: Any, path: Path, on_disk: int) -> list[str]:
    """See that an array can be read, before any of it is.

    Parameters
    ----------
    array : zarr.Array
    path : pathlib.Path
        The folder of the whole.
    on_disk : int
        Bytes of its files.

    Returns
    -------
    list of str
        What a person should know: that chunks are missing, which counts as the fill value.

    Raises
    ------
    MicrographError
        If it holds no numbers, no compression makes so little of it or of one chunk, the memory does not
        hold it, it is cut into too many chunks, or not one of these is there.
    """
    refusal = kind_refusal(array.dtype, array.shape[-2:], path.name)
    if refusal is not None:  # before a codec makes objects of it
        raise refusal
    pieces = array.shards or array.chunks
    grid = [-(-length // piece) for length, piece in zip(array.shape, pieces, strict=True)]
    chunks = math.prod(-(-n // piece) for n, piece in zip(array.shape, array.chunks, strict=True))
    whole = int(array.size * array.dtype.itemsize)
    one = math.prod(pieces) * array.dtype.itemsize
    check_compression(path, max(whole, one), on_disk)
    large = is_large_shape(array.shape)
    check_decoded_size(path, one if large else max(whole, one), compressed=False)
    together = chunks * min(1.0, STRIP / (array.shape[-2] * array.shape[-1])) if large else chunks
    if together > _MOST_CHUNKS:
        raise MicrographError(
            f"{path.name}: the image is cut into {chunks} chunks, which takes too long to read; save it with "
            "chunks of some hundred pixels."
        )
    return _missing(array, path, math.prod(grid))


def _missing(array: Any, path: Path, expected: int) -> list[str]:
    """Say how many chunks are not there; refuse an array without any."""
    there = sum(
        1
        for entry in folder_entries(path / array.path)
        if entry.is_file() and not entry.name.startswith(".") and entry.name != "zarr.json"
    )
    if there == 0:
        raise MicrographError(f"{path.name}: the folder has a description and no pixels; copy it again.")
    if there >= expected:
        return []
    value = array.fill_value if array.fill_value is not None else 0
    return [
        f"{path.name}: {expected - there} of {expected} chunks of the image are not there and count as "
        f"{value}, as the format has it; if the image is not blank in places, copy the folder again."
    ]
