"""A lattice with an orientation of its basis and an origin, and how well it fits."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from napari_stemprior.registration.decision.fit_quality import FitQuality, fit_quality
from napari_stemprior.registration.decision.intensities import compare_intensities, log_likelihood
from napari_stemprior.registration.decision.sentences import reservations
from napari_stemprior.registration.decision.superlattice import superlattice_share
from napari_stemprior.registration.fourier.features import FourierFeatures
from napari_stemprior.registration.fourier.lattice_symmetries import lattice_symmetries
from napari_stemprior.registration.fourier.normalized_image import NormalizedImage
from napari_stemprior.registration.fourier.peak_search import explained_power
from napari_stemprior.registration.gpa.lock_in import PhaseLockedLattice
from napari_stemprior.registration.gpa.origin import match_origin, rotated
from napari_stemprior.registration.pose import Pose
from napari_stemprior.structure import StructurePrior
from napari_stemprior.structure.periodic import image_distance

#: A candidate with a lower vote is not asked how bright its columns are.
_HOPELESS = 0.02
#: Votes that are excused later: a second grain need not explain all, a pixel size may be unknown.
_EXCUSABLE = ("explained_power", "scale")


@dataclass(frozen=True, eq=False)
class PoseCandidate:
    """A lattice in Å on the normalised image, and how well it fits.

    Parameters
    ----------
    linear : (2, 2) array
        From (x, y) in Å of the prior to (y, x) in Å of the image.
    origin : (2,) array
        Å (y, x) of the prior's origin.
    quality : FitQuality
    """

    linear: NDArray[np.float64]
    origin: NDArray[np.float64]
    quality: FitQuality


class Judge:
    """Judges the ways to lay the basis of a prior on one lattice.

    What is the same for all of them (the fringes that lie on the lattice, the superlattice) is measured once.

    Parameters
    ----------
    features : FourierFeatures
        Of the image that the lattice was locked on.
    locked : PhaseLockedLattice
    """

    def __init__(self, features: FourierFeatures, locked: PhaseLockedLattice) -> None:
        self.locked = locked
        self._explained_power = explained_power(features.peaks, locked.linear, locked.prior)
        self._superlattice = superlattice_share(features, locked.prior, locked.phases)
        self._extent = float(np.sqrt(np.prod(features.normalized.extent)))

    def candidate(self, symmetry: NDArray[np.float64]) -> PoseCandidate:
        """Turn the basis by a symmetry of the lattice, (2, 2), and find its origin."""
        locked = self.locked
        prior, reflections, variance = locked.prior, locked.reflections, locked.variance
        turned = rotated(reflections, prior, locked.measured, symmetry)
        fraction, _ = match_origin(reflections, turned / variance, prior.cell)
        inner = locked.linear @ symmetry
        quality = fit_quality(
            reflections,
            turned,
            variance,
            fraction,
            inner,
            self._explained_power,
            self._superlattice,
            locked.phases.coherence,
            self._extent,
        )
        if not _hopeless(quality):
            turned = turned * np.exp(2j * np.pi * (reflections.hk @ fraction))
            columns = compare_intensities(prior, reflections, turned, variance)
            likely = log_likelihood(prior, reflections, turned, variance)
            quality = replace(quality, intensities=columns, log_likelihood=likely)
        return PoseCandidate(inner, locked.origin + inner @ (fraction @ prior.cell), quality)

    def nearest(self, linear: NDArray[np.float64]) -> PoseCandidate:
        """Find the origin for the orientation of the basis that a map (2, 2) has.

        Locking the phases may have chosen another one.
        """
        symmetries = lattice_symmetries(self.locked.prior)
        return self.candidate(
            min(symmetries, key=lambda s: float(np.abs(self.locked.linear @ s - linear).max()))
        )


def _hopeless(quality: FitQuality) -> bool:
    """Tell whether a candidate is refused whatever its columns look like."""
    return min(vote for name, vote in quality.votes.items() if name not in _EXCUSABLE) < _HOPELESS


def ranked(candidates: list[PoseCandidate]) -> list[PoseCandidate]:
    """Sort candidates, best first; of like scores the one with more signal, so a larger grain."""
    return sorted(candidates, key=lambda p: (-round(p.quality.score, 2), -p.quality.significance))


def equivalent(first: PoseCandidate, second: PoseCandidate, prior: StructurePrior) -> bool:
    """Tell whether two candidates put the same atoms in the same places."""
    own = prior.positions @ first.linear.T + first.origin
    inverse = np.linalg.inv(second.linear @ prior.cell.T)
    fraction = (own - second.origin) @ inverse.T
    distance = image_distance(fraction[:, None] - prior.fractional[None], prior.cell)
    nearest = distance.argmin(1)
    same = np.abs(prior.z_weights[nearest] / prior.z_weights - 1) < 1e-3
    return bool(same.all() and distance.min(1).max() < 0.15)


def to_pose(candidate: PoseCandidate, normalized: NormalizedImage, prior: StructurePrior) -> Pose:
    """Carry a candidate in Å on the normalised image to pixels of the original."""
    quality = candidate.quality
    pose = Pose(
        candidate.linear / normalized.pixel_size, candidate.origin / normalized.pixel_size, quality.score
    )
    doubts = (
        reservations(quality, prior.name, normalized.pixel_size / normalized.binning) if pose.is_fit else ()
    )
    return replace(
        pose.scaled(normalized.binning), reservations=doubts, log_likelihood=quality.log_likelihood
    )
