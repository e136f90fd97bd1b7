"""Pixels of a TIFF that stay in the file until somebody asks for a block of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from napari_stemprior.errors import MicrographError
from napari_stemprior.io.readers.decoded_size import check_compression
from napari_stemprior.recording.stored_image import is_large_shape

#: Axes that may come before those of an image.
_AXES = 2


class TiffPixels:
    """One frame of a series of a TIFF, as something that gives blocks when sliced.

    The file is opened anew for every block, so that nothing of it stays open or mapped.

    Parameters
    ----------
    path : pathlib.Path
    series : tifffile.TiffPageSeries
    number : int
        Of the series.
    frame : tuple of int
        Indices along the axes before those of the image.
    """

    def __init__(
        self, path: Path, series: tifffile.TiffPageSeries, number: int, frame: tuple[int, ...]
    ) -> None:
        self._path, self._number, self._frame = path, number, frame
        self.shape: tuple[int, int] = (int(series.shape[-2]), int(series.shape[-1]))
        self.dtype = np.dtype(series.dtype)

    def __getitem__(self, part: Any) -> NDArray[Any]:
        """Return a block: a slice of rows, or slices of rows and of columns.

        Raises
        ------
        MicrographError
            If the file does not hold it.
        """
        try:
            return self._block(part if isinstance(part, tuple) else (part, slice(None)))
        except Exception as error:  # libraries raise whatever their headers ran into
            raise MicrographError(
                f"{self._path.name}: a part of the image cannot be read; the file may be damaged or cut "
                "short, so copy it again."
            ) from error

    def _block(self, part: tuple[Any, ...]) -> NDArray[Any]:
        import zarr  # takes a quarter of a second, and few images are so large

        with tifffile.TiffFile(self._path) as tiff:
            series = tiff.series[self._number]
            if series.dataoffset is not None and series.keyframe.is_memmappable:
                order = tiff.byteorder + series.dtype.char
                mapped = np.memmap(self._path, order, "r", series.dataoffset, tuple(series.shape))
                return np.array(mapped[(*self._frame, *part)])
            with series.aszarr() as store:
                return np.asarray(zarr.open_array(store, mode="r")[(*self._frame, *part)])


def tiff_frames(path: Path, series: tifffile.TiffPageSeries, number: int) -> list[TiffPixels] | None:
    """Return the frames of a series that is to stay in its file; None of one that is small or in colours.

    A compressed image of a single strip is no such, since every block of it would decode the whole.

    Parameters
    ----------
    path : pathlib.Path
    series : tifffile.TiffPageSeries
    number : int
        Of the series.

    Raises
    ------
    MicrographError
        If the header speaks of more pixels than the file can hold.
    """
    page, leading = series.keyframe, tuple(series.shape[:-_AXES])
    if "S" in series.axes or series.axes[-_AXES:] != "YX" or not is_large_shape(series.shape):
        return None
    plain = series.dataoffset is not None and page.is_memmappable
    size = int(series.size) * series.dtype.itemsize
    check_compression(path, size)
    if plain and (series.dataoffset or 0) + size > path.stat().st_size:
        raise MicrographError(
            f"{path.name}: the header speaks of more pixels than the file has; it is damaged or cut short, "
            "so copy it again."
        )
    if not plain and (not page.is_tiled and page.rowsperstrip >= page.imagelength):
        return None
    return [TiffPixels(path, series, number, tuple(frame)) for frame in np.ndindex(*leading)]
