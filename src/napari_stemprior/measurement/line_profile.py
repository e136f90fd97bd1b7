"""What the image shows along a drawn line, averaged over a width."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import map_coordinates

from napari_stemprior.errors import MeasurementError

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LineProfile:
    """A profile of M steps.

    Parameters
    ----------
    position : (M,) array
        Å from the start of the line.
    value, error : (M,) arrays
        Mean across the width in units of the image, and its standard error from the scatter across it; NaN
        where no good pixel lies, and the error where there is one line only.
    count : (M,) array of int
        Samples in the mean.
    start, end : (2,) arrays
        Pixels (y, x).
    width : float
        Å.
    """

    position: Floats
    value: Floats
    error: Floats
    count: NDArray[np.int64]
    start: Floats
    end: Floats
    width: float


def line_profile(
    image: NDArray[np.floating],
    pixel_size: float,
    start: ArrayLike,
    end: ArrayLike,
    width: float = 0.0,
    valid: NDArray[np.bool_] | None = None,
) -> LineProfile:
    """Average the image across a line.

    Samples lie a pixel apart along and across the line and are interpolated linearly.

    Parameters
    ----------
    image : (H, W) array
    pixel_size : float
        Å per pixel.
    start, end : (2,) array-like
        Pixels (y, x).
    width : float
        Å across the line; 0 is the line alone.
    valid : (H, W) array of bool, optional

    Returns
    -------
    LineProfile

    Raises
    ------
    MeasurementError
        If the line has no length, lies outside of the image, or a number is not finite.
    """
    a, b = (np.asarray(place, float).ravel() for place in (start, end))
    if a.shape != (2,) or b.shape != (2,) or not np.isfinite([*a, *b, width]).all() or width < 0:
        raise MeasurementError("A line is two finite places (y, x) in pixels and a width of 0 Å or more.")
    length = float(np.linalg.norm(b - a))
    if length < 1:
        raise MeasurementError("The line is shorter than a pixel; draw it longer.")
    steps = int(np.floor(length + 1e-9)) + 1
    half = int(np.floor(width / pixel_size / 2 + 1e-9))
    along = (b - a) / length
    across = np.array([-along[1], along[0]])
    places = a + np.arange(steps)[:, None, None] * along + np.arange(-half, half + 1)[None, :, None] * across
    good = np.isfinite(image) if valid is None else valid & np.isfinite(image)
    shape = np.array(image.shape)
    inside = ((places >= 0) & (places <= shape - 1)).all(-1)
    if not inside.any():
        raise MeasurementError("The line lies outside of the image; draw it on the image.")
    at = np.moveaxis(places, -1, 0)
    filled = np.where(good, image, 0.0).astype(float)
    value = map_coordinates(filled, at, order=1, mode="nearest")
    whole = map_coordinates(good.astype(float), at, order=1, mode="nearest") > 0.999
    use = inside & whole
    count = use.sum(1)
    mean = np.where(use, value, 0).sum(1) / np.maximum(count, 1)
    spread = np.where(use, (value - mean[:, None]) ** 2, 0).sum(1)
    error = np.where(count > 1, np.sqrt(spread / np.maximum(count - 1, 1) / np.maximum(count, 1)), np.nan)
    return LineProfile(
        np.arange(steps, dtype=float) * pixel_size,
        np.where(count > 0, mean, np.nan),
        error,
        count.astype(np.int64),
        a,
        b,
        width,
    )
