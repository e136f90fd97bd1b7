"""By how much a micrograph differs from its reference, where gain, offset and blur are fitted.

A simulated reference knows nothing of the gain and the offset of a detector, of thickness and dirt that make
them vary over the field, or of the blur of a real probe. Unless they are taken out first, the difference
shows them, and no defect.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, uniform_filter
from scipy.optimize import minimize_scalar

from napari_stemprior.errors import RegistrationError

Floats = NDArray[np.float64]

#: Standard deviation of the window of the local fit, in parts of the longer side of the image and in widths
#: of a column at least: so wide that a missing column changes gain and offset by some percent only.
_WINDOW, _WINDOW_COLUMNS = 0.12, 12.0
#: Blur in widths of a column that is tried at most; at more the lattice is gone.
_MOST_BLUR = 1.5
#: Side in px of the part in the middle in which the blur is fitted.
_PART = 512
#: Smallest variance of the reference in a window, in parts of that in the whole image, at which a gain can
#: be fitted.
_FLAT = 0.02
#: A gain below this part of the usual one is no measure of a column: nothing is seen there.
_LEAST_GAIN = 0.3
#: Percentiles of the fitted reference between which its contrast is taken.
_CONTRAST = (1.0, 99.0)
#: The full colour says that so large a part of the contrast is missing; a clean fit is shown no louder.
_LEAST_LIMIT = 0.25
#: Robust standard deviations of the difference that are shown in full colour: noise stays pale.
_LOUD = 6.0


@dataclass(frozen=True, eq=False)
class Difference:
    """An image less its reference, (h, w), and the value that is shown in full colour."""

    values: NDArray[np.float32]
    limit: float


def difference_of(image: NDArray[np.float32], reference: NDArray[np.float32]) -> Difference:
    """Return the difference of an image from its reference, as fine as a column is wide, with its scale.

    Parameters
    ----------
    image, reference : (H, W) arrays
        See `residual`.

    Raises
    ------
    RegistrationError
        If one of them has no contrast.
    """
    values = gaussian_filter(residual(image, reference), _column_width(np.asarray(reference, float)))
    spread = 1.4826 * float(np.median(np.abs(values - np.median(values))))
    return Difference(values, max(_LOUD * spread, _LEAST_LIMIT))


def residual(image: NDArray[np.float32], reference: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return by how much an image differs from its reference after gain, offset and blur are fitted.

    Gain and offset are fitted by least squares in a window around every pixel; one blur of the
    reference is the one that leaves the smallest sum of squares.

    Parameters
    ----------
    image, reference : (H, W) arrays
        The reference may be smaller; it lies at the upper left.

    Returns
    -------
    (h, w) array of float32
        In parts of the contrast of the fitted reference around: -1 where a column of the brightest kind is
        missing.

    Raises
    ------
    RegistrationError
        If one of them has no contrast.
    """
    height, width = (min(pair) for pair in zip(image.shape, reference.shape, strict=True))
    seen = np.asarray(image[:height, :width], np.float64)
    clean = np.asarray(reference[:height, :width], np.float64)
    for array, name in ((seen, "micrograph"), (clean, "reference")):
        if not np.ptp(array) > 0:
            raise RegistrationError(f"The {name} has no contrast, so there is no difference to show.")
    column = _column_width(clean)
    window = max(_WINDOW * max(height, width), _WINDOW_COLUMNS * column)

    middle = tuple(slice(max((n - _PART) // 2, 0), (n + _PART) // 2) for n in seen.shape)

    def left(blur: float) -> float:
        return float(
            np.mean((seen[middle] - _fitted(seen[middle], _blurred(clean[middle], blur), window)[0]) ** 2)
        )

    best = minimize_scalar(
        left, bounds=(0.0, _MOST_BLUR * column), method="bounded", options={"xatol": 0.05 * column}
    ).x
    blur = float(best) if left(float(best)) < left(0.0) else 0.0
    fitted = _blurred(clean, blur)
    model, gain = _fitted(seen, fitted, window)
    low, high = np.percentile(fitted, _CONTRAST)
    usual = float(np.median(np.abs(gain)))
    if not (high > low and usual > 0):
        raise RegistrationError("The micrograph has no contrast, so there is no difference to show.")
    contrast = (high - low) * np.maximum(gain, _LEAST_GAIN * usual)
    return np.asarray((seen - model) / contrast, np.float32)


def _fitted(seen: Floats, clean: Floats, window: float) -> tuple[Floats, Floats]:
    """Return the reference with the gain and offset that fit the image around every pixel, and that gain."""

    def mean(array: Floats) -> Floats:
        # two box filters: a window that falls off linearly, in a time that does not grow with its width
        once = uniform_filter(array, side, mode="reflect")
        return np.asarray(uniform_filter(once, side, mode="reflect"))

    side = 2 * round(window * np.sqrt(1.5)) + 1  # the sum of two such boxes has the wanted variance
    clean = clean - clean.mean()  # else the variance is a small difference of large numbers
    level, base = mean(seen), mean(clean)
    variance = mean(clean**2) - base**2
    gain = (mean(seen * clean) - level * base) / np.maximum(variance, _FLAT * clean.var())
    return level + gain * (clean - base), gain


def _blurred(array: Floats, sigma: float) -> Floats:
    return np.asarray(gaussian_filter(array, sigma)) if sigma > 0 else array


def _column_width(reference: Floats) -> float:
    """Return about the standard deviation of a column in px: how fast the reference changes tells it."""
    slope = np.mean([np.mean(np.diff(reference, axis=axis) ** 2) for axis in (0, 1)])
    return float(np.sqrt(reference.var() / max(2 * slope, 1e-30))) if slope > 0 else 1.0
