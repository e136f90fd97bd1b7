"""The kinds of what is shown on the image: a filled map, arrows, marks at places."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class MapView:
    """A map of a number over the image.

    Parameters
    ----------
    name, unit : str
    values : (h, w) array of float32
        NaN where nothing is known.
    step : int
        Pixels of the image for one of the map.
    limits : (float, float)
        Ends of the range of colours.
    about : str
        What it is, in a sentence.
    """

    name: str
    unit: str
    values: NDArray[np.float32]
    step: int
    limits: tuple[float, float]
    about: str


@dataclass(frozen=True, eq=False)
class ArrowView:
    """Arrows on the image.

    Parameters
    ----------
    name : str
    yx, arrow : (M, 2) arrays
        Start and arrow, pixels (y, x).
    angle : (M,) array or None
        Degrees from x towards y, where the direction decides the colour.
    gain : float
        By which they are drawn longer.
    large : float
        Å: length of the larger ones.
    about : str
    """

    name: str
    yx: Floats
    arrow: Floats
    angle: Floats | None
    gain: float
    large: float
    about: str


@dataclass(frozen=True, eq=False)
class PlaceView:
    """Marks on the image.

    Parameters
    ----------
    name, unit : str
    yx : (M, 2) array
        Pixels.
    values : (M,) array of float or of str
    limits : (float, float) or None
        Ends of the range of colours; None where the values are names.
    about : str
    """

    name: str
    unit: str
    yx: Floats
    values: NDArray[np.float64] | NDArray[np.object_]
    limits: tuple[float, float] | None
    about: str


View = MapView | ArrowView | PlaceView
