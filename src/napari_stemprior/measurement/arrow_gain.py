"""How many times longer arrows are drawn, so that they can be seen and do not cover each other."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

Floats = NDArray[np.float64]


def spread_arrows(xy: Floats, arrow: Floats, error: float, most: int) -> tuple[int, float, float]:
    """Return which arrows to draw, and how long: the larger ones as long as they are apart, noise no longer.

    Parameters
    ----------
    xy, arrow : (N, 2) arrays
        Finite, in one unit.
    error : float
        Standard error of a component of an arrow, in the same unit.
    most : int
        Arrows that are drawn at most.

    Returns
    -------
    step : int
        Every so-manieth arrow is drawn.
    gain : float
        1, 2 or 5 times a power of ten.
    large : float
        Length of the larger arrows, as they are.
    """
    if len(xy) < 2:
        return 1, 1.0, max(2 * error, 1e-9)
    spacing = float(np.median(np.asarray(cKDTree(xy).query(xy, k=2)[0])[:, 1]))
    step = max(1, int(np.ceil(len(xy) / most)))
    large = max(float(np.quantile(np.linalg.norm(arrow, axis=1), 0.95)), 2 * error, 1e-9)
    gain = spacing * np.sqrt(step) / large
    power = 10.0 ** np.floor(np.log10(gain))
    return step, float(power * max(s for s in (1, 2, 5) if s * power <= gain * 1.0001)), large
