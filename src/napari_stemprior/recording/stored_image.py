"""An image that need not be in memory: read block by block from a file, a Zarr or a Dask array."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_stemprior.recording.image_check import kind_refusal

#: Pixels of an image that is taken in one piece: preparing it takes 63 bytes a pixel, see docs/speed.md, so
#: 2 GB, of which a computer of today has four times as much.
IN_ONE_PIECE = 2**25
#: Pixels that are read together when an image goes by strips.
STRIP = 2**23
#: Fewest rows of a strip.
_FEWEST_ROWS = 128


class StoredImage:
    """A two-dimensional image that gives blocks of itself as float32.

    It has the shape of an array and can be sliced as one; as a whole it comes into memory only where somebody
    asks for that (``np.asarray``).

    Parameters
    ----------
    source : array-like
        Has a shape and a dtype and gives blocks when sliced: a Zarr or Dask array, a memory map.
    name : str, optional
        What a sentence calls it.
    change : callable, optional
        What is done with the pixels of every block.
    excluded : (H, W) array of bool, optional
        Where a person wants no atoms; the pixels stay as they are.

    Raises
    ------
    MicrographError
        If it is not two-dimensional or not of real numbers.
    """

    ndim = 2
    dtype = np.dtype(np.float32)

    def __init__(
        self,
        source: Any,
        name: str = "",
        change: Callable[[NDArray[np.float32]], NDArray[np.float32]] | None = None,
        excluded: NDArray[np.bool_] | None = None,
    ) -> None:
        refusal = kind_refusal(np.dtype(source.dtype), tuple(source.shape), name)
        if refusal is not None:
            raise refusal
        self._source, self.name, self._change = source, name, change
        self.excluded = excluded
        self._range: tuple[float, float] | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return int(self._source.shape[0]), int(self._source.shape[1])

    @property
    def identity(self) -> tuple[int, bool, int]:
        """What tells it from others while its source is there: which source, whether changed, which mask."""
        mask = 0 if self.excluded is None else id(self.excluded)
        if isinstance(self._source, StoredImage):
            source, changed, _ = self._source.identity
            return source, changed != (self._change is not None), mask
        return id(self._source), self._change is not None, mask

    @property
    def size(self) -> int:
        """Pixels."""
        return self.shape[0] * self.shape[1]

    @property
    def nbytes(self) -> int:
        """Bytes that it takes in memory."""
        return self.size * self.dtype.itemsize

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, part: Any) -> NDArray[np.float32]:
        """Return a part as a contiguous array of float32."""
        with np.errstate(over="ignore"):  # beyond the range of single precision is infinite, so a bad pixel
            block = np.ascontiguousarray(np.asarray(self._source[part]), np.float32)
        return block if self._change is None else self._change(block)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """Read it whole."""
        return np.asarray(self[:, :], dtype)

    def strips(self, overlap: int = 0) -> Iterator[tuple[slice, slice]]:
        """Cut the rows into strips.

        Parameters
        ----------
        overlap : int
            Rows on either side that are read with a strip.

        Yields
        ------
        core, read : slice
            The rows that belong to the strip, and those to be read for it.
        """
        yield from strips_of(self.shape, overlap)

    def middle(self, pixels: int = IN_ONE_PIECE) -> NDArray[np.float32]:
        """Return the middle of it in at most so many pixels, of the shape of a square where it can be."""
        rows, columns = middle_of(self.shape, pixels)
        return self[rows, columns]

    def range(self) -> tuple[float, float]:
        """Return the least and the greatest finite value; the image is read once for it."""
        if self._range is None:
            low, high = np.inf, -np.inf
            for core, _ in self.strips():
                block = self[core]
                known = block[np.isfinite(block)]
                if known.size:
                    low, high = min(low, float(known.min())), max(high, float(known.max()))
            self._range = low, high
        return self._range

    def inverted(self) -> StoredImage:
        """Return it with bright and dark exchanged: max + min - image."""
        low, high = self.range()
        turned = np.float32(low + high)
        return StoredImage(self, self.name, lambda block: turned - block, self.excluded)

    def excluding(self, excluded: NDArray[np.bool_] | None) -> StoredImage:
        """Return it with an (H, W) mask of where a person wants no atoms, or without one."""
        return StoredImage(self, self.name, None, excluded)


def is_stored(image: object) -> bool:
    """Tell whether an image is to be read block by block: it is large and is no array in memory.

    A memory map counts as such; an array that is in memory is taken as it is, whatever its size.
    """
    if isinstance(image, StoredImage):
        return True
    return is_large(image) and not (isinstance(image, np.ndarray) and not _is_mapped(image))


def is_large(image: object, pixels: float = 0.0) -> bool:
    """Tell whether an image is not to be taken in one piece.

    Parameters
    ----------
    image : object
        Anything; what cannot be sliced as a two-dimensional array is not large.
    pixels : float, optional
        How many pixels are made of it, where those may be more.
    """
    shape: tuple[int, ...] = getattr(image, "shape", ())
    sliced = hasattr(image, "__getitem__") and hasattr(image, "dtype") and len(shape) == 2
    return sliced and max(pixels, float(shape[0]) * float(shape[1])) > IN_ONE_PIECE


def is_large_shape(shape: Sequence[int]) -> bool:
    """Tell whether an image of (rows, columns) is not to be taken in one piece."""
    return int(shape[-2]) * int(shape[-1]) > IN_ONE_PIECE


def stored(image: Any, name: str = "") -> StoredImage:
    """Return an image as one that is read block by block."""
    return image if isinstance(image, StoredImage) else StoredImage(image, name)


def strips_of(shape: tuple[int, int], overlap: int = 0, multiple: int = 1) -> list[tuple[slice, slice]]:
    """Cut the rows of an image into strips of about `STRIP` pixels.

    Parameters
    ----------
    shape : (int, int)
        Rows and columns.
    overlap : int
        Rows on either side that are read with a strip.
    multiple : int
        Strips begin at multiples of it.

    Returns
    -------
    list of (slice, slice)
        The rows that belong to each strip, and those to be read for it.
    """
    height, width = shape
    count = max(1, -(-height // max(_FEWEST_ROWS, STRIP // width)))
    rows = -(-height // (count * multiple)) * multiple
    found = []
    for first in range(0, height, rows):
        last = min(first + rows, height)
        found.append((slice(first, last), slice(max(0, first - overlap), min(height, last + overlap))))
    return found


def middle_of(shape: tuple[int, int], pixels: int) -> tuple[slice, slice]:
    """Return the rows and columns of the middle of an image, at most `pixels` of them."""
    side = int(pixels**0.5)
    rows = min(shape[0], max(side, pixels // shape[1]))
    columns = min(shape[1], pixels // rows)
    top, left = (shape[0] - rows) // 2, (shape[1] - columns) // 2
    return slice(top, top + rows), slice(left, left + columns)


def _is_mapped(array: NDArray[Any]) -> bool:
    base: Any = array
    while isinstance(base, np.ndarray):
        if isinstance(base, np.memmap):
            return True
        base = base.base
    return False
