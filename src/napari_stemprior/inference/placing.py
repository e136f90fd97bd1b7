"""Where the columns of a prior lie on a micrograph, one grain or several."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates
from scipy.spatial import cKDTree

from napari_stemprior.errors import RegistrationError
from napari_stemprior.inference.canonical import CanonicalImage
from napari_stemprior.registration import Pose, fit_pixel_size, fit_pose_field, register
from napari_stemprior.structure import StructurePrior

Floats = NDArray[np.float64]

#: A lattice that does not fit at the given pixel size may say that the size is off by this much (relative),
#: if it then fits with this score: nominal magnifications are often 10 % wrong.
MAX_SCALE_ERROR = 0.12
RESCALED_SCORE = 0.8
#: Places where the lattice fits worse than this get no registered columns.
MIN_RELIABILITY = 0.3
#: Another grain takes over where it fits at least so well and the first lattice worse than the limit above.
_GRAIN_SCORE, _GRAIN_RELIABILITY = 0.8, 0.5
#: Poses whose scores differ by less are told apart by the image alone, if it prefers one by this much
#: of a mean probability at its columns: half a turn of a bilayer hardly changes the score.
_SCORE_TIE, _CLAIM_TIE = 0.01, 0.003
#: A site without an atom within this distance (Å) is empty.
VACANCY_DISTANCE = 0.6
#: Å around the image in which columns are still listed.
MARGIN = 2.0


@dataclass(frozen=True)
class Placement:
    """Registered columns of a prior on a micrograph.

    Parameters
    ----------
    pose : Pose
        Of the first grain.
    positions : (M, 2) array
        Pixels of the micrograph.
    index : (M,) array
        Columns of the prior.
    reliability : (M,) array
        How well the lattice is seen there, 0 to 1.
    """

    pose: Pose
    positions: Floats
    index: NDArray[np.int64]
    reliability: Floats

    def empty(self, yx: Floats, shape: tuple[int, ...], pixel_size: float) -> int:
        """Count the placed columns on an image of `shape` that none of the (N, 2) atoms is near."""
        inside = ((self.positions >= 0) & (self.positions <= np.array(shape) - 1)).all(axis=1)
        places = self.positions[inside]
        if not len(yx) or not len(places):
            return len(places)
        distance = np.asarray(cKDTree(yx).query(places)[0])
        return int(np.count_nonzero(distance * pixel_size > VACANCY_DISTANCE))

    def where(self, keep: NDArray[np.bool_]) -> Placement:
        """Return the columns where `keep` is true."""
        return Placement(self.pose, self.positions[keep], self.index[keep], self.reliability[keep])


def place(
    image: NDArray[np.float32],
    pixel_size: float,
    prior: StructurePrior,
    claims: Floats,
    canonical: CanonicalImage,
    pose: Pose | None = None,
) -> Placement | None:
    """Place a prior on a micrograph; None where it does not fit, so that a wrong prior does no harm.

    Parameters
    ----------
    image : (H, W) array
    pixel_size : float
        Å per pixel.
    prior : StructurePrior
    claims : (h, w) array
        Probability of a column by the image alone, on the canonical grid.
    canonical : CanonicalImage
        Carries micrograph pixels to that grid.
    pose : Pose, optional
        Believed where it is given; otherwise the lattice is registered. Other grains are looked for
        either way.
    """
    placements = [_placement(image, pixel_size, prior, p) for p in _fitting_poses(image, pixel_size, prior)]
    if pose is not None:
        first = _placement(image, pixel_size, prior, pose)
    elif placements:
        first = _preferred(placements, claims, canonical)
    else:
        return None
    placed = first.where(first.reliability >= MIN_RELIABILITY)
    for other in placements:
        if other is not first and other.pose.score >= _GRAIN_SCORE:
            placed = _with_grain(placed, first, other)
    return placed


def _preferred(placements: list[Placement], claims: Floats, canonical: CanonicalImage) -> Placement:
    """Return the placement of the best score or, among equals, the one that the image alone prefers."""
    best = placements[0]
    rivals = [p for p in placements if p.pose.score >= best.pose.score - _SCORE_TIE]
    support = [_support(p, claims, canonical) for p in rivals]
    chosen = int(np.argmax(support))
    return rivals[chosen] if support[chosen] > support[0] + _CLAIM_TIE else best


def _fitting_poses(image: NDArray[np.float32], pixel_size: float, prior: StructurePrior) -> list[Pose]:
    """Fit the lattice at the given pixel size, else at one not far from it."""
    try:
        poses = [p for p in register(image, pixel_size, prior) if p.is_fit]
        if poses:
            return poses
        size, pose = fit_pixel_size(image, prior, guess=pixel_size)
    except RegistrationError:
        return []
    near = abs(np.log(size / pixel_size)) <= np.log1p(MAX_SCALE_ERROR)
    return [pose] if near and pose.score >= RESCALED_SCORE else []


def _placement(image: NDArray[np.float32], pixel_size: float, prior: StructurePrior, pose: Pose) -> Placement:
    field = fit_pose_field(image, pixel_size, prior, pose)
    shape = (image.shape[0], image.shape[1])
    return Placement(pose, *field.columns(prior, shape, MARGIN / pixel_size))


def _support(placement: Placement, claims: Floats, canonical: CanonicalImage) -> float:
    """Return the mean probability, by the image alone, at the columns of a placement."""
    seen = placement.reliability >= _GRAIN_RELIABILITY
    if not seen.any():
        return 0.0
    places = canonical.to_canonical(placement.positions[seen])
    return float(map_coordinates(claims, places.T, order=1).mean())


def _with_grain(placed: Placement, first: Placement, other: Placement) -> Placement:
    """Add the columns of another grain where the first lattice is not seen."""
    _, nearest = cKDTree(first.positions).query(other.positions)
    free = first.reliability[np.asarray(nearest)] < MIN_RELIABILITY
    added = other.where((other.reliability >= _GRAIN_RELIABILITY) & free)
    if not len(added.positions):
        return placed
    return Placement(
        placed.pose,
        np.concatenate([placed.positions, added.positions]),
        np.concatenate([placed.index, added.index]),
        np.concatenate([placed.reliability, added.reliability]),
    )
