"""Where an image shows nothing but noise, and no atom can be told from it.

A network that has seen crystals finds columns in noise, too. Shot noise and readout have the same power at
all frequencies along the slow scan axis; what an electron probe has seen has power only at low ones. So the
power at the frequencies of columns is compared with that at frequencies which no probe carries, at the same
frequency along the row: what the recording does to whole rows (afterglow of the detector, hum) changes both
alike. Single atoms in a large empty field hardly change its power; they are told by the brightest spot.
Smoothed or interpolated pictures have no power left to compare with; they are taken to show something.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d

from napari_stemprior.inference.bright_spots import GROUND_WIDTH, SPOT_WIDTH, BrightSpots
from napari_stemprior.inference.tapered_power import ASKING, hann_taper, tapered_power
from napari_stemprior.progress import Progress, drain

Image = NDArray[np.floating]
Floats = NDArray[np.float64]

#: 1/Å: frequencies of columns along a row, and in any direction. Below them lie thickness and contamination.
_ROW_BAND, _COLUMN_BAND = (0.12, 1.1), (0.25, 1.1)
#: 1/Å, and part of the highest frequency along the columns of pixels, above which no probe carries anything.
_NOISE_FROM, _NOISE_PART = 1.7, 0.75
#: Å/px from which on there is no such frequency in the image.
_COARSEST = 0.4
#: Power of the noise below this part of that of the columns is rounding: somebody has smoothed the picture.
_NO_NOISE = 1e-6
#: Part of the modes along an axis that are independent under a Hann taper, and modes along a row over which
#: the power of the noise is averaged.
_INDEPENDENT, _AVERAGED = 18 / 35, 5
#: Excess of power in standard deviations; height of the strongest mode above that expected of noise in units
#: of its mean; and height of the brightest spot in standard deviations of noise, beyond which an image shows
#: something. Of 240 images of noise at 0.01 to 100 electrons a pixel none reaches any
#: (`tests/inference/test_noise_only.py`).
_EXCESS, _PEAK, _SPOT = 4.5, 9.0, 10.5
#: Standard deviations by which the brightest spot of few counts is higher for each unit of their skewness.
_SKEWED = 6.0
#: Å on a side of the windows in which an image that shows something is looked at once more.
_WINDOW = 25.0
#: A window is empty where excess and spot are below the first two, while the whole image leads to expect an
#: excess above the third.
_EMPTY, _DARK, _EXPECTED = 3.0, 7.0, 10.0


@dataclass(frozen=True)
class ExcessPower:
    """How much more power an image has at the frequencies of columns than its noise explains.

    Parameters
    ----------
    deviations : float
        Power over that of noise, in standard deviations of noise; infinite where there is no noise to
        compare with.
    peak : float
        The strongest of these modes over the strongest that noise is expected to have, in units of its mean.
    noise : float
        Of a pixel; NaN where there is none.
    """

    deviations: float
    peak: float
    noise: float

    @classmethod
    def of(cls, image: Image, pixel_size: float) -> Generator[Progress, None, ExcessPower]:
        """Compare the power of an (H, W) image of `pixel_size` Å/px, step by step.

        Its rows lie along the fast scan axis.
        """
        height, width = image.shape
        along, down = np.fft.rfftfreq(width, pixel_size), np.abs(np.fft.fftfreq(height, pixel_size))
        row, highest = (along > _ROW_BAND[0]) & (along < _ROW_BAND[1]), 0.5 / pixel_size
        noise = (down > min(_NOISE_FROM, _NOISE_PART * highest)) & (down < 0.97 * highest)
        length = np.hypot(down[:, None], along[row])
        columns = (length > _COLUMN_BAND[0]) & (length < _COLUMN_BAND[1])
        nothing_to_compare = cls(np.inf, np.inf, np.nan)
        if pixel_size > _COARSEST or not noise.any() or not columns.any():
            return nothing_to_compare
        power = yield from tapered_power(image - np.mean(image), row)
        per_row = uniform_filter1d(power[noise].mean(axis=0), _AVERAGED, mode="nearest")
        if not (per_row > _NO_NOISE * power[columns].mean()).all():
            return nothing_to_compare
        known = _INDEPENDENT * noise.sum() * _AVERAGED
        # the reciprocal of a mean of few is too large by as much
        relative = (power / per_row)[columns] * (1 - 1 / known)
        count, against = _INDEPENDENT**2 * columns.sum(), _INDEPENDENT**2 * noise.sum() * row.sum()
        deviation = float(np.sqrt(1 / count + 1 / against))
        taper = hann_taper((height, width))
        of_a_pixel = np.sqrt(power[noise].mean() / ((taper[0] ** 2).sum() * (taper[1] ** 2).sum()))
        excess = float(relative.mean() - 1) / deviation
        return cls(excess, float(relative.max() - np.log(count)), float(of_a_pixel))


def _brightest_spot(image: Image, pixel_size: float, noise: float) -> Generator[Progress, None, float]:
    """Return how bright the brightest spot is, in units of what `noise` (of a pixel) makes of spots."""
    if np.isnan(noise):
        return np.inf
    narrow, wide = (width / pixel_size for width in (SPOT_WIDTH, GROUND_WIDTH))
    # the sum of the squares of the kernel: of two Gaussians and of their product
    square = 1 / narrow**2 + 1 / wide**2 - 4 / (narrow**2 + wide**2)
    spots = yield from BrightSpots.of_steps(image, pixel_size)
    highest = float(spots.height.max()) / max(noise * float(np.sqrt(square / (4 * np.pi))), 1e-300)
    return highest - _SKEWED * spots.skewness


def shows_something(image: Image, pixel_size: float) -> NDArray[np.bool_]:
    """Tell where an image shows more than noise.

    Parameters
    ----------
    image : (H, W) array
        Any unit; rows along the fast scan axis.
    pixel_size : float
        Å/px.

    Returns
    -------
    (H, W) array of bool
        False everywhere where the whole image is noise; otherwise where every window around a pixel is, of an
        image that shows so much elsewhere that such a window would.
    """
    return drain(shows_something_steps(image, pixel_size))


def shows_something_steps(image: Image, pixel_size: float) -> Generator[Progress, None, NDArray[np.bool_]]:
    """Tell where an image shows more than noise, step by step; see `shows_something`."""
    whole = yield from ExcessPower.of(image, pixel_size)
    if not (yield from _is_something(image, pixel_size, whole, (_EXCESS, _PEAK, _SPOT))):
        return np.zeros(image.shape, bool)
    side = round(_WINDOW / pixel_size)
    expected = whole.deviations * side / np.sqrt(image.size)
    if not np.isfinite(expected) or expected < _EXPECTED or min(image.shape) < side:
        return np.ones(image.shape, bool)
    shown = np.zeros(image.shape, bool)
    rows, columns = (_starts(size, side) for size in image.shape)
    windows = [(i, j) for i in range(len(rows)) for j in range(len(columns))]
    # every other window first: where these show something, they cover most of the rest
    for i, j in sorted(windows, key=lambda window: (window[0] % 2, window[1] % 2)):
        area = (slice(rows[i], rows[i] + side), slice(columns[j], columns[j] + side))
        if shown[area].all():
            continue
        yield ASKING
        found = yield from ExcessPower.of(image[area], pixel_size)
        if (yield from _is_something(image[area], pixel_size, found, (_EMPTY, _PEAK, _DARK))):
            shown[area] = True
    return shown


def _is_something(
    image: Image, pixel_size: float, power: ExcessPower, limits: tuple[float, float, float]
) -> Generator[Progress, None, bool]:
    """Tell whether anything exceeds its limit; spots are looked for only where the power does not tell."""
    if power.deviations > limits[0] or power.peak > limits[1]:
        return True
    return (yield from _brightest_spot(image, pixel_size, power.noise)) > limits[2]


def _starts(size: int, side: int) -> list[int]:
    """Return where windows begin that overlap by half or more and reach both ends."""
    if size <= side:
        return [0]
    count = int(np.ceil(2 * (size - side) / side)) + 1
    return [round(i * (size - side) / (count - 1)) for i in range(count)]
