"""A micrograph without background and of even contrast, fit for Fourier analysis."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import gaussian_filter

from napari_stemprior.errors import PixelSizeError, RegistrationError
from napari_stemprior.progress import Progress, drain
from napari_stemprior.recording import PreparedImage, prepare
from napari_stemprior.recording.image_check import LEAST_SIDE, too_small
from napari_stemprior.recording.pixel_size_range import checked_pixel_size
from napari_stemprior.recording.stored_image import is_stored, middle_of, stored
from napari_stemprior.registration.pose import Pose
from napari_stemprior.registration.stage import FITTING
from napari_stemprior.structure import StructurePrior

#: Pixels finer than this (Å) are binned: they hold nothing below 0.6 Å.
COARSE_PIXEL = 0.30
#: Widths in Å of the Gaussians that take away the background and the local contrast.
BACKGROUND_WIDTH = 3.0
CONTRAST_WIDTH = 9.0
#: Pixels in the middle of an image that is not in memory which tell its crystal and its pixel size.
_MIDDLE = 2**22
_FLAT = "The image has no contrast where a lattice is looked for; choose a part that shows the crystal."
#: Rows that are interpolated at a time: a few megabytes of an image of 8192 pixels in a row.
_STRIP = 256


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

    def in_angstrom(self, pose: Pose) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the linear map (2, 2) and the origin (2,) of a pose on the original, in Å on this image."""
        binned = pose.scaled(1 / self.binning)
        return binned.affine * self.pixel_size, binned.origin * self.pixel_size


def prepared_image(image: ArrayLike | PreparedImage) -> PreparedImage:
    """Return a recording made fit for analysis; one that is prepared already is returned as it is.

    Of an image that is large and not in memory this is the middle, which begins at `corner_of`.

    Raises
    ------
    MicrographError
        If it is no two-dimensional image of real numbers, or constant.
    RegistrationError
        If it is too small to see a lattice.
    """
    excluded = None
    if is_stored(image):
        large, middle = stored(image), middle_of(stored(image).shape, _MIDDLE)
        image, excluded = large[middle], None if large.excluded is None else large.excluded[middle]
    prepared = prepare(image, excluded)
    if min(prepared.shape) < LEAST_SIDE:
        raise RegistrationError(too_small(*prepared.shape).capitalize())
    return prepared


def corner_of(image: ArrayLike | PreparedImage) -> NDArray[np.float64]:
    """Return the (2,) pixel (y, x) of an image at which what `prepared_image` makes of it begins."""
    if not is_stored(image):
        return np.zeros(2)
    return np.array([part.start for part in middle_of(stored(image).shape, _MIDDLE)], float)


def check_pixel_size(shape: tuple[int, ...], pixel_size: float, prior: StructurePrior) -> float:
    """Return the pixel size if it shows a lattice: at least three cells, at least two pixels a spacing.

    Raises
    ------
    PixelSizeError
        If it cannot show atoms, or shows too few cells, or is too coarse.
    """
    size = checked_pixel_size(pixel_size)
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

    Raises
    ------
    RegistrationError
        If no pixel is valid, or all are alike: of a large image only a part may be looked at.
    """
    return drain(preprocess_steps(image, pixel_size))


def preprocess_steps(
    image: NDArray[np.float32] | PreparedImage, pixel_size: float
) -> Generator[Progress, None, NormalizedImage]:
    """Make an image fit for Fourier analysis, step by step; see `preprocess`."""
    prepared = image if isinstance(image, PreparedImage) else PreparedImage.of(image)
    data = prepared.image
    weight = None if prepared.valid.all() else prepared.valid.astype(np.float32)
    # even a fine image keeps 96 pixels on its short side
    binning = int(np.clip(COARSE_PIXEL / pixel_size, 1, max(1, min(data.shape) // 96)))
    if binning > 1:
        yield FITTING
        if weight is not None:
            data, weight = _binned(data * weight, binning), _binned(weight, binning)
            data = np.where(weight > 0, data / np.maximum(weight, 1e-6), 0)
        else:
            data = _binned(data, binning)
        pixel_size = pixel_size * binning
    yield FITTING
    good = data if weight is None else data[weight > 0]
    if not good.size or good.min() == good.max():
        raise RegistrationError(_FLAT)
    sample = (
        good[:: max(1, data.shape[0] // 512), :: max(1, data.shape[1] // 512)] if weight is None else good
    )
    low, high = np.percentile(sample, (0.1, 99.9))
    if high > low:
        data = np.clip(data, low, high)
        good = data if weight is None else data[weight > 0]
    spread = float(good.std())
    data = data - good.mean()
    del good, sample  # of a large image each copy counts, so what follows is done in place
    data /= spread
    rms = float(np.sqrt(np.mean(prepared.row_offsets.astype(np.float64) ** 2)))
    row_noise = rms / spread / np.sqrt(binning)
    yield FITTING
    data -= _blur_valid(data, weight, BACKGROUND_WIDTH / pixel_size)
    yield FITTING
    contrast = _blur_valid(data**2, weight, CONTRAST_WIDTH / pixel_size)
    yield FITTING
    np.sqrt(np.maximum(contrast, 0, out=contrast), out=contrast)
    # a hole must not be blown up to the contrast of the crystal
    usual = float(np.median(contrast if weight is None else contrast[weight > 0]))
    data /= np.maximum(contrast, 0.5 * usual + 1e-6, out=contrast)
    if weight is not None:
        data *= weight
    return NormalizedImage(data.astype(np.float32, copy=False), pixel_size, binning, weight, row_noise)


def _binned(image: NDArray[np.float32], binning: int) -> NDArray[np.float32]:
    height, width = (n // binning for n in image.shape)
    rows = image[: height * binning].reshape(height, binning, -1).sum(axis=1, dtype=np.float32)
    blocks = rows[:, : width * binning : binning].copy()
    for step in range(1, binning):
        blocks += rows[:, step : width * binning : binning]
    return np.asarray(blocks / binning**2, np.float32)


def _blur_valid(
    image: NDArray[np.float32], weight: NDArray[np.float32] | None, sigma: float
) -> NDArray[np.float32]:
    """Gaussian blur of the valid pixels; where none is near, the weighted mean of all."""
    if weight is None:
        return _blur(image, sigma)
    mean = float((image * weight).sum(dtype=np.float64) / weight.sum(dtype=np.float64))
    departure = image - mean
    departure *= weight
    total = _blur(departure, sigma)
    del departure
    share = _blur(weight, sigma)
    total /= np.maximum(share, 0.02, out=share)
    total += mean
    return np.asarray(total, np.float32)


def _blur(image: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    """Gaussian blur, on a coarser grid where the width allows."""
    step = int(sigma // 4)
    if step < 2:
        return np.asarray(gaussian_filter(image, sigma, mode="reflect", truncate=3.0), dtype=np.float32)
    height, width = image.shape
    padded = np.pad(image, ((0, -height % step), (0, -width % step)), mode="edge")
    blocks = padded.reshape(padded.shape[0] // step, step, padded.shape[1] // step, step).mean(axis=(1, 3))
    del padded
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
    made = np.empty((len(rows), len(columns)), np.float32)
    for first in range(0, len(rows), _STRIP):
        part = slice(first, first + _STRIP)
        tall = values[i[part]] * (1 - u[part]) + values[i1[part]] * u[part]
        made[part] = tall[:, j] * (1 - v) + tall[:, j1] * v
    return made
