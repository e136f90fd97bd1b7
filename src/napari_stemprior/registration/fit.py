"""Place the lattice of a prior on an image."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_stemprior.recording import PreparedImage
from napari_stemprior.registration.decision.diagnosis import diagnosis
from napari_stemprior.registration.decision.pose_candidate import (
    Judge,
    PoseCandidate,
    equivalent,
    ranked,
    to_pose,
)
from napari_stemprior.registration.fourier.features import FourierFeatures, fourier_features
from napari_stemprior.registration.fourier.lattice_search import (
    LatticeCandidate,
    refine_power,
    same_lattice,
    sweep,
)
from napari_stemprior.registration.fourier.lattice_symmetries import has_mirror, lattice_symmetries
from napari_stemprior.registration.fourier.normalized_image import (
    NormalizedImage,
    check_pixel_size,
    corner_of,
    prepared_image,
    preprocess,
)
from napari_stemprior.registration.fourier.peak_search import explained_power
from napari_stemprior.registration.fourier.reflections import Reflections, list_reflections
from napari_stemprior.registration.gpa.lock_in import lock_in
from napari_stemprior.registration.pose import Pose
from napari_stemprior.structure import StructurePrior

#: Scales that the sweep tries: pixel sizes in files are often 5 % off.
SCALES = np.geomspace(0.935, 1.07, 11)
#: Scales that are tried where the lattice fits at none of these. Calibrations of real files were up to 12 %
#: off.
FAR_SCALES = np.concatenate([np.geomspace(0.825, 0.922, 9), np.geomspace(1.085, 1.21, 9)])
#: Lattices that are carried from the power to the phases.
LATTICES = 3
#: A lattice whose reflections have less than this share of the best one's log power is not carried on.
_WEAK = 0.3


def register(
    image: ArrayLike | PreparedImage, pixel_size: float, prior: StructurePrior, *, candidates: int = 4
) -> list[Pose]:
    """Find how the lattice of a prior lies on an image.

    Parameters
    ----------
    image : (H, W) array-like, or PreparedImage
        As `fit_lattice` takes it.
    pixel_size : float
        Å per pixel, within the errors that `fit_lattice` tolerates.
    prior : StructurePrior
    candidates : int
        How many poses to return at most; they differ in lattice, rotation, or mirror.

    Returns
    -------
    list of Pose
        Best first, at least one. `Pose.is_fit` tells whether it is a fit at all.

    Raises
    ------
    MicrographError, RegistrationError, PixelSizeError
        As `fit_lattice` does.
    """
    array = prepared_image(image)
    size = check_pixel_size(array.shape, pixel_size, prior)
    normalized = preprocess(array, size)
    found = register_candidates(normalized, prior)[: max(1, candidates)]
    return [to_pose(candidate, normalized, prior).moved(corner_of(image)) for candidate in found]


def diagnose(image: ArrayLike | PreparedImage, pixel_size: float, prior: StructurePrior) -> str:
    """Say whether the lattice of a prior fits an image, and if not, why.

    Parameters
    ----------
    image : (H, W) array-like, or PreparedImage
        As `fit_lattice` takes it.
    pixel_size : float
        Å per pixel.
    prior : StructurePrior

    Returns
    -------
    str
        One sentence.

    Raises
    ------
    MicrographError, RegistrationError, PixelSizeError
        As `fit_lattice` does.
    """
    array = prepared_image(image)
    features = fourier_features(preprocess(array, check_pixel_size(array.shape, pixel_size, prior)))
    return diagnosis(register_features(features, prior), features.peaks, prior, pixel_size)


def register_candidates(normalized: NormalizedImage, prior: StructurePrior) -> list[PoseCandidate]:
    """Register a normalised image; every candidate, best first. See `register`."""
    return register_features(fourier_features(normalized), prior)


def register_features(features: FourierFeatures, prior: StructurePrior) -> list[PoseCandidate]:
    """Register an image that is made ready; every candidate, best first.

    Where the lattice does not fit near the stated pixel size, pixel sizes up to 20 % off are tried.
    """
    near = _placed_at(features, prior, SCALES)
    if near[0].quality.score > 0.5:
        return near
    far = _placed_at(features, prior, FAR_SCALES)
    return ranked(near + far) if far[0].quality.score > 0.5 else near


def _placed_at(
    features: FourierFeatures, prior: StructurePrior, scales: NDArray[np.float64]
) -> list[PoseCandidate]:
    reflections = list_reflections(prior, features.resolution)
    lattices = find_lattices(features, reflections, prior, scales)
    groups: list[list[PoseCandidate]] = []
    for lattice in lattices[:LATTICES]:
        if lattice.value < _WEAK * lattices[0].value:
            break
        groups.append(pose_candidates(features, reflections, prior, lattice.linear))
    return ranked(_excused(groups, features, prior))


def _excused(
    groups: list[list[PoseCandidate]], features: FourierFeatures, prior: StructurePrior
) -> list[PoseCandidate]:
    """Ask a further lattice to explain only what those that fit leave over: it may be a small grain."""
    groups = sorted((ranked(group) for group in groups), key=lambda group: -group[0].quality.score)
    rest, several = features.peaks, False
    judged: list[PoseCandidate] = []
    for group in groups:
        if several and len(rest.k):
            share = explained_power(rest, group[0].linear, prior)
            group = ranked([replace(p, quality=replace(p.quality, explained_power=share)) for p in group])
        judged += group
        if group[0].quality.score > 0.5:
            rest, several = rest.without(group[0].linear, prior), True
    return judged


def find_lattices(
    features: FourierFeatures, reflections: Reflections, prior: StructurePrior, scales: NDArray[np.float64]
) -> list[LatticeCandidate]:
    """Sweep, refine and merge: different lattices, best first."""
    mirrors = (False,) if has_mirror(prior) else (False, True)
    refined: list[LatticeCandidate] = []
    for start in sweep(features.blurred, reflections, scales, mirrors=mirrors):
        lattice = refine_power(features.blurred, reflections, start, strain=0.012, evaluations=70)
        if not any(same_lattice(lattice.linear, other.linear, prior.cell) for other in refined):
            refined.append(lattice)
    refined.sort(key=lambda lattice: -lattice.value)
    sharp: list[LatticeCandidate] = []
    for lattice in refined[: 2 * LATTICES]:
        better = refine_power(features.whole, reflections, lattice, strain=0.004, evaluations=110)
        if not any(same_lattice(better.linear, other.linear, prior.cell) for other in sharp):
            sharp.append(better)
    sharp.sort(key=lambda lattice: -lattice.value)
    return sharp


def pose_candidates(
    features: FourierFeatures, reflections: Reflections, prior: StructurePrior, linear: NDArray[np.float64]
) -> list[PoseCandidate]:
    """Lock the phases over the whole image and find the origin of every orientation of the basis."""
    judge = Judge(features, lock_in(features, reflections, prior, linear))
    candidates: list[PoseCandidate] = []
    for symmetry in lattice_symmetries(prior):
        candidate = judge.candidate(symmetry)
        if not any(equivalent(candidate, other, prior) for other in candidates):
            candidates.append(candidate)
    return candidates
