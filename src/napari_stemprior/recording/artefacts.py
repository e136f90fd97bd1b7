"""Single pixels and pieces of rows that a detector or a discharge has spoiled.

The image of a column is as wide as the probe, so its neighbours above and below are nearly as bright. What is
far brighter (or darker) than both is no column.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, maximum_filter1d, uniform_filter1d

Mask = NDArray[np.bool_]
Floats = NDArray[np.float32]

#: Standard deviations of local noise by which a pixel must stand out. Poisson counts have heavier tails than
#: Gaussian noise: at 0.15 counts a pixel, 12 deviations are five counts, which chance makes once in 20 images of
#: 320 x 320.
_PIXEL_DEVIATIONS = 12.0
#: No neighbour of a hot or dead pixel stands out by more than this share of it. The image of a column sampled at
#: half the resolution of the probe leaves 0.5.
_ALONE = 0.3
#: It must stand out from all other pixels, too: this many times the range of 99.98 % of them.
_RANGE = 1.15
#: Pixels along a row over which a flash is looked for.
_FLASH_LENGTHS = (25, 81)
#: Standard errors by which the mean over that length must exceed the means above and below, ...
_FLASH_DEVIATIONS = 8.0
#: ... and how much of it the rows above and below may share.
_FLASH_ALONE = 0.25


def lone_pixels(image: Floats, valid: Mask) -> Mask:
    """Find hot and dead pixels.

    Parameters
    ----------
    image : (H, W) array
        Bad areas filled.
    valid : (H, W) array of bool

    Returns
    -------
    (H, W) array of bool
    """
    low, high = np.percentile(image[valid], (0.01, 99.99))
    centre = 0.5 * (low + high)
    beyond = valid & (np.abs(image - centre) > _RANGE * 0.5 * (high - low))
    mask = np.zeros(image.shape, bool)
    if not beyond.any():
        return mask
    y, x = np.nonzero(beyond)
    around = _neighbours(image, y, x)
    middle = np.median(around, axis=0)
    excess = np.abs(image[y, x] - middle)
    noise = _deviation(image, valid)[y, x]
    alone = np.abs(around - middle).max(axis=0) < _ALONE * excess
    mask[y, x] = (excess > _PIXEL_DEVIATIONS * noise) & alone
    return mask


def flashes(image: Floats, valid: Mask) -> Mask:
    """Find pieces of single rows that are far brighter than the rows above and below: discharges, streaks.

    Parameters
    ----------
    image : (H, W) array
        Row offsets taken out, bad areas filled.
    valid : (H, W) array of bool

    Returns
    -------
    (H, W) array of bool
    """
    above = image - gaussian_filter(image, 8.0)
    spread = float(np.std(above[valid])) + 1e-30
    noise = _deviation(image, valid)
    short = uniform_filter1d(above, 5, axis=1, mode="reflect")
    alone = (short > spread) & (_beside(short) < _FLASH_ALONE * short)
    mask = np.zeros(image.shape, bool)
    for length in _FLASH_LENGTHS:
        if length > image.shape[1] // 2:
            break
        smooth = uniform_filter1d(above, length, axis=1, mode="reflect")
        beside = _beside(smooth)
        error = np.sqrt(1.5 * uniform_filter1d(noise**2, length, axis=1, mode="reflect") / length)
        hit = (smooth - beside > _FLASH_DEVIATIONS * error) & (smooth > spread) & (beside < _FLASH_ALONE * smooth)
        if hit.any():  # the mean over a length is high around the flash as well: there the short one decides
            mask |= maximum_filter1d(hit, length, axis=1) & alone
    return np.asarray((maximum_filter1d(mask, 5, axis=1) & valid) if mask.any() else mask)


def _beside(rows: Floats) -> Floats:
    """Return the larger of the values above and below, 0 at least."""
    padded = np.pad(rows, ((1, 1), (0, 0)), mode="reflect")
    return np.asarray(np.maximum(np.maximum(padded[:-2], padded[2:]), 0))


def _neighbours(image: Floats, y: NDArray[np.intp], x: NDArray[np.intp]) -> Floats:
    """Return the (8, N) values around pixels; those beyond the border are mirrored."""
    padded = np.pad(image, 1, mode="reflect")
    steps = [(dy, dx) for dy in range(3) for dx in range(3) if (dy, dx) != (1, 1)]
    return np.stack([padded[y + dy, x + dx] for dy, dx in steps])


def _deviation(image: Floats, valid: Mask) -> Floats:
    """Return the standard deviation of the noise of every pixel: its variance grows with the signal."""
    smooth = gaussian_filter(image, 1.5)
    level = smooth[valid].astype(np.float64)
    square = ((image - smooth)[valid].astype(np.float64)) ** 2
    square = np.minimum(square, np.percentile(square, 99.5))
    edges = np.quantile(level, np.linspace(0, 1, 9))
    group = np.clip(np.searchsorted(edges, level, side="right") - 1, 0, 7)
    count = np.maximum(np.bincount(group, minlength=8), 1)
    x = np.bincount(group, level, 8) / count
    y = np.bincount(group, square, 8) / count
    slope = max(0.0, float(np.polyfit(x, y, 1)[0])) if np.ptp(x) > 0 else 0.0
    offset = float(y.mean() - slope * x.mean())
    least = 0.1 * max(float(y.mean()), 1e-30)
    return np.asarray(np.sqrt(np.maximum(offset + slope * smooth, least)), np.float32)
