"""Plain arrays from ``.npy`` and ``.npz`` files that may be damaged: whole, or one error."""

from __future__ import annotations

import math
import os
import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from napari_stemprior.regular_files import refuse_pipe

#: Deflate makes at most 1032 bytes of one.
_LARGEST_RATIO = 1100


class ArrayFileError(ValueError):
    """A file that holds no whole plain arrays."""


def load_array(path: str | os.PathLike[str]) -> NDArray[Any]:
    """Read a ``.npy`` file; nothing is unpickled, nor allocated beyond what the file holds.

    Parameters
    ----------
    path : path-like

    Raises
    ------
    ArrayFileError
        If it is damaged or no such file.
    OSError
        If it cannot be opened.
    """
    refuse_pipe(path)
    with open(path, "rb") as file:
        return _array(file, os.fstat(file.fileno()).st_size)


def load_arrays(path: str | os.PathLike[str]) -> dict[str, NDArray[Any]]:
    """Read every array of an ``.npz`` file; see `load_array`.

    Parameters
    ----------
    path : path-like

    Raises
    ------
    ArrayFileError
        If it is damaged or no such file.
    OSError
        If it cannot be opened.
    """
    refuse_pipe(path)
    with open(path, "rb") as raw:
        try:
            with zipfile.ZipFile(raw) as archive:
                found = {}
                for entry in archive.infolist():
                    if entry.file_size > _LARGEST_RATIO * max(entry.compress_size, 1):
                        raise ArrayFileError(f"{entry.filename} is larger than its compression explains")
                    with archive.open(entry) as file:
                        found[entry.filename.removesuffix(".npy")] = _array(file, entry.file_size)
                return found
        except Exception as error:  # zipfile and zlib have many names for damage
            raise _damaged(path, error) from error


def _array(file: IO[bytes], size: int) -> NDArray[Any]:
    """Read an array whose header was held against the bytes that follow it."""
    try:
        version = npy.read_magic(file)
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, fortran, dtype = read(file)
        if dtype.hasobject:
            raise ArrayFileError("it holds Python objects")
        count = math.prod(shape)
        if min(shape, default=0) < 0 or count * dtype.itemsize != size - file.tell():
            raise ArrayFileError("its header and its size contradict each other")
        content = file.read(count * dtype.itemsize)
        array = np.frombuffer(content, dtype, count).reshape(shape, order="F" if fortran else "C")
    except Exception as error:  # the header is Python text: numpy's parser may raise anything on it
        raise _damaged(getattr(file, "name", "the array"), error) from error
    return array.copy(order="K")


def _damaged(path: Any, error: Exception) -> ArrayFileError:
    return error if isinstance(error, ArrayFileError) else ArrayFileError(f"{Path(str(path)).name}: {error}")
