"""Why a lattice fits, or does not, in one sentence for a person."""

from __future__ import annotations

import numpy as np

from napari_stemprior.registration.decision.pose_candidate import PoseCandidate
from napari_stemprior.registration.decision.sentences import objection, reservations
from napari_stemprior.registration.fourier.lattice_symmetries import lattice_symmetries
from napari_stemprior.registration.fourier.peak_search import SpectralPeaks
from napari_stemprior.structure import StructurePrior

#: Two fits whose rotations differ by less (degrees) are one grain.
_ONE_GRAIN = 1.0


def diagnosis(
    candidates: list[PoseCandidate], peaks: SpectralPeaks, prior: StructurePrior, pixel_size: float
) -> str:
    """Say whether the lattice of a prior fits, and if not, why.

    Parameters
    ----------
    candidates : list of PoseCandidate
        Every candidate on the image, best first.
    peaks : SpectralPeaks
        Of the image's power spectrum.
    prior : StructurePrior
    pixel_size : float
        Å per pixel.

    Returns
    -------
    str
        One sentence.
    """
    best = candidates[0]
    if best.quality.score > 0.5:
        return _fit(candidates, prior, pixel_size)
    if not len(peaks.k) and best.quality.votes["significance"] < 0.5:
        return "The image shows no lattice: no fringe stands out of the noise."
    # of the candidates, the one with the fewest objections says most
    nearest = max((p.quality for p in candidates), key=lambda quality: sum(quality.votes.values()))
    return objection(nearest, prior.name, pixel_size)


def _fit(candidates: list[PoseCandidate], prior: StructurePrior, pixel_size: float) -> str:
    angles: list[float] = []
    for candidate in candidates:
        turn = _bearing(candidate, prior)
        if candidate.quality.score > 0.5 and all(_apart(turn, a, prior) > _ONE_GRAIN for a in angles):
            angles.append(turn)
    if len(angles) == 1:
        doubts = reservations(candidates[0].quality, prior.name, pixel_size)
        fits = f"The lattice of {prior.name} fits"
        return f"{fits} with a reservation: {doubts[0]}" if doubts else f"{fits}."
    turned = " and ".join(f"{_apart(angle, angles[0], prior):.1f}°" for angle in angles[1:])
    return (
        f"The lattice of {prior.name} fits {len(angles)} times, turned by {turned}: there are several grains."
    )


def _bearing(candidate: PoseCandidate, prior: StructurePrior) -> float:
    """Direction in degrees of the shortest vector of the lattice on the image, 0 to 180."""
    y, x = candidate.linear @ min(prior.cell, key=lambda v: float(np.linalg.norm(v)))
    return float(np.rad2deg(np.arctan2(y, x))) % 180


def _apart(first: float, second: float, prior: StructurePrior) -> float:
    """Smallest turn in degrees between two bearings, turns of the lattice onto itself left out."""
    own = [
        np.rad2deg(np.arctan2(s[1, 0], s[0, 0])) for s in lattice_symmetries(prior) if np.linalg.det(s) > 0
    ]
    return float(min(abs((first - second + turn + 90) % 180 - 90) for turn in own))
