"""From a micrograph to a flat image and its power spectrum."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import fft
from scipy.ndimage import gaussian_filter, map_coordinates

from napari_stemprior.errors import PixelSizeError, RegistrationError
from napari_stemprior.recording import PreparedImage, prepare
from napari_stemprior.recording.image_check import LEAST_SIDE, too_small
from napari_stemprior.structure import StructurePrior

#: Pixels finer than this (Å) are binned: they hold nothing below 0.6 Å.
COARSE_PIXEL = 0.30
#: Widths in Å of the Gaussians that take away the background and the local contrast.
BACKGROUND_WIDTH = 3.0
CONTRAST_WIDTH = 9.0
#: Side in Å of the tiles whose power is averaged: long enough to see weak nodes,
#: short enough to bear drift and strain.
TILE = 130.0
#: The most tiles whose power is averaged along one side of an image.
MOST_TILES = 4


@dataclass(frozen=True, eq=False)
class NormalizedImage:
    """An image without background, of even contrast, binned where its pixels are fine.

    Parameters
    ----------
    image : (H, W) array of float32
        Zero mean, about unit variance.
    pixel_size : float
        Å per (binned) pixel.
    binning : int
        Pixels of the original along one side of a pixel.
    weight : (H, W) array of float32, or None
        Share of each pixel that is valid; the image is 0 where it is 0. None where all is valid.
    row_noise : float
        Rms of the row offsets that were taken out of the recording. What of them looked like fringes is still
        there, so the slow-scan axis of the spectrum is believed to be as noisy as before.
    """

    image: NDArray[np.float32]
    pixel_size: float
    binning: int
    weight: NDArray[np.float32] | None = None
    row_noise: float = 0.0

    @property
    def extent(self) -> NDArray[np.float64]:
        """(2,) height and width in Å."""
        return np.array(self.image.shape) * self.pixel_size


def prepared_image(image: ArrayLike | PreparedImage) -> PreparedImage:
    """Return a recording made fit for analysis; one that is prepared already is returned as it is.

    Raises
    ------
    MicrographError
        If it is no two-dimensional image of real numbers, or constant.
    RegistrationError
        If it is too small to see a lattice.
    """
    prepared = prepare(image)
    if min(prepared.shape) < LEAST_SIDE:
        raise RegistrationError(too_small(*prepared.shape).capitalize())
    return prepared


def check_pixel_size(shape: tuple[int, ...], pixel_size: float, prior: StructurePrior) -> float:
    """Return the pixel size if it shows a lattice: at least three cells, at least two pixels a spacing.

    Raises
    ------
    PixelSizeError
        If it is not positive, or shows too few cells, or is too coarse.
    """
    size = float(pixel_size)
    if not np.isfinite(size) or size <= 0:
        raise PixelSizeError(f"The pixel size is {pixel_size} Å/px; give a positive number.")
    height, width = shape[0] * size, shape[1] * size
    cell = float(np.sqrt(prior.area))
    if min(height, width) < 3 * cell:
        raise PixelSizeError(
            f"With {size:g} Å/px the field of view is {width:.3g} x {height:.3g} Å, less than three "
            f"unit cells of {prior.name} ({cell:.3g} Å each); check the pixel size or give a larger image."
        )
    if size > cell / 3:
        raise PixelSizeError(
            f"With {size:g} Å/px (a field of view of {width:.4g} x {height:.4g} Å) a unit cell of "
            f"{prior.name} ({cell:.3g} Å) spans less than three pixels; check the pixel size."
        )
    return size


def preprocess(image: NDArray[np.float32] | PreparedImage, pixel_size: float) -> NormalizedImage:
    """Bin fine pixels, clip outliers, take away the background and even out the contrast.

    Pixels that are not valid come out as 0, so they lend no power to the spectrum; background and contrast
    are taken from the valid ones around (normalised convolution).

    Parameters
    ----------
    image : (H, W) array of float32, or PreparedImage
        An array is taken as it is, all of it valid.
    pixel_size : float
        Å per pixel.
    """
    prepared = image if isinstance(image, PreparedImage) else PreparedImage.of(image)
    data = prepared.image
    weight = None if prepared.valid.all() else prepared.valid.astype(np.float32)
    # even a fine image keeps 96 pixels on its short side
    binning = int(np.clip(COARSE_PIXEL / pixel_size, 1, max(1, min(data.shape) // 96)))
    if binning > 1:
        if weight is not None:
            data, weight = _binned(data * weight, binning), _binned(weight, binning)
            data = np.where(weight > 0, data / np.maximum(weight, 1e-6), 0)
        else:
            data = _binned(data, binning)
        pixel_size = pixel_size * binning
    good = data if weight is None else data[weight > 0]
    sample = (
        good[:: max(1, data.shape[0] // 512), :: max(1, data.shape[1] // 512)] if weight is None else good
    )
    low, high = np.percentile(sample, (0.1, 99.9))
    if high > low:
        data, good = np.clip(data, low, high), np.clip(good, low, high)
    spread = float(good.std())
    data = (data - good.mean()) / spread
    rms = float(np.sqrt(np.mean(prepared.row_offsets.astype(np.float64) ** 2)))
    row_noise = rms / spread / np.sqrt(binning)
    data = data - _blur_valid(data, weight, BACKGROUND_WIDTH / pixel_size)
    contrast = np.sqrt(np.maximum(_blur_valid(data**2, weight, CONTRAST_WIDTH / pixel_size), 0))
    # a hole must not be blown up to the contrast of the crystal
    usual = float(np.median(contrast if weight is None else contrast[weight > 0]))
    data = data / np.maximum(contrast, 0.5 * usual + 1e-6)
    if weight is not None:
        data = data * weight
    return NormalizedImage(data.astype(np.float32), pixel_size, binning, weight, row_noise)


def _binned(image: NDArray[np.float32], binning: int) -> NDArray[np.float32]:
    height, width = (n // binning for n in image.shape)
    blocks = image[: height * binning, : width * binning].reshape(height, binning, width, binning)
    return np.asarray(blocks.mean(axis=(1, 3)), dtype=np.float32)


def _blur_valid(
    image: NDArray[np.float32], weight: NDArray[np.float32] | None, sigma: float
) -> NDArray[np.float32]:
    """Gaussian blur of the valid pixels; where none is near, the weighted mean of all."""
    if weight is None:
        return _blur(image, sigma)
    mean = float((image * weight).sum(dtype=np.float64) / weight.sum(dtype=np.float64))
    share = _blur(weight, sigma)
    total = _blur((image - mean) * weight, sigma)
    return np.asarray(mean + total / np.maximum(share, 0.02), np.float32)


def _blur(image: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    """Gaussian blur, on a coarser grid where the width allows."""
    step = int(sigma // 4)
    if step < 2:
        return np.asarray(gaussian_filter(image, sigma, mode="reflect", truncate=3.0), dtype=np.float32)
    height, width = image.shape
    padded = np.pad(image, ((0, -height % step), (0, -width % step)), mode="edge")
    blocks = padded.reshape(padded.shape[0] // step, step, padded.shape[1] // step, step).mean(axis=(1, 3))
    coarse = gaussian_filter(blocks, sigma / step, mode="reflect", truncate=3.0)
    rows = np.clip((np.arange(height) + 0.5) / step - 0.5, 0, coarse.shape[0] - 1)
    columns = np.clip((np.arange(width) + 0.5) / step - 0.5, 0, coarse.shape[1] - 1)
    return _bilinear(coarse, rows, columns)


def _bilinear(
    values: NDArray[np.float32], rows: NDArray[np.float64], columns: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Separable linear interpolation on the grid rows x columns."""
    i = np.minimum(rows.astype(int), max(values.shape[0] - 2, 0))
    j = np.minimum(columns.astype(int), max(values.shape[1] - 2, 0))
    i1, j1 = np.minimum(i + 1, values.shape[0] - 1), np.minimum(j + 1, values.shape[1] - 1)
    u, v = (rows - i)[:, None].astype(np.float32), (columns - j)[None, :].astype(np.float32)
    tall = values[i] * (1 - u) + values[i1] * u
    return np.asarray(tall[:, j] * (1 - v) + tall[:, j1] * v, dtype=np.float32)


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Power spectrum over its background, near the origin of reciprocal space.

    Parameters
    ----------
    ratio : (2 m + 1, 2 m + 1) array
        Power over the background at the same radius; about 1 on average where there is no node.
    step : float
        Cycles per Å between samples.
    limit : float
        Largest radius in cycles per Å.
    background : (bins,) array
        Mean power of a pixel of the flattened image, by radius in bins of `step`.
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

    def blurred(self, width: float) -> Spectrum:
        """Return the spectrum blurred by a Gaussian of `width` cycles per Å."""
        ratio = gaussian_filter(self.ratio, width / self.step, truncate=3.0)
        length = 1 / (1 / self.length + 2 * width)
        return Spectrum(ratio, self.step, self.limit, self.background, length, self.on_axis)


def spectrum(flat: NormalizedImage, resolution: float) -> Spectrum:
    """Average the power over overlapping tiles and divide by its radial median.

    Parameters
    ----------
    flat : NormalizedImage
    resolution : float
        Finest spacing in Å that is needed.
    """
    image, pixel = flat.image, flat.pixel_size
    side = min(*image.shape, max(32, round(TILE / pixel)))
    window = np.hanning(side + 2)[1:-1].astype(np.float32)
    taper = np.outer(window, window)
    size = fft.next_fast_len(round(1.6 * side), real=True)
    size += size % 2
    total: NDArray[np.float32] | None = None
    starts = [_starts(n, side) for n in image.shape]
    for top in starts[0]:
        for left in starts[1]:
            tile = image[top : top + side, left : left + side]
            transform = fft.rfft2((tile - tile.mean()) * taper, (size, size))
            power = transform.real**2 + transform.imag**2
            total = power if total is None else total + power
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
    on_axis = float(flat.row_noise**2 * window.sum() ** 2 / (window**2).sum())
    lobe = _main_lobe(np.arange(-m, m + 1) * step * side * pixel)
    ratio = full / (np.interp(radius, np.arange(len(background)), background) + on_axis * lobe[None])
    # within this radius there is only what is left of the background
    ratio[radius * step < 1.5 / (side * pixel)] = 1.0
    return Spectrum(ratio.astype(np.float32), step, limit, background, side * pixel, on_axis)


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
    """Mean power by integer radius, from the median so that nodes do not count (power is exponential)."""
    ring = np.round(radius).astype(int).ravel()
    order = np.argsort(ring, kind="stable")
    edges = np.searchsorted(ring[order], np.arange(ring.max() + 2))
    values = power.ravel()[order]
    median = np.array([np.median(values[a:b]) for a, b in pairwise(edges.tolist())])
    median = np.maximum(median, 1e-6 * median.max() + 1e-12) / np.log(2)
    smooth = np.exp(gaussian_filter(np.log(median), 2 * oversampling, mode="nearest"))
    return np.asarray(smooth, dtype=float)
