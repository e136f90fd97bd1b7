"""Refine a pose that a person has set by hand."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_stemprior.progress import drain
from napari_stemprior.recording import PreparedImage
from napari_stemprior.registration.decision.pose_candidate import Judge, to_pose
from napari_stemprior.registration.fourier.features import fourier_features
from napari_stemprior.registration.fourier.lattice_search import (
    LatticeCandidate,
    power_at_reflections,
    refine_power,
    rigid,
    robust_weight,
)
from napari_stemprior.registration.fourier.normalized_image import (
    check_pixel_size,
    prepared_image,
    preprocess,
)
from napari_stemprior.registration.fourier.reflections import list_reflections
from napari_stemprior.registration.gpa.lock_in import lock_in
from napari_stemprior.registration.pose import Pose
from napari_stemprior.structure import StructurePrior

#: A hand is trusted within so many degrees and this relative scale.
TURN = 4.0
SCALE = 0.04


def refine_pose(
    image: ArrayLike | PreparedImage, pixel_size: float, prior: StructurePrior, pose: Pose
) -> Pose:
    """Fit the lattice near a pose that a person has set.

    The rotation is fitted within some 4 degrees, the scale within 4 % and the strain within a few percent
    of the hand's; which way round the basis lies (mirror, half turn) is kept, and so is the cell that the
    origin lies in.

    Parameters
    ----------
    image : (H, W) array-like, or PreparedImage
        Atom columns bright. An array is prepared first, see `recording.prepare`.
    pixel_size : float
        Å per pixel that the image is believed to have.
    prior : StructurePrior
    pose : Pose
        Its own scale is believed over `pixel_size`, since the hand has set it.

    Returns
    -------
    Pose
        With the score of the fit, measured as `register` does.

    Raises
    ------
    MicrographError
        If the image is not 2-D, not of real numbers, or constant.
    RegistrationError
        If it is too small.
    PixelSizeError
        If a pixel size is not positive or does not suit the prior and the image.
    """
    array = prepared_image(image)
    check_pixel_size(array.shape, pixel_size, prior)
    normalized = preprocess(array, check_pixel_size(array.shape, pose.pixel_size, prior))
    linear, _ = normalized.in_angstrom(pose)
    features = drain(fourier_features(normalized))
    reflections = list_reflections(prior, features.resolution)
    weight = robust_weight(reflections)
    trials = np.array(
        [_turned(linear, angle, scale) for angle in _range(TURN, 0.5) for scale in _range(SCALE, 0.01, 1.0)]
    )
    value = power_at_reflections(features.blurred, trials, reflections.g, weight)
    start = LatticeCandidate(trials[int(value.argmax())], float(value.max()), 1.0)
    for power, strain in ((features.blurred, 0.012), (features.whole, 0.004)):
        start = refine_power(power, reflections, start, strain=strain, evaluations=110)
    locked = drain(lock_in(features, reflections, prior, start.linear))
    # which way round the basis lies is kept as the hand has set it
    candidate = Judge(features, locked).nearest(linear)
    best = to_pose(candidate, normalized, prior)
    cells = best.to_angstrom(pose.origin) @ np.linalg.inv(prior.cell)
    return Pose(best.affine, best.to_pixels(np.round(cells) @ prior.cell), best.score, best.reservations)


def _range(reach: float, step: float, middle: float = 0.0) -> NDArray[np.float64]:
    return np.asarray(middle + np.arange(-round(reach / step), round(reach / step) + 1) * step, dtype=float)


def _turned(linear: NDArray[np.float64], angle: float, scale: float) -> NDArray[np.float64]:
    """Turn a map on the image, from x towards y, and scale it."""
    swap = np.array([[0.0, 1.0], [1.0, 0.0]])
    return np.asarray(rigid(angle, scale) @ swap @ linear)
