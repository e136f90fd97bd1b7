"""A pose that bends: how the lattice is strained from place to place, and where it is seen at all."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import gaussian_filter, map_coordinates

from napari_stemprior.progress import Progress, drain
from napari_stemprior.recording import PreparedImage
from napari_stemprior.registration.fourier.features import FourierFeatures, fourier_features
from napari_stemprior.registration.fourier.normalized_image import (
    check_pixel_size,
    prepared_image,
    preprocess_steps,
)
from napari_stemprior.registration.fourier.reflections import list_reflections
from napari_stemprior.registration.gpa.demodulation import demodulate
from napari_stemprior.registration.gpa.displacement_field import DisplacementField, match_at, templated, track
from napari_stemprior.registration.gpa.spline_field import is_small, spline_displacement
from napari_stemprior.registration.pose import Pose
from napari_stemprior.registration.stage import FITTING
from napari_stemprior.structure import StructurePrior

#: Standard deviation in Å of the finest window that displacements are taken from.
WIDTH = 4.0
#: Blurs in Å on top of it that are tried, one after the other, until noise alone moves nothing.
_BLURS = (4.0, 6.0, 9.0, 13.0, 20.0, 30.0)
#: Noise in Å that a displacement may carry.
_TOLERATED = 0.035
#: A window flattens what bends within it; each further pass looks at what the last has left.
_PASSES = 4
#: Windows that are tried for the reliability, in sides of the cell (3 Å at least), finest first.
_FINE_WIDTHS = (1.0, 1.5, 2.2)
#: Reliability rises from 0 to 1 between these shares of the usual amplitude.
_SHARES = (0.3, 0.8)


@dataclass(frozen=True, eq=False)
class PoseField:
    """A pose and a smooth displacement of its lattice.

    Parameters
    ----------
    pose : Pose
    rows, columns_ : (gy,), (gx,) arrays
        Pixels of the coarse grid along y and x.
    displacement : (gy, gx, 2) array
        Pixels (y, x) to add to the positions of the pose.
    reliability : (gy, gx) array
        From 0 (no lattice here) to 1 (as strong as usual in this image).
    error : float
        Standard deviation of a displacement from noise, Å.
    """

    pose: Pose
    rows: NDArray[np.float64]
    columns_: NDArray[np.float64]
    displacement: NDArray[np.float64]
    reliability: NDArray[np.float64]
    error: float

    def displacement_at(self, yx: ArrayLike) -> NDArray[np.float64]:
        """Displacement in pixels at (..., 2) pixels (y, x); the border's beyond the border."""
        return np.stack([self._sample(self.displacement[..., axis], yx) for axis in (0, 1)], axis=-1)

    def reliability_at(self, yx: ArrayLike) -> NDArray[np.float64]:
        """Reliability in [0, 1] at (..., 2) pixels (y, x)."""
        return np.clip(self._sample(self.reliability, yx), 0.0, 1.0)

    def columns(
        self, prior: StructurePrior, shape: tuple[int, int], margin: float = 0.0
    ) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
        """List every column of the displaced lattice that falls on an image.

        Parameters
        ----------
        prior : StructurePrior
        shape : (int, int)
            Rows and columns of the image.
        margin : float
            Pixels around the image to include as well.

        Returns
        -------
        positions : (M, 2) array
            Pixels (y, x).
        index : (M,) array of int
            The column of the prior.
        reliability : (M,) array
            From 0 to 1.
        """
        farthest = float(np.abs(self.displacement).max(initial=0.0))
        positions, index = self.pose.columns(prior, shape, margin + farthest + 1)
        positions = positions + self.displacement_at(positions)
        low, high = -0.5 - margin, np.array(shape) - 0.5 + margin
        inside = ((positions >= low) & (positions < high)).all(axis=1)
        positions, index = positions[inside], index[inside]
        return positions, index, self.reliability_at(positions)

    def scaled(self, factor: float) -> PoseField:
        """Return the field on the image resampled by `factor` (pixel centres on integers)."""
        rows, columns = ((axis + 0.5) * factor - 0.5 for axis in (self.rows, self.columns_))
        shift = self.displacement * factor
        return PoseField(self.pose.scaled(factor), rows, columns, shift, self.reliability, self.error)

    def _sample(self, values: NDArray[np.float64], yx: ArrayLike) -> NDArray[np.float64]:
        places = np.asarray(yx, dtype=float)
        step = (self.rows[1] - self.rows[0], self.columns_[1] - self.columns_[0])
        coordinates = [
            (places[..., 0] - self.rows[0]) / step[0],
            (places[..., 1] - self.columns_[0]) / step[1],
        ]
        return np.asarray(map_coordinates(values, coordinates, order=1, mode="nearest"), dtype=float)


def fit_pose_field(
    image: ArrayLike | PreparedImage, pixel_size: float, prior: StructurePrior, pose: Pose
) -> PoseField:
    """Follow the lattice of a pose through strain, and tell where it is.

    The phases are followed from window to window; where noise would move the columns more than the strain
    does, the window grows and the field shrinks towards the pose. On images of up to some 110 x 110 Å that
    is only the start: a smooth field is then fitted to all fringes at once, see `spline_field`.

    Parameters
    ----------
    image : (H, W) array-like, or PreparedImage
        Atom columns bright. An array is prepared first, see `recording.prepare`.
    pixel_size : float
        Å per pixel.
    prior : StructurePrior
    pose : Pose
        From `register`.

    Raises
    ------
    MicrographError
        If the image is not 2-D, not of real numbers, or constant.
    RegistrationError
        If it is too small.
    PixelSizeError
        If the pixel size does not suit the prior and the image.
    """
    return drain(fit_pose_field_steps(image, pixel_size, prior, pose))


def fit_pose_field_steps(
    image: ArrayLike | PreparedImage, pixel_size: float, prior: StructurePrior, pose: Pose
) -> Generator[Progress, None, PoseField]:
    """Follow the lattice of a pose through strain, step by step; see `fit_pose_field`."""
    array = prepared_image(image)
    normalized = yield from preprocess_steps(array, check_pixel_size(array.shape, pixel_size, prior))
    features = yield from fourier_features(normalized)
    return (yield from followed_field(features, prior, pose))


def followed_field(
    features: FourierFeatures, prior: StructurePrior, pose: Pose
) -> Generator[Progress, None, PoseField]:
    """Follow the lattice of a pose on an image that is made ready, step by step; see `fit_pose_field`."""
    normalized, transform = features.normalized, features.transform
    linear, origin = normalized.in_angstrom(pose)
    reflections = list_reflections(prior, features.resolution)
    noise = features.whole.noise(reflections.g @ np.linalg.inv(linear))
    yield FITTING
    coarse = demodulate(transform, reflections, linear, WIDTH)
    matched = templated(coarse, origin, noise)
    for blur in _BLURS:
        yield FITTING
        field = track(coarse, matched, noise, smooth=blur)
        error = field.error
        if error < _TOLERATED:
            break
    shift = _smoothed(field)
    for _ in range(_PASSES - 1):
        if not shift.any():
            break
        yield FITTING
        turned = matched * np.exp(2j * np.pi * np.einsum("na,yxa->nyx", coarse.k, shift))
        rest = _smoothed(track(coarse, turned, noise, smooth=blur))
        if not rest.any():
            break
        shift = shift + rest

    spline = None
    if is_small(normalized.extent):
        spline = yield from spline_displacement(coarse, matched, noise, shift, normalized.extent)
        error = spline.error

    reliability, places = None, coarse.places
    side = max(3.0, float(np.sqrt(prior.area)))
    for width in _FINE_WIDTHS:
        yield FITTING
        fine = demodulate(transform, reflections, linear, width * side)
        places = fine.places
        if spline is not None:
            moved = spline.at(places[:, 0, 0], places[0, :, 1])
        else:
            step = (coarse.places[1, 0, 0], coarse.places[0, 1, 1])
            at = [places[..., 0] / step[0], places[..., 1] / step[1]]
            moved = np.stack(
                [map_coordinates(shift[..., a], at, order=1, mode="nearest") for a in (0, 1)], -1
            )
        yield FITTING
        match, deviation = match_at(fine, templated(fine, origin, noise), moved, noise)
        usual = _usual(match)
        reliability = np.clip((match / usual - _SHARES[0]) / (_SHARES[1] - _SHARES[0]), 0, 1)
        # what noise could do alone proves nothing
        reliability *= np.clip((match - 2 * deviation) / (2 * deviation), 0, 1)
        if float(np.median(deviation)) < 0.1 * usual:
            break
    assert reliability is not None
    pixels = (places / normalized.pixel_size + 0.5) * normalized.binning - 0.5
    scale = normalized.binning / normalized.pixel_size
    return PoseField(pose, pixels[:, 0, 0], pixels[0, :, 1], moved * scale, reliability, error)


def _usual(match: NDArray[np.float64]) -> float:
    """Return the amplitude that most of the lattice has: the median, weighted by itself."""
    values = np.sort(np.maximum(match, 0).ravel())
    total = np.cumsum(values)
    if total[-1] <= 0:
        return 1.0
    return float(max(values[np.searchsorted(total, total[-1] / 2)], 1e-12))


def _smoothed(field: DisplacementField) -> NDArray[np.float64]:
    """Smooth a displacement by how well each place is seen, and shrink what noise explains."""
    weight = np.clip(field.match / _usual(field.match), 0, 1) ** 2 + 1e-3
    shift = np.empty_like(field.shift)
    total = gaussian_filter(weight, 0.7, mode="nearest")
    for axis in (0, 1):
        shift[..., axis] = gaussian_filter(weight * field.shift[..., axis], 0.7, mode="nearest") / total
    variance = float((weight[..., None] * shift**2).sum() / (2 * weight.sum()))
    if variance <= 0:
        return shift
    return shift * float(np.clip(1 - 1.5 * field.error**2 / variance, 0, 1))
