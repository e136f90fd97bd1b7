"""Lattice fringes demodulated: amplitude and phase of every reflection, place by place.

This is geometric phase analysis (Hÿtch, Snoeck, Kilaas, Ultramicroscopy 74 (1998) 131) with all reflections
of the prior at once and their structure factors as the template.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from napari_stemprior.registration.fourier.padded_transform import PaddedTransform
from napari_stemprior.registration.fourier.reflections import Reflections

#: Values of coarse grids that are filtered at once.
_BATCH = 2**18


@dataclass(frozen=True, eq=False)
class Fringes:
    """Complex amplitude of each reflection on a coarse grid.

    Parameters
    ----------
    values : (n, gy, gx) complex array
        Sum of image x wave x Gaussian at each place.
    places : (gy, gx, 2) array
        Where, in Å (y, x).
    area : (gy, gx) array
        Sum of the Gaussian over the valid pixels of the image: pixels that each value rests on.
    effective : float
        Sum of the squared Gaussian in pixels, away from borders: variance for unit noise.
    reflections : Reflections
    linear : (2, 2) array
        The map that the waves were taken from.
    width : float
        Standard deviation of the Gaussian in Å.
    """

    values: NDArray[np.complex128]
    places: NDArray[np.float64]
    area: NDArray[np.float64]
    effective: float
    reflections: Reflections
    linear: NDArray[np.float64]
    width: float

    @property
    def k(self) -> NDArray[np.float64]:
        """(n, 2) wave vectors (y, x) in cycles per Å."""
        return self.reflections.g @ np.linalg.inv(self.linear)


def demodulate(
    transform: PaddedTransform, reflections: Reflections, linear: NDArray[np.float64], width: float
) -> Fringes:
    """Demodulate every reflection with a Gaussian of standard deviation `width` in Å.

    Parameters
    ----------
    transform : PaddedTransform
        Of the image.
    reflections : Reflections
    linear : (2, 2) array
        From (x, y) in Å of the prior to (y, x) in Å of the image.
    width : float
        At most some 10 Å, or the padding lets opposite borders see each other.
    """
    normalized, padded = transform.normalized, transform.size
    pixel = normalized.pixel_size
    sigma = width / pixel
    k = reflections.g @ np.linalg.inv(linear) * pixel
    # even grids of about one sample per sigma
    grid = tuple(2 * max(2, int(np.ceil(n / sigma / 2))) for n in padded)
    grid = tuple(min(m, n - n % 2) for m, n in zip(grid, padded, strict=True))
    keep = tuple(
        int(np.ceil(image / size * m))
        for image, size, m in zip(normalized.image.shape, padded, grid, strict=True)
    )
    axes = [np.arange(m) * n / m for m, n in zip(grid, padded, strict=True)]
    values = np.empty((len(k), *keep), dtype=np.complex128)
    batch = max(1, _BATCH // (grid[0] * grid[1]))
    for start in range(0, len(k), batch):
        some = slice(start, start + batch)
        values[some] = _patches(transform.image, k[some], sigma, grid, axes)[:, : keep[0], : keep[1]]
    inner = [axis[:n] for axis, n in zip(axes, keep, strict=True)]
    if transform.weight is None:
        area = _area(normalized.image.shape, sigma, inner)
    else:
        (valid,) = _patches(transform.weight, np.zeros((1, 2)), sigma, grid, axes)
        area = np.maximum(valid[: keep[0], : keep[1]].real, 0.0)
    places = np.stack(np.meshgrid(*inner, indexing="ij"), -1) * pixel
    return Fringes(values, places, area, np.pi * sigma**2, reflections, linear, width)


def _patches(
    transform: NDArray[np.complexfloating],
    waves: NDArray[np.float64],
    sigma: float,
    grid: tuple[int, ...],
    axes: list[NDArray[np.float64]],
) -> NDArray[np.complex128]:
    """Filter (n, 2) waves out of a transform and return each, frequency taken off, on a coarse grid."""
    ramps, gaussians, indices = [], [], []
    for frequency, size, m, axis in zip(waves.T, transform.shape, grid, axes, strict=True):
        centre = np.round(frequency * size)[:, None]
        offset = fft.ifftshift(np.arange(m) - m // 2)
        q = (centre + offset) / size - frequency[:, None]
        gaussians.append(np.exp(-2 * np.pi**2 * sigma**2 * q**2))
        indices.append((centre.astype(np.intp) + offset) % size)
        ramps.append(np.exp(2j * np.pi * (centre / size - frequency[:, None]) * axis))
    patch = transform[indices[0][:, :, None], indices[1][:, None, :]].astype(np.complex128)
    patch *= gaussians[0][:, :, None]
    patch *= gaussians[1][:, None, :]
    small = fft.ifft2(patch, overwrite_x=True)
    # the filter has unit sum; times 2 pi sigma^2 it has unit peak
    ramps[0] *= 2 * np.pi * sigma**2 * (grid[0] * grid[1] / transform.size)
    small *= ramps[0][:, :, None]
    small *= ramps[1][:, None, :]
    return np.asarray(small)


def _area(shape: tuple[int, ...], sigma: float, axes: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Sum the Gaussian over the pixels of an image, at each place of a grid."""
    profiles = []
    for axis, length in zip(axes, shape, strict=True):
        pixels = np.arange(length)
        profiles.append(np.exp(-((axis[:, None] - pixels) ** 2) / (2 * sigma**2)).sum(1))
    return np.asarray(np.outer(*profiles))
