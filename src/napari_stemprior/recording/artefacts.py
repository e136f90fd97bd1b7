"""Single pixels and pieces of rows that a detector or a discharge has spoiled.

The image of a column is as wide as the probe, so its neighbours above and below are nearly as bright. What is
far brighter (or darker) than both is no column.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, maximum_filter, maximum_filter1d, uniform_filter1d

from napari_stemprior.progress import Progress, drain
from napari_stemprior.recording.smoothing import gaussian_smoothed
from napari_stemprior.recording.stage import PREPARING

Mask = NDArray[np.bool_]
Floats = NDArray[np.float32]

#: Standard deviations of local noise by which a pixel must stand out.
_PIXEL_DEVIATIONS = 12.0
#: Poisson counts have heavier tails than Gaussian noise: it must stand out by this many electrons as well,
#: which 0.15 counts a pixel make in one pixel of 10**15.
_ELECTRONS = 10.0
#: At most one neighbour of a hot or dead pixel (another one) stands out by more than this share of it. The
#: image of a column sampled at half the resolution of the probe leaves 0.5 in four.
_ALONE = 0.3
#: It must stand out from the surroundings of all other pixels, too: this many times their range.
_RANGE = 1.15
#: Percent of the pixels at either end that are looked at.
_ENDS = 1.0
#: Pixels along a row over which a flash is looked for.
_FLASH_LENGTHS = (25, 81)
#: Standard errors by which the mean over that length must exceed the means above and below, ...
_FLASH_DEVIATIONS = 8.0
#: ... and how much of it the rows above and below may share.
_FLASH_ALONE = 0.25
#: Pixels in which an image is looked through for flashes first, and robust standard deviations from which
#: it is looked at closely: one image of millions of pixels has a few beyond 5.
_GLANCE, _GLANCE_DEVIATIONS = 24, 5.0
#: Rows around a piece that are looked at.
_AROUND = 33
#: Pixels that are looked at closely together.
_TOGETHER = 2**22
#: Side of the part of an image that tells its noise.
_SAMPLE = 512


@dataclass(frozen=True)
class Noise:
    """Variance of the noise as a straight line over the signal.

    Parameters
    ----------
    offset, slope, least : float
        The slope is the signal of one electron.
    """

    offset: float
    slope: float
    least: float

    @classmethod
    def of(cls, image: Floats, valid: Mask) -> Noise:
        """Measure it in the middle of an image."""
        part = tuple(slice(max(0, (n - _SAMPLE) // 2), (n + _SAMPLE) // 2) for n in image.shape)
        image, valid = (image[part], valid[part]) if valid[part].any() else (image, valid)
        smooth = gaussian_filter(image, 1.5)
        level = smooth[valid].astype(np.float64)
        square = ((image - smooth)[valid].astype(np.float64)) ** 2
        square = np.minimum(square, np.percentile(square, 99.5))
        edges = np.quantile(level, np.linspace(0, 1, 9))
        group = np.clip(np.searchsorted(edges, level, side="right") - 1, 0, 7)
        count = np.maximum(np.bincount(group, minlength=8), 1)
        x = np.bincount(group, level, 8) / count
        y = np.bincount(group, square, 8) / count
        spread = float(((x - x.mean()) ** 2).mean())
        slope = float(((x - x.mean()) * (y - y.mean())).mean()) / spread if spread > 0 else 0.0
        slope = max(0.0, slope)
        return cls(float(y.mean() - slope * x.mean()), slope, 0.1 * max(float(y.mean()), 1e-30))

    def variance(self, level: Floats) -> Floats:
        """Return the variance of the noise at a signal."""
        return np.asarray(np.maximum(self.offset + self.slope * level, self.least), np.float32)


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
    return drain(lone_pixels_steps(image, valid))


def lone_pixels_steps(image: Floats, valid: Mask) -> Generator[Progress, None, Mask]:
    """Find hot and dead pixels, step by step; see `lone_pixels`."""
    mask = np.zeros(image.shape, bool)
    values = image.ravel() if valid.all() else image[valid]
    some = values[:: max(1, values.size // 2**18)]
    low, high = (float(v) for v in np.percentile(some, (_ENDS, 100 - _ENDS)))
    for sign, end in ((1, high), (-1, low)):
        ends = np.flatnonzero((((image > end) if sign > 0 else (image < end)) & valid).ravel())
        if len(ends) == 0:
            continue
        y, x = np.unravel_index(ends, image.shape)
        yield PREPARING
        around = sign * _neighbours(image, y, x)
        middle = np.median(around, axis=0)
        # the brightest surroundings there are, and the range from the other end up to them
        least = -high if sign < 0 else low
        brightest = max(float(middle.max()), sign * end)
        own = sign * image[y, x]
        excess = own - middle
        alone = np.sort(np.abs(around - middle), axis=0)[-2] < _ALONE * excess
        beyond = own > least + _RANGE * (brightest - least)
        keep = alone & beyond
        if not keep.any():
            continue
        yield PREPARING
        mended = image.copy()
        mended[y[keep], x[keep]] = sign * middle[keep]
        noise = Noise.of(mended, valid)
        deviation = np.sqrt(noise.variance(np.asarray(sign * middle, np.float32)))
        keep &= (excess > _PIXEL_DEVIATIONS * deviation) & (
            excess > _ELECTRONS * max(noise.slope, _electron(image, valid))
        )
        mask[y[keep], x[keep]] = True
    return mask


def _electron(image: Floats, valid: Mask) -> float:
    """Return what one electron is worth where most pixels saw none: the usual height of a peak; else 0."""
    part = tuple(slice(max(0, (n - _SAMPLE) // 2), (n + _SAMPLE) // 2) for n in image.shape)
    image, valid = (image[part], valid[part]) if valid[part].any() else (image, valid)
    shown = image[valid]
    ground = float(np.median(shown))
    if (shown == ground).mean() < 0.5:
        return 0.0
    above = (image > ground) & valid
    if not 0 < above.sum() < 0.5 * valid.sum():
        return 0.0
    return float(np.median(image[above & (image == maximum_filter(image, 3))])) - ground


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
    return drain(flashes_steps(image, valid))


def flashes_steps(image: Floats, valid: Mask) -> Generator[Progress, None, Mask]:
    """Find discharges and streaks, step by step; see `flashes`."""
    mask = np.zeros(image.shape, bool)
    if min(image.shape) < 2 * _GLANCE:
        return mask
    rows = np.flatnonzero(maximum_filter1d(_may_flash(image), 2 * _AROUND + 1))
    if len(rows) == 0:
        return mask

    @cache
    def noise() -> tuple[Noise, float]:
        found = Noise.of(image, valid)
        return found, max(found.slope, _electron(image, valid))

    for group in np.split(rows, np.flatnonzero(np.diff(rows) > 1) + 1):
        most = max(_TOGETHER // image.shape[1], 4 * _AROUND)
        for first in range(int(group[0]), int(group[-1]) + 1, most):
            own = slice(first, min(first + most, int(group[-1]) + 1))
            part = slice(max(own.start - _AROUND, int(group[0])), min(own.stop + _AROUND, int(group[-1]) + 1))
            if valid[part].any():
                found = yield from _flashes(image[part], valid[part], noise)
                mask[own] = found[own.start - part.start : own.stop - part.start]
    return mask


def _flashes(
    image: Floats, valid: Mask, noise: Callable[[], tuple[Noise, float]]
) -> Generator[Progress, None, Mask]:
    """Find flashes in some rows; noise and the signal of an electron are asked for where needed."""
    mask = np.zeros(image.shape, bool)
    yield PREPARING
    above = image - gaussian_smoothed(image, 8.0)
    yield PREPARING
    spread = float(np.std(above[valid])) + 1e-30
    for length in _FLASH_LENGTHS:
        if length > image.shape[1] // 2:
            break
        smooth = uniform_filter1d(above, length, axis=1, mode="reflect")
        yield PREPARING
        beside = _beside(smooth)
        yield PREPARING
        hit = (smooth > spread) & (beside < _FLASH_ALONE * smooth)
        yield PREPARING
        if not hit.any():
            continue
        known, electron = noise()
        variance = known.variance(gaussian_smoothed(image, 1.5))
        yield PREPARING
        error = np.sqrt(1.5 * uniform_filter1d(variance, length, axis=1, mode="reflect") / length)
        more = smooth - beside
        hit &= (more > _FLASH_DEVIATIONS * error) & (more * length > 2 * _ELECTRONS * electron)
        if hit.any():  # the mean over a length is high around the flash as well: there the short one decides
            yield PREPARING
            short = uniform_filter1d(above, 5, axis=1, mode="reflect")
            alone = (short > spread) & (_beside(short) < _FLASH_ALONE * short)
            mask |= maximum_filter1d(hit, length, axis=1) & alone
    return np.asarray((maximum_filter1d(mask, 5, axis=1) & valid) if mask.any() else mask)


def _may_flash(image: Floats) -> NDArray[np.bool_]:
    """Tell which rows hold a piece that is brighter than both above and below by more than the others are."""
    height, width = image.shape
    half = _GLANCE // 2
    pieces = image[:, : width // half * half].reshape(height, -1, half).mean(axis=2)
    pieces = np.pad(pieces[:, 1:] + pieces[:, :-1], ((1, 1), (0, 0)), mode="reflect")
    excess = pieces[1:-1] - 0.5 * (pieces[:-2] + pieces[2:])
    low, middle, high = np.percentile(excess, (15.9, 50, 84.1))
    return np.asarray(excess.max(axis=1) - middle > _GLANCE_DEVIATIONS * 0.5 * (high - low))


def _beside(rows: Floats) -> Floats:
    """Return the largest of the values one and two rows above and below, 0 at least.

    Where the scan jitters, every other row may be bright at the side of a column.
    """
    padded = np.pad(rows, ((2, 2), (0, 0)), mode="reflect")
    near = np.maximum(padded[1:-3], padded[3:-1])
    far = np.maximum(padded[:-4], padded[4:])
    return np.asarray(np.maximum(np.maximum(near, far), 0))


def _neighbours(image: Floats, y: NDArray[np.intp], x: NDArray[np.intp]) -> Floats:
    """Return the (8, N) values around pixels; those beyond the border are mirrored."""
    rows, columns = (
        [np.where(n == size, size - 2, np.abs(n)) for n in (place - 1, place, place + 1)]
        for place, size in zip((y, x), image.shape, strict=True)
    )
    steps = [(dy, dx) for dy in range(3) for dx in range(3) if (dy, dx) != (1, 1)]
    return np.stack([image[rows[dy], columns[dx]] for dy, dx in steps])
