"""What columns show far from their middles, beyond a Gaussian: wider Gaussians of common shares.

Probe and thermal motion give a column tails that one Gaussian does not have. Alone it does not matter: they
are round. Beside a near neighbour the tails of the other are a slope, which draws the two together.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree

Floats = NDArray[np.float64]

#: Standard deviations of the tails in those of the column. A lone column of eight probes (60 to 300 kV, 18 to
#: 33 mrad, sources of 0.5 to 1.0 Å, two of them 30 and 40 Å out of focus) is off from such a sum by 0.01 to
#: 0.17 % of its peak (root mean square, median 0.05 %), from one with a single tail of 2.0 by 0.06 to 0.30 %
#: (0.08 %), from a Gaussian by 0.4 to 1.6 %.
WIDER = (1.5, 2.5)
#: Heights of the tails over that of the column at most, and how uncertain they are beforehand: a weak prior,
#: so that shares which an image does not tell stay small.
LARGEST_TAILS, _UNSURE = (0.3, 0.1), 0.3
#: Neighbours that are looked at, and the steepest slope of one tail that neighbours which do not cancel have
#: to show half of the columns. With 0.45 Å pairs of silicon have more than 0.3, SrTiO3 [001] and MoS2 less
#: than 0.1.
_NEIGHBOURS, _LEAST = 8, 0.2
#: Standard deviations of the column: width of the tails that are asked.
_USUAL = 2.0


def tails_matter(yx: Floats, width: float) -> bool:
    """Return whether the tails of neighbours are a slope at half of the columns, and do not cancel.

    Parameters
    ----------
    yx : (N, 2) array
        Pixels.
    width : float
        Pixels: standard deviation of a column.
    """
    if len(yx) < 2:
        return False
    index = np.asarray(cKDTree(yx).query(yx, k=min(_NEIGHBOURS + 1, len(yx)))[1])[:, 1:]
    step = (yx[index] - yx[:, None]) / (_USUAL * width)
    # the slope of a Gaussian of standard deviation 1 is steepest at 1
    slope = (step * np.exp(0.5 - 0.5 * (step**2).sum(-1, keepdims=True))).sum(1)
    return float(np.median(np.linalg.norm(slope, axis=1))) > _LEAST


def bounded_step(curvature: Floats, pull: Floats, tails: Floats) -> Floats:
    """Solve for the common width and the shares of tails, which stay between 0 and `LARGEST_TAILS`.

    Parameters
    ----------
    curvature : (1 + K, 1 + K) array
        Normal equations of the width and the shares, without a prior.
    pull : (1 + K,) array
    tails : (K,) array
        Shares so far.

    Returns
    -------
    (1 + K,) array
        Change of the width and the shares.
    """
    curvature, pull = curvature.copy(), pull.copy()
    share = np.arange(1, len(pull))
    curvature[share, share] += 1 / _UNSURE**2
    pull[share] -= tails / _UNSURE**2
    low = np.append(-np.inf, -tails)
    high = np.append(np.inf, np.array(LARGEST_TAILS) - tails)
    change, free = np.zeros(len(pull)), np.ones(len(pull), bool)
    while True:  # one that hits its bound stays there, and the others are solved for again
        rest = pull[free] - curvature[np.ix_(free, ~free)] @ change[~free]
        change[free] = np.linalg.lstsq(curvature[np.ix_(free, free)], rest, rcond=1e-12)[0]
        beyond = free & ((change < low) | (change > high))
        if not beyond.any():
            return change
        change[beyond] = np.clip(change, low, high)[beyond]
        free &= ~beyond


def wide_image(shape: tuple[int, int], yx: Floats, height: Floats, sigma: float) -> NDArray[np.float32]:
    """Draw round Gaussians.

    Parameters
    ----------
    shape : (int, int)
    yx : (N, 2) array
        Pixels.
    height : (N,) array
    sigma : float
        Standard deviation, pixels.

    Returns
    -------
    (H, W) array of float32
    """
    spikes = np.zeros(int(np.prod(shape)))
    low = np.floor(yx).astype(np.int64)
    part = yx - low
    for dy in (0, 1):
        for dx in (0, 1):
            place = low + np.array([dy, dx])
            on = ((place >= 0) & (place < shape)).all(1)
            share = np.abs(1 - dy - part[:, 0]) * np.abs(1 - dx - part[:, 1]) * height
            spikes += np.bincount(place[on] @ [shape[1], 1], share[on], len(spikes))
    # a pixel's spike is spread over the two-dimensional Gaussian; its height is to be that of the column
    wide = gaussian_filter(spikes.reshape(shape).astype(np.float32), sigma, mode="constant", truncate=4.0)
    return np.asarray(wide * (2 * np.pi * sigma**2), np.float32)
