"""The pixel size of a page of a TIFF, from wherever the microscope's program put it."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from typing import Any

import tifffile

from napari_stemprior.errors import MicrographError
from napari_stemprior.io.readers.length_units import is_reciprocal, to_angstrom
from napari_stemprior.io.readers.raw_image import described_pixel_size

#: Å/px above which a resolution tag speaks of a print: 300 dpi is 8e5 Å/px.
_PRINT_RESOLUTION = 100.0
#: Pixels of the display to which Zeiss' programs refer the size of a pixel.
_ZEISS_DISPLAY = 1024

Size = tuple[float | None, float | None]
_UNKNOWN: Size = (None, None)


def pixel_size(tiff: tifffile.TiffFile, page: tifffile.TiffPage, index: int) -> Size:
    """Return Å/px along y and x of one series, from the first place that gives them.

    Parameters
    ----------
    tiff : tifffile.TiffFile
    page : tifffile.TiffPage
        The first of the series.
    index : int
        Of the series, for an OME-TIFF.

    Raises
    ------
    MicrographError
        If the unit is that of a diffraction pattern.
    """
    described = described_pixel_size(page.description)
    if described is not None:
        return described, described
    if tiff.is_ome:
        return _from_ome(tiff, index)
    for read in (_from_vendor, _from_digital_micrograph, _from_jeol):
        size = read(page)
        if size != _UNKNOWN:
            return size
    if tiff.is_imagej:
        return _from_imagej(tiff, page)
    return _from_tags(page)


def _from_ome(tiff: tifffile.TiffFile, index: int) -> Size:
    try:
        images = ET.fromstring(tiff.ome_metadata or "").findall("{*}Image")
    except ET.ParseError:
        return _UNKNOWN
    pixels = images[index].find("{*}Pixels") if index < len(images) else None
    if pixels is None:
        return _UNKNOWN
    y, x = (
        to_angstrom(pixels.get(f"PhysicalSize{axis}"), pixels.get(f"PhysicalSize{axis}Unit", "µm"))
        for axis in "YX"
    )
    return y, x


def _from_vendor(page: tifffile.TiffPage) -> Size:
    """Read the private tags of FEI/Thermo, Olympus SIS, TVIPS and Zeiss."""
    for name in ("FEI_HELIOS", "FEI_SFEG"):
        scan = _mapping(_mapping(_tag(page, name)).get("Scan"))
        if "PixelHeight" in scan and "PixelWidth" in scan:
            return to_angstrom(scan["PixelHeight"], "m"), to_angstrom(scan["PixelWidth"], "m")
    for code in (33560, 33471):
        sis = _mapping(_tag(page, code))
        if "pixelsizey" in sis and "pixelsizex" in sis:
            return to_angstrom(sis["pixelsizey"], "m"), to_angstrom(sis["pixelsizex"], "m")
    tvips = _mapping(_tag(page, "TVIPS"))
    if "PixelSizeX" in tvips and "PixelSizeY" in tvips:
        return to_angstrom(tvips["PixelSizeY"], "nm"), to_angstrom(tvips["PixelSizeX"], "nm")
    zeiss = _mapping(_tag(page, "CZ_SEM"))
    for name in ("ap_image_pixel_size", "ap_pixel_size"):
        match zeiss.get(name):
            case (_, value, unit):
                return to_angstrom(value, unit), to_angstrom(value, unit)
    match zeiss.get(""):
        case (_, _, _, float() as metres, *_):
            size = to_angstrom(metres * _ZEISS_DISPLAY / page.imagewidth, "m")
            return size, size
    return _UNKNOWN


def _from_digital_micrograph(page: tifffile.TiffPage) -> Size:
    """Read 65003, 65004 = unit along x, y, and 65009, 65010 = scale along x, y."""
    units = _text(_tag(page, 65004)), _text(_tag(page, 65003))
    _refuse_reciprocal(units)
    return to_angstrom(_tag(page, 65010), units[0]), to_angstrom(_tag(page, 65009), units[1])


def _from_jeol(page: tifffile.TiffPage) -> Size:
    """Read JEOL's SightX: the resolution of the detector over the magnification of the image."""
    if not _text(_tag(page, "Make")).strip("\0 ").startswith("JEOL"):
        return _UNKNOWN
    lines = str(page.description).split("\n")
    try:
        report = ET.fromstring("".join(line.strip(" \r\t\x01\x00") for line in lines))
    except ET.ParseError:
        return _UNKNOWN
    found = {element.tag: (element.text or "").strip() for element in report.iter()}
    mode = found.get("ModeString", "")
    if mode == "DIFF":
        _refuse_reciprocal(("1/nm", "1/nm"))
    try:
        magnification = float(found["SelectorValue"])
    except (KeyError, ValueError):
        return _UNKNOWN
    if mode != "MAG" or not magnification > 0:
        return _UNKNOWN
    y, x = (_resolution(page, tag, _tag_unit(page)) for tag in ("YResolution", "XResolution"))
    return to_angstrom(y, "Å") and y / magnification, to_angstrom(x, "Å") and x / magnification  # type: ignore[operator]


def _from_imagej(tiff: tifffile.TiffFile, page: tifffile.TiffPage) -> Size:
    """Read the resolution in ImageJ's own unit, which each axis may have for itself."""
    metadata = tiff.imagej_metadata or {}
    unit = str(metadata.get("unit", ""))
    along_y = str(metadata.get("yunit", unit))
    _refuse_reciprocal((along_y, unit))
    return _resolution(page, "YResolution", along_y), _resolution(page, "XResolution", unit)


def _from_tags(page: tifffile.TiffPage) -> Size:
    unit = _tag_unit(page)
    y, x = _resolution(page, "YResolution", unit), _resolution(page, "XResolution", unit)
    return _UNKNOWN if max(y or 0, x or 0) > _PRINT_RESOLUTION else (y, x)


def _tag_unit(page: tifffile.TiffPage) -> str:
    return {2: "inch", 3: "cm"}.get(int(getattr(page, "resolutionunit", 0) or 0), "")


def _resolution(page: tifffile.TiffPage, tag: str, unit: str) -> float | None:
    """Turn pixels per unit (a rational) into Å per pixel."""
    match _tag(page, tag):
        case (int() as pixels, int() as units) if pixels:
            return to_angstrom(units / pixels, unit)
    return None


def _refuse_reciprocal(units: tuple[str, str]) -> None:
    if any(is_reciprocal(unit) for unit in units):
        raise MicrographError(
            "This is a diffraction pattern, by the unit of its pixels; open the image instead."
        )


def _tag(page: tifffile.TiffPage, name: str | int) -> Any:
    tag = page.tags.get(name)
    return None if tag is None else tag.value


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(value: Any) -> str:
    text = value.decode("latin-1") if isinstance(value, bytes) else "" if value is None else str(value)
    # DigitalMicrograph stores the unit as UTF-16: every other byte is zero
    return re.sub("\x00", "", text)
