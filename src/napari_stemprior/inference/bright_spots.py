"""Spots of the size of a column, and how skewed what noise makes of them is."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from napari_stemprior.inference.tapered_power import ASKING
from napari_stemprior.progress import Progress, drain

Floats = NDArray[np.float64]

#: Å: standard deviations of the Gaussian of a spot, and of that of the ground that is taken from it.
SPOT_WIDTH, GROUND_WIDTH = 0.4, 1.2
#: Pixels that are filtered together.
_TOGETHER = 2**18


@dataclass(frozen=True, eq=False)
class BrightSpots:
    """An image filtered for spots.

    Parameters
    ----------
    height : (H, W) array
        In the unit of the image.
    middle, spread : float
        Median, and what lies between the first and the last decile: a few bright atoms do not move them.
    skewness : float
        By Cornish and Fisher's expansion from the same quantiles; 0 where it is negative.
    """

    height: Floats
    middle: float
    spread: float
    skewness: float

    @classmethod
    def of(cls, image: NDArray[np.floating], pixel_size: float) -> BrightSpots:
        """Filter an (H, W) image of any unit and `pixel_size` Å/px."""
        return drain(cls.of_steps(image, pixel_size))

    @classmethod
    def of_steps(
        cls, image: NDArray[np.floating], pixel_size: float
    ) -> Generator[Progress, None, BrightSpots]:
        """Filter an image step by step; see `of`."""
        data = np.asarray(image, float)
        height = yield from _smoothed(data, SPOT_WIDTH / pixel_size)
        height -= yield from _smoothed(data, GROUND_WIDTH / pixel_size)
        low, middle, high = np.quantile(height, (0.1, 0.5, 0.9))
        spread = max(float(high - low), 1e-300)
        return cls(height, float(middle), spread, max(4.68 * float(high + low - 2 * middle) / spread, 0.0))


def _smoothed(data: Floats, sigma: float) -> Generator[Progress, None, Floats]:
    """Return ``scipy.ndimage.gaussian_filter``, some columns at a time and then some rows."""
    smooth = np.empty_like(data)
    for axis, source in ((0, data), (1, smooth)):
        along, across = data.shape[axis], data.shape[1 - axis]
        some = max(1, _TOGETHER // along)
        for first in range(0, across, some):
            part = np.s_[:, first : first + some] if axis == 0 else np.s_[first : first + some]
            smooth[part] = gaussian_filter1d(source[part], sigma, axis)
            if across > some:
                yield ASKING
    return smooth
