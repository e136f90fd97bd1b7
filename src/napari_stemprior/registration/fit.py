"""Place the lattice of a prior on an image."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_stemprior.progress import Progress, drain
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
    preprocess_steps,
)
from napari_stemprior.registration.fourier.peak_search import explained_power
from napari_stemprior.registration.fourier.reflections import Reflections, list_reflections
from napari_stemprior.registration.gpa.lock_in import lock_in
from napari_stemprior.registration.pose import Pose
from napari_stemprior.registration.stage import FITTING
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
    return drain(register_steps(image, pixel_size, prior, candidates=candidates))


def register_steps(
    image: ArrayLike | PreparedImage, pixel_size: float, prior: StructurePrior, *, candidates: int = 4
) -> Generator[Progress, None, list[Pose]]:
    """Find how the lattice of a prior lies on an image, step by step; see `register`."""
    features = yield from features_for(image, pixel_size, prior)
    poses = yield from likely_poses(features, prior, candidates)
    return [pose.moved(corner_of(image)) for pose in poses]


def features_for(
    image: ArrayLike | PreparedImage, pixel_size: float, prior: StructurePrior
) -> Generator[Progress, None, FourierFeatures]:
    """Make an image ready for a prior, step by step; raises what `fit_lattice` does."""
    array = prepared_image(image)
    size = check_pixel_size(array.shape, pixel_size, prior)
    yield FITTING
    normalized = yield from preprocess_steps(array, size)
    return (yield from fourier_features(normalized))


def likely_poses(
    features: FourierFeatures, prior: StructurePrior, candidates: int
) -> Generator[Progress, None, list[Pose]]:
    """Return the best poses on an image that is made ready, step by step; see `register`."""
    judged = yield from register_features(features, prior)
    return [to_pose(one, features.normalized, prior) for one in judged[: max(1, candidates)]]


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
    normalized = preprocess(array, check_pixel_size(array.shape, pixel_size, prior))
    features = drain(fourier_features(normalized))
    return diagnosis(drain(register_features(features, prior)), features.peaks, prior, pixel_size)


def register_candidates(normalized: NormalizedImage, prior: StructurePrior) -> list[PoseCandidate]:
    """Register a normalised image; every candidate, best first. See `register`."""
    return drain(register_features(drain(fourier_features(normalized)), prior))


def register_features(
    features: FourierFeatures, prior: StructurePrior
) -> Generator[Progress, None, list[PoseCandidate]]:
    """Register an image that is made ready, step by step; every candidate, best first.

    Where the lattice does not fit near the stated pixel size, pixel sizes up to 20 % off are tried.
    """
    near = yield from _placed_at(features, prior, SCALES)
    if near[0].quality.score > 0.5:
        return near
    far = yield from _placed_at(features, prior, FAR_SCALES)
    return ranked(near + far) if far[0].quality.score > 0.5 else near


def _placed_at(
    features: FourierFeatures, prior: StructurePrior, scales: NDArray[np.float64]
) -> Generator[Progress, None, list[PoseCandidate]]:
    reflections = list_reflections(prior, features.resolution)
    lattices = yield from find_lattices(features, reflections, prior, scales)
    groups: list[list[PoseCandidate]] = []
    for lattice in lattices[:LATTICES]:
        if lattice.value < _WEAK * lattices[0].value:
            break
        groups.append((yield from pose_candidates(features, reflections, prior, lattice.linear)))
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
) -> Generator[Progress, None, list[LatticeCandidate]]:
    """Sweep, refine and merge, step by step: different lattices, best first."""
    mirrors = (False,) if has_mirror(prior) else (False, True)
    refined: list[LatticeCandidate] = []
    yield FITTING
    for start in sweep(features.blurred, reflections, scales, mirrors=mirrors):
        yield FITTING
        lattice = refine_power(features.blurred, reflections, start, strain=0.012, evaluations=70)
        if not any(same_lattice(lattice.linear, other.linear, prior.cell) for other in refined):
            refined.append(lattice)
    refined.sort(key=lambda lattice: -lattice.value)
    sharp: list[LatticeCandidate] = []
    for lattice in refined[: 2 * LATTICES]:
        yield FITTING
        better = refine_power(features.whole, reflections, lattice, strain=0.004, evaluations=110)
        if not any(same_lattice(better.linear, other.linear, prior.cell) for other in sharp):
            sharp.append(better)
    sharp.sort(key=lambda lattice: -lattice.value)
    return sharp


def place_lattice(
    features: FourierFeatures, prior: StructurePrior, linear: NDArray[np.float64]
) -> Generator[Progress, None, list[PoseCandidate]]:
    """Register a prior whose lattice is known already, step by step; every candidate, best first.

    Parameters
    ----------
    features : FourierFeatures
        Of the image.
    prior : StructurePrior
    linear : (2, 2) array
        From (x, y) in Å of the prior to (y, x) in Å of the image, good to a few per cent.
    """
    reflections = list_reflections(prior, features.resolution)
    yield FITTING
    lattice = refined_lattice(features, reflections, LatticeCandidate(linear, 1.0, 1.0))
    return ranked((yield from pose_candidates(features, reflections, prior, lattice.linear)))


def refined_lattice(
    features: FourierFeatures, reflections: Reflections, start: LatticeCandidate
) -> LatticeCandidate:
    """Refine a lattice, first where strain blurs the spectrum, then where it is sharp."""
    lattice = refine_power(features.blurred, reflections, start, strain=0.012, evaluations=70)
    return refine_power(features.whole, reflections, lattice, strain=0.004, evaluations=110)


def pose_candidates(
    features: FourierFeatures, reflections: Reflections, prior: StructurePrior, linear: NDArray[np.float64]
) -> Generator[Progress, None, list[PoseCandidate]]:
    """Lock the phases over the whole image and find the origin of every orientation of the basis."""
    locked = yield from lock_in(features, reflections, prior, linear)
    yield FITTING
    judge = Judge(features, locked)
    candidates: list[PoseCandidate] = []
    for symmetry in lattice_symmetries(prior):
        yield FITTING
        candidate = judge.candidate(symmetry)
        if not any(equivalent(candidate, other, prior) for other in candidates):
            candidates.append(candidate)
    return candidates
