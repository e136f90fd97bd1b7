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
from scipy.ndimage import maximum_filter

from napari_stemprior.inference.bright_spots import SPOT_WIDTH, BrightSpots
from napari_stemprior.inference.closed_triplets import strongest_triplet
from napari_stemprior.inference.mode_strengths import mode_strengths_steps
from napari_stemprior.inference.tapered_power import ASKING
from napari_stemprior.progress import Progress, drain

Image = NDArray[np.floating]
Floats = NDArray[np.float64]

#: Height of the strongest mode over that expected without order, in units of the mean: of the whole image,
#: and of its windows (Å on a side). Of films, particles and smoothed noise (`benchmarks.validation` and
#: more of the same) at most 9.2 and 14.2; of the validation set at 300 e/Å² at least 10.9, but for graphene,
#: and of two grains in windows 53.
_ORDERED, _ORDERED_WINDOW, _WINDOW = 9.5, 16.0, 25.0
#: Sum of the strengths of the two weaker modes of the strongest closed triplet, less what the strongest of
#: all modes has without order twice. Of `benchmarks.validation.no_crystal` (six noises) at most
#: 4.0; of graphene at 1,000 e/Å² more in 16 of 18, where the strongest mode alone tells 14.
_TRIPLET = 5.8
#: 1/Å: in a window the edge of a film or a body reaches up to here.
_WINDOW_FROM = 0.25
#: Å: an image smaller than this has too few modes to tell.
_SMALLEST = 20.0
#: Standard deviations of all spots by which an atom stands out of an image without order, and how many more
#: for each unit of their skewness, which few counts have. Of `benchmarks.validation.no_crystal` 0.06 spots in
#: 10 nm² stand out, and 82 % of the atoms at three times the dose of an ideal observer; with 6 and 6 none,
#: and 40 %.
_STANDS_OUT, _SKEWED = 5.0, 4.0


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
    modes = yield from mode_strengths_steps(image, pixel_size)
    if not modes.strength.size or modes.any_exceeds(_ORDERED):
        return True
    triplet = strongest_triplet(modes)
    if triplet is not None and triplet.excess > _TRIPLET:
        return True
    if min(image.shape) < 1.4 * side:
        return False
    starts = [np.linspace(0, n - side, int(np.ceil(2 * (n - side) / side)) + 1) for n in image.shape]
    for y in np.round(starts[0]).astype(int):
        for x in np.round(starts[1]).astype(int):
            yield ASKING
            window = image[y : y + side, x : x + side]
            modes = yield from mode_strengths_steps(window, pixel_size)
            if modes.any_exceeds(_ORDERED_WINDOW, _WINDOW_FROM):
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
