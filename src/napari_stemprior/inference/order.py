"""Whether an image shows any order, and which spots stand out of one that shows none.

Amorphous films, smoothed noise and particles are made of spots as a crystal is; a network that has seen
crystals takes them for columns. A crystal, also one in small grains or under strain, puts its power into few
modes, each many times as strong as other modes of the same length. Where there are none, only atoms that
stand out count: single heavy atoms and clusters of a few on a support.
"""

from __future__ import annotations

from collections.abc import Generator

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter, median_filter

from napari_stemprior.inference.bright_spots import SPOT_WIDTH, BrightSpots
from napari_stemprior.inference.tapered_power import ASKING, tapered_power
from napari_stemprior.progress import Progress, drain, told_as
from napari_stemprior.recording.smoothing import gaussian_smoothed_steps

Image = NDArray[np.floating]
Floats = NDArray[np.float64]

#: 1/Å: lengths of the modes that are compared.
_BAND = (0.2, 1.1)
#: 1/Å: from here on modes are taken to compare the lowest of the band with.
_BELOW = 0.1
#: Å: the ground that is taken from the image first varies over more than this.
_GROUND = 2.0
#: Modes of like length among which one is strong.
_ALIKE = 81
#: Part of the modes along an axis that are independent under a Hann taper.
_INDEPENDENT = 18 / 35
#: Height of the strongest mode over that expected without order, in units of the mean: of the whole image,
#: and of its windows (Å on a side). Of films, particles and smoothed noise (`benchmarks.validation` and
#: more of the same) at most 9.2 and 14.2; of the validation set at 300 e/Å² at least 10.9, but for graphene,
#: and of two grains in windows 53.
_ORDERED, _ORDERED_WINDOW, _WINDOW = 9.5, 16.0, 25.0
#: 1/Å: in a window the edge of a film or a body reaches up to here.
_WINDOW_FROM = 0.25
#: Å: an image smaller than this has too few modes to tell.
_SMALLEST = 20.0
#: Standard deviations of all spots by which an atom stands out of an image without order, and how many more
#: for each unit of their skewness, which few counts have. Of `benchmarks.validation.no_crystal` 0.06 spots in
#: 10 nm² stand out, and 82 % of the atoms at three times the dose of an ideal observer; with 6 and 6 none,
#: and 40 %.
_STANDS_OUT, _SKEWED = 5.0, 4.0


def strong_modes(image: Image, pixel_size: float) -> tuple[Floats, Floats]:
    """Compare each mode of an image with others of its length.

    Parameters
    ----------
    image : (H, W) array
        Any unit.
    pixel_size : float
        Å/px.

    Returns
    -------
    length : (N,) array
        1/Å, ascending; none where there are too few to compare.
    excess : (N,) array
        How many times their mean each has, less what the strongest of all has without order.
    """
    return drain(strong_modes_steps(image, pixel_size))


def strong_modes_steps(image: Image, pixel_size: float) -> Generator[Progress, None, tuple[Floats, Floats]]:
    """Compare each mode of an image with others of its length, step by step; see `strong_modes`."""
    height, width = image.shape
    data = image - np.mean(image, dtype=float)
    ground = yield from told_as(ASKING, gaussian_smoothed_steps(data, _GROUND / pixel_size))
    down, along = np.fft.fftfreq(height, pixel_size)[:, None], np.fft.rfftfreq(width, pixel_size)
    inside = along < _BAND[1]
    power = yield from tapered_power(data - ground, inside)
    along = along[None, inside]
    length = np.hypot(down, along)
    # modes along the scan axes are what row offsets and the edges of the field leave
    off_axis = (np.abs(down) > 2.5 / (height * pixel_size)) & (along > 1.5 / (width * pixel_size))
    chosen = (length > _BELOW) & (length < min(_BAND[1], 0.475 / pixel_size)) & off_axis
    if chosen.sum() < 4 * _ALIKE:
        return np.zeros(0), np.zeros(0)
    order = np.argsort(length[chosen])
    sorted_power = power[chosen][order]
    usual = median_filter(sorted_power, _ALIKE, mode="reflect") / np.log(2)  # of an exponential distribution
    excess = sorted_power / np.maximum(usual, 1e-300) - np.log(_INDEPENDENT**2 * len(usual))
    inner = length[chosen][order] > _BAND[0]
    return length[chosen][order][inner], excess[inner]


def strongest_mode(image: Image, pixel_size: float) -> float:
    """Return the largest excess of `strong_modes`; infinite where there are too few modes to compare."""
    excess = strong_modes(image, pixel_size)[1]
    return float(excess.max()) if len(excess) else np.inf


def is_ordered(image: Image, pixel_size: float) -> bool:
    """Tell whether an (H, W) image of `pixel_size` Å/px shows order, as a whole or in a part of it.

    An image too small to tell is taken to.
    """
    return drain(is_ordered_steps(image, pixel_size))


def is_ordered_steps(image: Image, pixel_size: float) -> Generator[Progress, None, bool]:
    """Tell whether an image shows order, step by step; see `is_ordered`."""
    side = round(_WINDOW / pixel_size)
    if min(image.shape) * pixel_size < _SMALLEST:
        return True
    excess = (yield from strong_modes_steps(image, pixel_size))[1]
    if not len(excess) or excess.max() > _ORDERED:
        return True
    if min(image.shape) < 1.4 * side:
        return False
    starts = [np.linspace(0, n - side, int(np.ceil(2 * (n - side) / side)) + 1) for n in image.shape]
    for y in np.round(starts[0]).astype(int):
        for x in np.round(starts[1]).astype(int):
            yield ASKING
            window = image[y : y + side, x : x + side]
            length, excess = yield from strong_modes_steps(window, pixel_size)
            if bool((excess[length > _WINDOW_FROM] > _ORDERED_WINDOW).any()):
                return True
    return False


def stands_out(image: Image, pixel_size: float) -> NDArray[np.bool_]:
    """Tell where an image has a spot that stands out of all others.

    Parameters
    ----------
    image : (H, W) array
        Any unit.
    pixel_size : float
        Å/px.

    Returns
    -------
    (H, W) array of bool
        True within 0.4 Å of such a spot.
    """
    return drain(stands_out_steps(image, pixel_size))


def stands_out_steps(image: Image, pixel_size: float) -> Generator[Progress, None, NDArray[np.bool_]]:
    """Tell where an image has a spot that stands out, step by step; see `stands_out`."""
    spots = yield from BrightSpots.of_steps(image, pixel_size)
    yield ASKING
    height = (spots.height - spots.middle) * (2.563 / spots.spread)
    reach = 2 * round(SPOT_WIDTH / pixel_size) + 1
    return np.asarray(maximum_filter(height, reach) > _STANDS_OUT + _SKEWED * spots.skewness)
