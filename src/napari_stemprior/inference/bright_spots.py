"""Spots of the size of a column, and how skewed what noise makes of them is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

Floats = NDArray[np.float64]

#: Å: standard deviations of the Gaussian of a spot, and of that of the ground that is taken from it.
SPOT_WIDTH, GROUND_WIDTH = 0.4, 1.2


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
        data = np.asarray(image, float)
        height = gaussian_filter(data, SPOT_WIDTH / pixel_size) - gaussian_filter(
            data, GROUND_WIDTH / pixel_size
        )
        low, middle, high = np.quantile(height, (0.1, 0.5, 0.9))
        spread = max(float(high - low), 1e-300)
        return cls(height, float(middle), spread, max(4.68 * float(high + low - 2 * middle) / spread, 0.0))
