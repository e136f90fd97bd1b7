"""How strong each mode of an image is beside others of its length.

A crystal, also one in small grains or under strain, puts its power into few modes, each many times as strong
as other modes of the same length; films, noise and particles put theirs into all.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter

from napari_stemprior.inference.tapered_power import ASKING, tapered_power
from napari_stemprior.progress import Progress, told_as
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


@dataclass(frozen=True, eq=False)
class Modes:
    """The modes of an (H, W) image.

    Parameters
    ----------
    strength : (H, K) array
        How many times the mean of modes of its length each has; 0 where it is not compared.
    down : (H, 1) array
        1/Å, frequencies along a column in the order of ``numpy.fft.fftfreq``.
    along : (1, K) array
        1/Å, frequencies along a row, from zero on.
    highest : float
        What the strongest of all has without order.
    """

    strength: Floats
    down: Floats
    along: Floats
    highest: float

    @property
    def length(self) -> Floats:
        """(H, K), 1/Å."""
        return np.hypot(self.down, self.along)

    @property
    def in_band(self) -> NDArray[np.bool_]:
        """(H, K): which of them tell of order."""
        return np.asarray((self.strength > 0) & (self.length > _BAND[0]))

    @property
    def excess(self) -> Floats:
        """(N,): strength of those, less what the strongest of all has without order."""
        return self.strength[self.in_band] - self.highest

    def any_exceeds(self, excess: float, beyond: float = 0.0) -> bool:
        """Tell whether a mode in the band, longer than so many 1/Å, has more than an excess."""
        return bool((self.in_band & (self.length > beyond) & (self.strength - self.highest > excess)).any())


def mode_strengths_steps(image: Image, pixel_size: float) -> Generator[Progress, None, Modes]:
    """Compare each mode of an image with others of its length, step by step.

    Parameters
    ----------
    image : (H, W) array
        Any unit.
    pixel_size : float
        Å/px.

    Returns
    -------
    Modes
        (0, 0) where there are too few to compare.
    """
    height, width = image.shape
    data = image - np.mean(image, dtype=float)
    ground = yield from told_as(ASKING, gaussian_smoothed_steps(data, _GROUND / pixel_size))
    down = np.asarray(np.fft.fftfreq(height, pixel_size)[:, None], float)
    along = np.asarray(np.fft.rfftfreq(width, pixel_size), float)
    inside = along < _BAND[1]
    power = yield from tapered_power(data - ground, inside)
    along = along[None, inside]
    length = np.hypot(down, along)
    # modes along the scan axes are what row offsets and the edges of the field leave
    off_axis = (np.abs(down) > 2.5 / (height * pixel_size)) & (along > 1.5 / (width * pixel_size))
    chosen = (length > _BELOW) & (length < min(_BAND[1], 0.475 / pixel_size)) & off_axis
    if chosen.sum() < 4 * _ALIKE:
        return Modes(np.zeros((0, 0)), np.zeros((0, 1)), np.zeros((1, 0)), 0.0)
    order = np.argsort(length[chosen])
    sorted_power = power[chosen][order]
    usual = median_filter(sorted_power, _ALIKE, mode="reflect") / np.log(2)  # of an exponential distribution
    strength, compared = np.zeros_like(power), np.empty_like(usual)
    compared[order] = sorted_power / np.maximum(usual, 1e-300)
    strength[chosen] = compared
    return Modes(strength, down, along, float(np.log(_INDEPENDENT**2 * len(usual))))
