"""Whether the columns of an image are bright or dark."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_stemprior.recording.image_check import real_image
from napari_stemprior.recording.smoothing import gaussian_smoothed

#: Standard deviations in pixels between which an image is looked at: noise is averaged, background taken
#: away.
_FINE = (1.5, 2.5, 4.0, 6.0)
_COARSE = 2.5
#: Pixels of a large image that are looked at, some for each width: they tell as much as all.
_LOOKED_AT = 2**16
#: Pixels in the middle of a large image that are looked at.
LOOKED_AT_MIDDLE = 2**22
#: Noise power that such a band lets through, times the square of its width: that of two Gaussians and their
#: product.
_NOISE = (1 + _COARSE**-2 - 4 / (1 + _COARSE**2)) / (4 * np.pi)
#: Share of the pixels at the brightest value from which bright ends are cut off, so that the tail is
#: missing that would be compared; then as much is cut off at the dark end.
_CLIPPED = 0.005
#: Skewness from which columns are dark. A honeycomb of bright columns shows dark hollows on a triangular
#: lattice: of its six strongest waves alone the skewness is -1.5 / 1.5**1.5 = -0.82, and finer waves only
#: raise it. And from which on they may be: light columns that fill the ground between dark ones leave little
#: of the tail (real ABF of SrTiO3 [110]: -0.47).
_DARK, _PERHAPS = -0.9, -0.3
#: Standard errors that the skewness must have.
_CERTAIN, _LIKELY = 6.0, 4.0


@dataclass(frozen=True)
class ColumnSkewness:
    """Skewness of the brightness at the width of columns, and its standard error.

    Parameters
    ----------
    value, error : float
    """

    value: float
    error: float

    @property
    def dark(self) -> bool:
        """Whether columns are darker than the ground, beyond doubt."""
        return self.value < _DARK and self.value < -_CERTAIN * self.error

    @property
    def perhaps_dark(self) -> bool:
        """Whether columns are darker than the ground, or hollows between bright ones look like it."""
        return self.value < _PERHAPS and self.value < -_LIKELY * self.error


def column_skewness(image: NDArray[np.float32], valid: NDArray[np.bool_]) -> ColumnSkewness:
    """Tell whether an image shows dark columns on bright ground, as ABF and bright field do.

    Columns are small and the ground between them is wide, so the brightness of an image of bright columns
    has a long tail upwards, of dark ones downwards. The sign of the skewness of the band-passed image
    decides, at the width at which the image has most contrast over its noise.

    Parameters
    ----------
    image : (H, W) array
        Prepared.
    valid : (H, W) array of bool
    """
    whole = bool(valid.all())
    shown = image.ravel() if whole else image[valid]
    if shown.size < 1000:
        return ColumnSkewness(0.0, 1.0)
    noise = _noise(image, valid)
    cut = float((shown == shown.max()).mean())
    if cut > _CLIPPED:
        image = np.maximum(image, np.quantile(shown, cut))
    best, skew, error = 0.0, 0.0, 1.0
    most = max(1, int(np.sqrt(shown.size / _LOOKED_AT)))
    for width in _FINE:
        every = min(round(width), most)
        band = gaussian_smoothed(image, width, every) - gaussian_smoothed(image, _COARSE * width, every)
        values = (band.ravel() if whole else band[valid[::every, ::every]]).astype(np.float64)
        variance = float(values.var())
        if variance == 0:
            continue
        # columns are the strongest thing in an image; vacancies and film show in wider bands
        contrast = variance - noise * _NOISE / width**2
        if contrast > best:
            low, high = np.percentile(values, (0.5, 99.5))
            np.clip(values, low, high, out=values)
            values -= values.mean()
            cubed = float((values * values * values).mean())
            independent = shown.size / (4 * np.pi * width**2)
            best, skew = contrast, cubed / max(float(values.std()), 1e-30) ** 3
            error = float(np.sqrt(6 / max(independent, 1.0)))
    return ColumnSkewness(skew, error)


def _noise(image: NDArray[np.float32], valid: NDArray[np.bool_]) -> float:
    """Return the variance of the noise, from the mixed second differences of neighbours."""
    mixed = np.diff(image[1:] - image[:-1], axis=1)
    if valid.all():
        return float(np.mean(np.square(mixed, out=mixed), dtype=np.float64)) / 4
    good = valid[1:, 1:] & valid[1:, :-1] & valid[:-1, 1:] & valid[:-1, :-1]
    return float(np.mean(mixed[good].astype(np.float64) ** 2)) / 4 if good.any() else 0.0


def inverted(image: ArrayLike) -> NDArray[np.float32]:
    """Return an image with bright and dark exchanged: max + min - image.

    Parameters
    ----------
    image : (H, W) array-like
        Pixels that are no finite numbers stay as they are.

    Returns
    -------
    (H, W) array of float32
        It spans the same range of values.

    Raises
    ------
    MicrographError
        If it is no two-dimensional image of real numbers.
    """
    array = real_image(image)
    finite = np.isfinite(array)
    if not finite.any():
        return array.copy()
    low, high = float(array[finite].min()), float(array[finite].max())
    return np.where(finite, (low + high) - array, array).astype(np.float32)
