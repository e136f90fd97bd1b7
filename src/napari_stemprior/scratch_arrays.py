"""Arrays of an image that is too large for the memory, on the disk for as long as they are needed."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Pixels along a side of a chunk: 4 MiB of float32, and as near to rows as to columns.
_CHUNK = 1024


class ScratchArrays:
    """A folder of two-dimensional arrays that goes when nobody needs it any more.

    It lies where the system keeps temporary files; ``TMPDIR`` names another place.
    """

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="stemprior-"))
        self._finalizer = weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)

    def create(self, name: str, shape: tuple[int, int], dtype: str) -> Any:
        """Make an array of zeros, to be written and read by blocks.

        Parameters
        ----------
        name : str
            A file name that no other array of this folder has.
        shape : (int, int)
            Rows and columns.
        dtype : str
            Of numpy. Masks are compressed, numbers are not.

        Returns
        -------
        zarr.Array (H, W)
        """
        import zarr  # takes a quarter of a second, and few images are so large

        chunks = tuple(min(_CHUNK, n) for n in shape)
        packing: dict[str, Any] = {} if dtype in ("bool", "uint8") else {"compressors": None}
        return zarr.create_array(
            self.folder / f"{name}.zarr", shape=shape, chunks=chunks, dtype=dtype, fill_value=0, **packing
        )

    def remove(self, name: str) -> None:
        """Remove an array that is not needed any more."""
        shutil.rmtree(self.folder / f"{name}.zarr", ignore_errors=True)

    def close(self) -> None:
        """Remove the folder now."""
        self._finalizer()


def scratch_place() -> str:
    """Return the folder in which scratch arrays lie."""
    return tempfile.gettempdir()


def free_disk() -> int:
    """Return the bytes that are free where scratch arrays lie."""
    return shutil.disk_usage(scratch_place()).free


def read_block(array: Any, rows: slice, columns: slice) -> NDArray[Any]:
    """Return a block of an array on the disk as an array of its own."""
    return np.asarray(array[rows, columns])
