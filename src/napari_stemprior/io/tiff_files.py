"""TIFF through tifffile, with the pixel size from wherever the microscope's program put it."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

from napari_stemprior.errors import MicrographError
from napari_stemprior.io.length_units import to_angstrom
from napari_stemprior.io.raw_image import RawImage, described_pixel_size, described_values, readable
from napari_stemprior.recording.image_check import grey

#: Å/px above which a resolution tag speaks of a print: 300 dpi is 8e5 Å/px.
_PRINT_RESOLUTION = 100.0
#: Smallest side of an image; a series below it is a thumbnail or a profile.
_SMALLEST_SIDE = 16

_Size = tuple[float | None, float | None]


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
        size = _pixel_size(tiff)
        series = [s for s in tiff.series if s.ndim >= 2]
        images = [s for s in series if min(_sides(s)) >= _SMALLEST_SIDE] or series[:1]
        if not images:
            raise MicrographError(f"{path.name}: the TIFF holds no image; export the micrograph again.")
        metadata = described_values(tiff.pages.first.description)
        return readable([partial(_image, s, path, size, metadata) for s in images])


def _sides(series: tifffile.TiffPageSeries) -> tuple[int, int]:
    shape = dict(zip(series.axes, series.shape, strict=True))
    if "Y" in shape and "X" in shape:
        return shape["Y"], shape["X"]
    return series.shape[-2], series.shape[-1]


def _image(series: tifffile.TiffPageSeries, path: Path, size: _Size, metadata: dict[str, Any]) -> RawImage:
    axes, pixels = series.axes, _pixels(series, path)
    if "S" in axes:
        pixels = np.moveaxis(pixels, axes.index("S"), -1)
        # samples beyond the colours are opacity
        pixels = grey(pixels, path.name, alpha=pixels.shape[-1] in (2, 4))
    height, width = pixels.shape[-2:]
    frames = pixels.reshape(-1, height, width)
    return RawImage(
        frames, stacked=len(frames) > 1, pixel_size=size, title=series.name or "", metadata=metadata
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


def _pixel_size(tiff: tifffile.TiffFile) -> _Size:
    """Return Å/px along y and x from the first place that gives them."""
    page = tiff.pages.first
    described = described_pixel_size(page.description)
    if described is not None:
        return described, described
    for read in (_from_ome, _from_instrument, _from_imagej, _from_tags):
        size = read(tiff, page)
        if size != (None, None):
            return size
    return None, None


def _from_ome(tiff: tifffile.TiffFile, page: tifffile.TiffPage) -> _Size:
    if not tiff.ome_metadata:
        return None, None
    pixels = ET.fromstring(tiff.ome_metadata).find(".//{*}Pixels")
    if pixels is None:
        return None, None
    y, x = (
        to_angstrom(pixels.get(f"PhysicalSize{axis}"), pixels.get(f"PhysicalSize{axis}Unit", "µm"))
        for axis in "YX"
    )
    return y, x


def _from_instrument(tiff: tifffile.TiffFile, page: tifffile.TiffPage) -> _Size:
    """Read the private tags of FEI/Thermo, Olympus and DigitalMicrograph."""
    fei, sis = tiff.fei_metadata or {}, tiff.sis_metadata or {}
    scan = fei.get("Scan", {})
    for metadata, y, x in ((scan, "PixelHeight", "PixelWidth"), (sis, "pixelsizey", "pixelsizex")):
        if y in metadata and x in metadata:
            return to_angstrom(metadata[y], "m"), to_angstrom(metadata[x], "m")
    # DigitalMicrograph: 65003, 65004 = unit along x, y; 65009, 65010 = scale along x, y
    tags = {code: page.tags[code].value for code in (65003, 65004, 65009, 65010) if code in page.tags}
    return (
        to_angstrom(tags.get(65010), _text(tags.get(65004))),
        to_angstrom(tags.get(65009), _text(tags.get(65003))),
    )


def _from_imagej(tiff: tifffile.TiffFile, page: tifffile.TiffPage) -> _Size:
    if tiff.imagej_metadata is None:
        return None, None
    unit = tiff.imagej_metadata.get("unit", "")
    return _resolution(page, "YResolution", unit), _resolution(page, "XResolution", unit)


def _from_tags(tiff: tifffile.TiffFile, page: tifffile.TiffPage) -> _Size:
    unit = {2: "inch", 3: "cm"}.get(int(getattr(page, "resolutionunit", 0) or 0), "")
    if tiff.imagej_metadata is not None:
        return None, None  # its resolution is in its own unit
    y, x = _resolution(page, "YResolution", unit), _resolution(page, "XResolution", unit)
    if max(y or 0, x or 0) > _PRINT_RESOLUTION:
        return None, None
    return y, x


def _resolution(page: tifffile.TiffPage, tag: str, unit: str) -> float | None:
    """Turn pixels per unit (a rational) into Å per pixel."""
    if tag not in page.tags:
        return None
    pixels, units = page.tags[tag].value
    return to_angstrom(units / pixels, unit) if pixels else None


def _text(value: Any) -> str:
    text = value.decode("latin-1") if isinstance(value, bytes) else str(value)
    # DigitalMicrograph stores the unit as UTF-16: every other byte is zero
    return re.sub("\x00", "", text)
