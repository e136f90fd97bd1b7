"""Lengths of foreign files in Å, and the single pixel size of an image."""

from __future__ import annotations

import re
from math import isfinite

from napari_stemprior.errors import MicrographError

#: Two pixel edges that differ by less than this fraction are square.
SQUARE_TOLERANCE = 0.01

_ANGSTROM_PER_UNIT = {
    1e10: ("m", "meter", "meters", "metre", "metres"),
    1e8: ("cm", "centimeter", "centimetre"),
    1e7: ("mm", "millimeter", "millimetre"),
    1e4: ("um", "micron", "microns", "micrometer", "micrometre"),
    10.0: ("nm", "nanometer", "nanometers", "nanometre"),
    1.0: ("a", "å", "ang", "angstrom", "angstroms", "ångström"),
    1e-2: ("pm", "picometer", "picometre"),
    2.54e8: ("in", "inch", "inches"),
}
_FACTOR = {name: factor for factor, names in _ANGSTROM_PER_UNIT.items() for name in names}


def to_angstrom(value: object, unit: object) -> float | None:
    """Convert a calibration of a file to Å.

    Parameters
    ----------
    value : object
        What the file gives: a number, or a text that is one.
    unit : object
        What the file gives: "nm", "µm", "Angstrom", "1/nm", None, ...

    Returns
    -------
    float or None
        The length in Å, positive; None if the unit is not a length or the value is no positive number.
        A negative scale is how some programs say that it was not set.
    """
    factor = _FACTOR.get(plain_unit(unit))
    if factor is None:
        return None
    try:
        length = float(value) * factor  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return length if isfinite(length) and length > 0 else None


def plain_unit(unit: object) -> str:
    """Return a unit in small letters, with "u" for micro and without what writers put around it.

    ImageJ escapes what is not ASCII; the Berkeley EMD writes ``[n_m]`` or ``n_m``.
    """
    text = re.sub(r"\\u([0-9a-fA-F]{4})", lambda match: chr(int(match[1], 16)), str(unit))
    text = text.strip().strip("[]").replace("_", "").strip().lower()
    # micro sign, Greek mu; the Angstrom sign (U+212B) becomes å by lower()
    return text.replace("\u00b5", "u").replace("\u03bc", "u")


def is_reciprocal(unit: object) -> bool:
    """Tell whether a unit is one of reciprocal space or of an angle, as of a diffraction pattern."""
    text = plain_unit(unit).replace(" ", "")
    return text.startswith("1/") or "-1" in text or "mrad" in text or text == "rad"


def square_pixel_size(size: tuple[float | None, float | None], name: str) -> float | None:
    """Return the one pixel size of an image from its two.

    An image with oblong pixels is refused rather than resampled: interpolation correlates the noise of
    neighbouring pixels, which is what the network judges by, and the atoms would be given
    in pixels that the file does not have.

    Parameters
    ----------
    size : (float or None, float or None)
        Å/px along y and x.
    name : str

    Raises
    ------
    MicrographError
        If the two differ by more than `SQUARE_TOLERANCE`.
    """
    along_y, along_x = size
    if along_y is None or along_x is None:
        return along_y or along_x
    if abs(along_y - along_x) > SQUARE_TOLERANCE * max(along_y, along_x):
        raise MicrographError(
            f"{name}: the pixels are not square ({along_y:.4g} Å high, {along_x:.4g} Å wide); "
            "resample the image to square pixels, or give the pixel size yourself if the file is wrong."
        )
    return along_x if along_x == along_y else (along_y + along_x) / 2
