"""Bad pixels filled from the good ones around them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

#: Standard deviations in pixels of the Gaussians that are tried, finest first.
_WIDTHS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
#: Wide Gaussians see the image in bins, of which this many are one standard deviation.
_BINNED = 2.0
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
        share, total = _smoothed(known[part] - mean * valid[part], valid[part], width)
        now = left[part] & (share >= _ENOUGH)
        filled[part][now] = mean + total[now] / share[now]
        left[part] &= ~now
        if not left.any():
            return filled
    filled[left] = mean
    return filled


def _smoothed(
    excess: NDArray[np.float32], valid: NDArray[np.bool_], width: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the share of good pixels under a Gaussian and their sum; wide ones see the image binned."""
    bins = max(1, int(width / _BINNED))
    parts = []
    for field in (valid.astype(np.float32), excess):
        height, breadth = field.shape
        if bins > 1:
            padded = np.pad(field, ((0, -height % bins), (0, -breadth % bins)))
            field = padded.reshape(padded.shape[0] // bins, bins, -1, bins).mean(axis=(1, 3))
        smooth = gaussian_filter(field, width / bins, mode="constant", truncate=3.0)
        parts.append(
            np.kron(smooth, np.ones((bins, bins), np.float32))[:height, :breadth] if bins > 1 else smooth
        )
    return parts[0], parts[1]


def _around(mask: NDArray[np.bool_], margin: int) -> tuple[slice, slice]:
    """Return the rows and columns of a mask's bounding box, with a margin."""
    slices = []
    for axis in (0, 1):
        hit = np.flatnonzero(mask.any(axis=1 - axis))
        slices.append(slice(max(0, int(hit[0]) - margin), int(hit[-1]) + margin + 1))
    return slices[0], slices[1]
