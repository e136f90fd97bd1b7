"""What columns show far from their middles, beyond a Gaussian: a wider Gaussian of one common share.

Probe and thermal motion give a column tails that one Gaussian does not have. Alone it does not matter: they
are round. Beside a near neighbour the tails of the other are a slope, which draws the two together.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree

Floats = NDArray[np.float64]

#: Standard deviation of the tails in those of the column: of 2, 2.5 and 3.2 that with the least bias of pairs
#: of silicon at four widths and three doses (benchmarks.measurement.dumbbells).
WIDER = 2.0
#: Neighbours that are looked at, and the steepest slope of one tail that neighbours which do not cancel have
#: to show half of the columns. With 0.45 Å pairs of silicon have more than 0.3, SrTiO3 [001] and MoS2 less
#: than 0.1.
_NEIGHBOURS, _LEAST = 8, 0.2


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
    step = (yx[index] - yx[:, None]) / (WIDER * width)
    # the slope of a Gaussian of standard deviation 1 is steepest at 1
    slope = (step * np.exp(0.5 - 0.5 * (step**2).sum(-1, keepdims=True))).sum(1)
    return float(np.median(np.linalg.norm(slope, axis=1))) > _LEAST


def tail_image(shape: tuple[int, int], yx: Floats, height: Floats, width: float) -> NDArray[np.float32]:
    """Draw wider Gaussians as high as their columns.

    Parameters
    ----------
    shape : (int, int)
    yx : (N, 2) array
        Pixels.
    height : (N,) array
    width : float
        Pixels: standard deviation of the columns; that of the tails is `WIDER` times as large.

    Returns
    -------
    (H, W) array of float32
    """
    sigma = WIDER * width
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
