"""Which pixel sizes can show atoms at all."""

from __future__ import annotations

import math

from napari_stemprior.errors import PixelSizeError

#: Å/px of an image that can show atoms: from what no microscope resolves to where no column is seen.
PIXEL_SIZES = (0.005, 2.0)


def can_show_atoms(size: float) -> bool:
    """Tell whether a pixel size in Å/px lies in `PIXEL_SIZES`."""
    return PIXEL_SIZES[0] <= size <= PIXEL_SIZES[1]


def checked_pixel_size(value: float, name: str = "") -> float:
    """Return `value` as a float if it can be the pixel size of an image of atoms, in Å/px.

    Raises
    ------
    PixelSizeError
        If it is not a positive finite number, or outside `PIXEL_SIZES`.
    """
    size = float(value)
    the = f"{name}: the" if name else "The"
    if not (math.isfinite(size) and size > 0):
        raise PixelSizeError(f"{the} pixel size is {value} Å/px; give a positive number.")
    if not can_show_atoms(size):
        low, high = PIXEL_SIZES
        raise PixelSizeError(
            f"{the} pixel size is {size:g} Å/px, at which no atom could be seen; give one between {low:g} "
            f"and {high:g} Å/px."
        )
    return size
