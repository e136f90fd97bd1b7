"""Bad pixels filled from the good ones around them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

#: Standard deviations in pixels of the Gaussians that are tried, finest first.
_WIDTHS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
#: A pixel is filled by the first Gaussian of which at least this share lies on good pixels.
_ENOUGH = 0.1


def inpaint(image: NDArray[np.float32], valid: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Fill bad pixels by normalised convolution; good pixels stay as they are.

    The mean of the good pixels around is taken under the narrowest Gaussian that sees enough of them
    (Knutsson and Westin, Proc. CVPR 1993, 515), so that a lone pixel is interpolated and a wide area fades
    to the mean.

    Parameters
    ----------
    image : (H, W) array
        Bad pixels may hold anything, NaN as well.
    valid : (H, W) array of bool

    Returns
    -------
    (H, W) array of float32
        The same array where every pixel is good.

    Raises
    ------
    ValueError
        If no pixel is good.
    """
    if valid.all():
        return image
    if not valid.any():
        raise ValueError("No pixel is valid.")
    known = np.where(valid, image, np.float32(0))
    filled = known.copy()
    left = ~valid
    mean = float(known.sum(dtype=np.float64) / valid.sum())
    for width in _WIDTHS:
        rows, columns = _around(left, int(4 * width) + 1)
        part = (rows, columns)
        share = gaussian_filter(valid[part].astype(np.float32), width, mode="constant", truncate=3.0)
        total = gaussian_filter(known[part] - mean * valid[part], width, mode="constant", truncate=3.0)
        now = left[part] & (share >= _ENOUGH)
        filled[part][now] = mean + total[now] / share[now]
        left[part] &= ~now
        if not left.any():
            return filled
    filled[left] = mean
    return filled


def _around(mask: NDArray[np.bool_], margin: int) -> tuple[slice, slice]:
    """Return the rows and columns of a mask's bounding box, with a margin."""
    slices = []
    for axis in (0, 1):
        hit = np.flatnonzero(mask.any(axis=1 - axis))
        slices.append(slice(max(0, int(hit[0]) - margin), int(hit[-1]) + margin + 1))
    return slices[0], slices[1]
