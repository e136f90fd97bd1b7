"""TIFF through tifffile: every page and series by itself."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

from napari_stemprior.errors import MicrographError
from napari_stemprior.io.readers.decoded_size import check_decoded_size
from napari_stemprior.io.readers.raw_image import RawImage, described_values, readable
from napari_stemprior.io.readers.tiff_pixel_size import pixel_size
from napari_stemprior.io.readers.tiff_pixels import tiff_frames
from napari_stemprior.recording.image_check import grey

#: Smallest side of an image; a series below it is a thumbnail or a profile.
_SMALLEST_SIDE = 16


def read_tiff(path: Path) -> list[RawImage]:
    """Read every image series of a TIFF.

    Parameters
    ----------
    path : pathlib.Path

    Raises
    ------
    MicrographError
        If it holds no image or a coloured one.
    Exception
        Whatever tifffile raises on a file that it cannot read.
    """
    with tifffile.TiffFile(path) as tiff:
        numbered = enumerate(tiff.series)
        series = [(i, s) for i, s in numbered if s.ndim >= 2 and s.dtype is not None and s.size > 0]
        images = [one for one in series if min(_sides(one[1])) >= _SMALLEST_SIDE] or series[:1]
        if not images:
            raise MicrographError(f"{path.name}: the TIFF holds no image; export the micrograph again.")
        return readable([partial(_image, tiff, s, number, path) for number, s in images])


def _sides(series: tifffile.TiffPageSeries) -> tuple[int, int]:
    shape = dict(zip(series.axes, series.shape, strict=True))
    if "Y" in shape and "X" in shape:
        return shape["Y"], shape["X"]
    return series.shape[-2], series.shape[-1]


def _image(tiff: tifffile.TiffFile, series: tifffile.TiffPageSeries, number: int, path: Path) -> RawImage:
    page = series.keyframe
    size = pixel_size(tiff, page, number)
    if (frames := tiff_frames(path, series, number)) is not None:
        metadata = described_values(page.description)
        return RawImage(frames, len(frames) > 1, size, title=series.name or "", metadata=metadata)
    check_decoded_size(path, series.size * series.dtype.itemsize)
    axes, pixels = series.axes, _pixels(series, path)
    if "S" in axes:
        pixels = np.moveaxis(pixels, axes.index("S"), -1)
        # samples beyond the colours are opacity
        pixels = grey(pixels, path.name, alpha=pixels.shape[-1] in (2, 4))
    height, width = pixels.shape[-2:]
    shown = pixels.reshape(-1, height, width)
    return RawImage(
        shown,
        stacked=len(shown) > 1,
        pixel_size=size,
        title=series.name or "",
        metadata=described_values(page.description),
    )


def _pixels(series: tifffile.TiffPageSeries, path: Path) -> NDArray[Any]:
    try:
        return np.asarray(series.asarray())
    except ValueError as error:
        if "imagecodecs" not in str(error):
            raise
    # LZW and JPEG: tifffile leaves them to an optional library, Pillow brings its own
    with Image.open(path) as picture:
        frames = []
        for index in [page.index for page in series.pages if page is not None]:
            picture.seek(index)
            frames.append(np.array(picture))
    return np.stack(frames).reshape(series.shape)
