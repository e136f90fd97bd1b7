"""The power spectrum of an image, over its background."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy.ndimage import gaussian_filter, map_coordinates

from napari_stemprior.progress import Progress, drain
from napari_stemprior.registration.fourier.normalized_image import NormalizedImage
from napari_stemprior.registration.stage import FITTING

#: Side in Å of the tiles whose power is averaged: long enough to see weak reflections,
#: short enough to bear drift and strain.
TILE = 130.0
#: The most tiles whose power is averaged along one side of an image.
MOST_TILES = 4


@dataclass(frozen=True, eq=False)
class PowerSpectrum:
    """Power spectrum over its background, near the origin of reciprocal space.

    Parameters
    ----------
    ratio : (2 m + 1, 2 m + 1) array
        Power over the background at the same radius; about 1 on average where there is no reflection.
    step : float
        Cycles per Å between samples.
    limit : float
        Largest radius in cycles per Å.
    background : (bins,) array
        Mean power of a pixel of the normalised image, by radius in bins of `step`.
    length : float
        Length in Å over which the spectrum is coherent.
    on_axis : float
        Power of a pixel on the slow-scan axis that row offsets may have left.
    """

    ratio: NDArray[np.float32]
    step: float
    limit: float
    background: NDArray[np.float64]
    length: float
    on_axis: float = 0.0

    def at(self, k: NDArray[np.float64]) -> NDArray[np.float64]:
        """Interpolate `ratio` at (..., 2) wave vectors (y, x) in cycles per Å; 1 outside."""
        centre = self.ratio.shape[0] // 2
        coordinates = np.moveaxis(k, -1, 0) / self.step + centre
        return np.asarray(
            map_coordinates(self.ratio, coordinates, order=1, mode="constant", cval=1.0), dtype=float
        )

    def noise(self, k: NDArray[np.float64]) -> NDArray[np.float64]:
        """Background power of a pixel at (..., 2) wave vectors (y, x) in cycles per Å, with row offsets."""
        radius = np.linalg.norm(k, axis=-1)
        smooth = np.interp(radius / self.step, np.arange(len(self.background)), self.background)
        return np.asarray(smooth + self.on_axis * _main_lobe(k[..., 1] * self.length))

    def blurred(self, width: float) -> PowerSpectrum:
        """Return the spectrum blurred by a Gaussian of `width` cycles per Å."""
        ratio = gaussian_filter(self.ratio, width / self.step, truncate=3.0)
        length = 1 / (1 / self.length + 2 * width)
        return PowerSpectrum(ratio, self.step, self.limit, self.background, length, self.on_axis)


def power_spectrum(normalized: NormalizedImage, resolution: float) -> PowerSpectrum:
    """Average the power over overlapping tiles and divide by its radial median.

    Parameters
    ----------
    normalized : NormalizedImage
    resolution : float
        Finest spacing in Å that is needed.
    """
    return drain(power_spectrum_steps(normalized, resolution))


def power_spectrum_steps(
    normalized: NormalizedImage, resolution: float
) -> Generator[Progress, None, PowerSpectrum]:
    """Average the power over overlapping tiles, step by step; see `power_spectrum`."""
    image, pixel = normalized.image, normalized.pixel_size
    side = min(*image.shape, max(32, round(TILE / pixel)))
    window = np.hanning(side + 2)[1:-1].astype(np.float32)
    taper = np.outer(window, window)
    size = fft.next_fast_len(round(1.6 * side), real=True)
    size += size % 2
    total: NDArray[np.float32] | None = None
    starts = [_starts(n, side) for n in image.shape]
    for top in starts[0]:
        yield FITTING
        for left in starts[1]:
            tile = image[top : top + side, left : left + side]
            transform = fft.rfft2((tile - tile.mean()) * taper, (size, size))
            power = transform.real**2 + transform.imag**2
            total = power if total is None else total + power
    yield FITTING
    assert total is not None
    power = total / (len(starts[0]) * len(starts[1]) * float((taper**2).sum()))

    step = 1 / (size * pixel)
    limit = min(1.08 / resolution, 0.48 / pixel)
    m = min(int(limit / step) + 2, size // 2 - 1)
    right = np.concatenate([power[-m:, : m + 1], power[: m + 1, : m + 1]])
    full = np.concatenate([right[::-1, ::-1][:, :-1], right], axis=1)
    radius = np.hypot(*np.meshgrid(np.arange(-m, m + 1), np.arange(-m, m + 1), indexing="ij"))
    background = _radial_median(full, radius, size / side)
    # an offset is the same along a row: all its power lies in the main lobe of the window
    on_axis = float(normalized.row_noise**2 * window.sum() ** 2 / (window**2).sum())
    lobe = _main_lobe(np.arange(-m, m + 1) * step * side * pixel)
    ratio = full / (np.interp(radius, np.arange(len(background)), background) + on_axis * lobe[None])
    # within this radius there is only what is left of the background
    ratio[radius * step < 1.5 / (side * pixel)] = 1.0
    return PowerSpectrum(ratio.astype(np.float32), step, limit, background, side * pixel, on_axis)


def _main_lobe(cycles: NDArray[np.float64]) -> NDArray[np.float64]:
    """Power of a constant under a Hann window, by cycles per window: 1, 1/4 at one, 0 from two on."""
    return np.asarray(np.where(np.abs(cycles) < 2, np.cos(np.pi * np.clip(cycles, -2, 2) / 4) ** 4, 0.0))


def _starts(length: int, side: int) -> list[int]:
    """Return the first pixels of overlapping tiles along one side."""
    count = int(np.clip(np.ceil(2 * length / side) - 1, 1, MOST_TILES))
    return [round(s) for s in np.linspace(0, length - side, count)]


def _radial_median(
    power: NDArray[np.float32], radius: NDArray[np.float64], oversampling: float
) -> NDArray[np.float64]:
    """Mean power by integer radius, from the median so that peaks do not count (power is exponential)."""
    ring = np.round(radius).astype(int).ravel()
    order = np.argsort(ring, kind="stable")
    edges = np.searchsorted(ring[order], np.arange(ring.max() + 2))
    values = power.ravel()[order]
    median = np.array([np.median(values[a:b]) for a, b in pairwise(edges.tolist())])
    median = np.maximum(median, 1e-6 * median.max() + 1e-12) / np.log(2)
    smooth = np.exp(gaussian_filter(np.log(median), 2 * oversampling, mode="nearest"))
    return np.asarray(smooth, dtype=float)
