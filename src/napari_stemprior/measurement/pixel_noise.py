"""How noisy the pixels of a micrograph are, by how bright they are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

#: Classes of brightness in which the noise is measured.
_CLASSES = 12
#: Pixels, at least, that tell where the classes end.
_SORTED = 20_000


@dataclass(frozen=True)
class PixelNoise:
    """Variance of a pixel, linear in its signal as that of counted electrons is, whatever gain and offset.

    Parameters
    ----------
    offset : float
        Variance at signal 0, squared units of the image.
    slope : float
        Variance added by each unit of signal.
    least : float
        No pixel has less.
    """

    offset: float
    slope: float
    least: float

    def variance(self, signal: ArrayLike) -> Floats:
        """Return the variance at a signal, of its shape."""
        return np.asarray(np.maximum(self.offset + self.slope * np.asarray(signal, float), self.least))


def pixel_noise(signal: Floats, residual: Floats) -> PixelNoise:
    """Fit the noise from the residuals of a model.

    Parameters
    ----------
    signal : (M,) array
        The model at some pixels.
    residual : (M,) array
        Measured less model there.

    Returns
    -------
    PixelNoise
    """
    if not len(signal):
        return PixelNoise(0.0, 0.0, 1e-30)
    # where exactly classes end does not matter, so that some pixels tell it
    some = np.sort(signal[:: max(1, len(signal) // _SORTED)])
    place = np.linspace(0, len(some) - 1, _CLASSES + 1)[1:-1]
    edges = np.interp(place, np.arange(len(some)), some)
    index = np.zeros(len(signal), np.intp)
    for edge in edges:
        index += signal >= edge
    count = np.maximum(np.bincount(index, minlength=_CLASSES), 1)
    x = np.bincount(index, signal, _CLASSES) / count
    y = np.bincount(index, residual**2, _CLASSES) / count
    mean = max(float((residual**2).mean()), 1e-30)
    if np.ptp(x) <= 0:
        return PixelNoise(mean, 0.0, 0.1 * mean)
    # the variance of a squared residual is twice its square: bright classes weigh less
    slope, offset = np.polyfit(x, y, 1, w=1 / np.maximum(y, 0.01 * mean))
    if slope < 0:
        slope, offset = 0.0, mean
    return PixelNoise(float(offset), float(slope), 0.1 * mean)
