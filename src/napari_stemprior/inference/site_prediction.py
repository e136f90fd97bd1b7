"""Where the columns of a prior lie on a micrograph, one grain or several."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.spatial import cKDTree

from napari_stemprior.errors import RegistrationError
from napari_stemprior.recording import PreparedImage, prepare
from napari_stemprior.registration import Pose, fit_pose_field, register
from napari_stemprior.registration.fourier.lattice_search import same_lattice
from napari_stemprior.structure import StructurePrior

Floats = NDArray[np.float64]

#: Places where the lattice fits worse than this get no registered columns.
MIN_RELIABILITY = 0.3
#: Another grain takes over where it fits at least so well and the first lattice worse than the limit above.
_GRAIN_SCORE, _GRAIN_RELIABILITY = 0.8, 0.5
#: A grain has at least so many columns; two claims that share more than this are of the same grain.
_SMALLEST_GRAIN, _SAME_GRAIN = 6, 0.6
#: Poses that are looked at: two grains, each with four ways to hold the basis.
_CANDIDATES = 8
#: Å over which the image is blurred before its brightness at the columns counts.
_COLUMN_WIDTH = 0.35
#: Pixels within which two placements mean the same place.
_SAME_PLACE = 2.0
#: Standard errors by which one way to hold the basis must be brighter than that of the better score.
_CLEARLY = 2.0
#: Poses whose scores differ by less are told apart by the likelihood of the image: half a turn of a bilayer
#: hardly changes the score.
_SCORE_TIE = 0.01
#: Nats by which the image prefers another way to lay the prior on its lattice, whatever the scores say: these
#: know the criteria alone, and a lattice that fits with a reservation may have the better one by chance.
_BEYOND_DOUBT = 20.0
#: Nats below which the image does not tell two placements apart: odds of 20 to 1.
_UNDECIDED = 3.0
#: Placements that share more than this part of their columns are one.
_SAME_COLUMNS = 0.95
#: A site without an atom within this distance (Å) is empty.
VACANCY_DISTANCE = 0.6
#: Å around the image in which columns are still listed.
MARGIN = 2.0


@dataclass(frozen=True, eq=False)
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

    def shown(self, image: PreparedImage) -> Placement:
        """Return the columns that do not lie on bad pixels of an image; those around it are kept."""
        if image.valid.all():
            return self
        outside = ((self.positions < -0.5) | (self.positions > np.array(image.shape) - 0.5)).any(axis=1)
        return self.where(outside | image.is_valid_at(self.positions))

    def where(self, keep: NDArray[np.bool_]) -> Placement:
        """Return the columns where `keep` is true."""
        return Placement(self.pose, self.positions[keep], self.index[keep], self.reliability[keep])


def place(
    image: NDArray[np.float32] | PreparedImage,
    pixel_size: float,
    prior: StructurePrior,
    pose: Pose | None = None,
) -> Placement | None:
    """Place a prior on a micrograph; None where it does not fit, so that a wrong prior does no harm.

    Parameters
    ----------
    image : (H, W) array, or PreparedImage
        An array is prepared first, see `recording.prepare`.
    pixel_size : float
        Å per pixel.
    prior : StructurePrior
    pose : Pose, optional
        Believed where it is given; otherwise the lattice is registered. Other grains are looked for
        either way, where its lattice is not seen.

    Raises
    ------
    RegistrationError
        If a pose is given and the image is too small to hold a lattice.
    PixelSizeError
        If the pixel size does not suit the prior and the image.
    """
    image = prepare(image)
    given = None if pose is None else _placement(image, pixel_size, prior, pose)
    if given is not None and (given.reliability >= MIN_RELIABILITY).all():
        return given  # another grain would have nowhere to be
    placements = [_placement(image, pixel_size, prior, p) for p in _fitting_poses(image, pixel_size, prior)]
    if given is not None:
        first = given
    elif placements:
        first = _preferred(placements, prior)
    else:
        return None
    least = min(_GRAIN_SCORE, first.pose.score - _SCORE_TIE)  # as good as the first is good enough
    grains = [p for p in placements if p is not first and p.pose.score >= least]
    placed = first.where(first.reliability >= MIN_RELIABILITY)
    if not grains:
        return placed
    seen = gaussian_filter(image.image, _COLUMN_WIDTH / pixel_size)
    return _with_grains(placed, first, grains, seen, prior)


def _preferred(placements: list[Placement], prior: StructurePrior) -> Placement:
    """Return the placement of the best score or, among equals, the one that the image prefers.

    Where it does not tell which, that is said as a reservation.
    """
    best = placements[0]
    rivals = [
        p
        for p in placements
        if p.pose.score >= best.pose.score - _SCORE_TIE
        or (
            p.pose.log_likelihood - best.pose.log_likelihood > _BEYOND_DOUBT
            and same_lattice(p.pose.affine, best.pose.affine, prior.cell)
        )
    ]
    if len(rivals) == 1:
        return best
    likely = np.array([p.pose.log_likelihood for p in rivals])
    if not np.isfinite(likely).all():
        return best
    if likely.max() - likely[0] >= _UNDECIDED:
        best = rivals[int(likely.argmax())]
    for rival in rivals:
        if best.pose.log_likelihood - rival.pose.log_likelihood < _UNDECIDED and not _alike(
            best, rival, prior
        ):
            said = (
                f"The lattice of {prior.name} fits as well the other way round, turned by "
                f"{(rival.pose.angle - best.pose.angle) % 360:.0f}°; the image hardly tells which is right."
            )
            doubtful = replace(best.pose, reservations=(*best.pose.reservations, said))
            return replace(best, pose=doubtful)
    return best


def _alike(first: Placement, second: Placement, prior: StructurePrior) -> bool:
    """Tell whether two placements put like columns on the same places, or lie on different grains."""
    tree = cKDTree(second.positions)
    distance, nearest = tree.query(first.positions)
    near = np.asarray(distance) < _SAME_PLACE
    weights = prior.z_weights
    same = np.abs(weights[second.index[np.asarray(nearest)]] / weights[first.index] - 1) < 1e-3
    lattice = same_lattice(first.pose.affine, second.pose.affine, prior.cell)
    return bool((near & same).mean() > _SAME_COLUMNS or not lattice)


def _fitting_poses(image: PreparedImage, pixel_size: float, prior: StructurePrior) -> list[Pose]:
    """Fit the lattice; empty where it does not fit."""
    try:
        return [p for p in register(image, pixel_size, prior, candidates=_CANDIDATES) if p.is_fit]
    except RegistrationError:
        return []


def _placement(image: PreparedImage, pixel_size: float, prior: StructurePrior, pose: Pose) -> Placement:
    field = fit_pose_field(image, pixel_size, prior, pose)
    placement = Placement(pose, *field.columns(prior, image.shape, MARGIN / pixel_size))
    return placement.shown(image)


def _with_grains(
    placed: Placement,
    first: Placement,
    others: list[Placement],
    seen: NDArray[np.float32],
    prior: StructurePrior,
) -> Placement:
    """Add the columns of other grains, the largest first, where the first lattice is not seen.

    One lattice may hold its basis in several ways, and all of them claim the same grain: one gets it.
    """
    reach = float(np.linalg.norm(prior.cell, axis=1).max()) * float(
        np.sqrt(abs(np.linalg.det(first.pose.affine)))
    )
    _, nearest = cKDTree(first.positions).query(np.concatenate([p.positions for p in others]))
    dark = np.split(
        first.reliability[np.asarray(nearest)] < MIN_RELIABILITY,
        np.cumsum([len(p.positions) for p in others])[:-1],
    )
    claims = [
        p.where((p.reliability >= _GRAIN_RELIABILITY) & free) for p, free in zip(others, dark, strict=True)
    ]
    while claims and (most := max(len(c.positions) for c in claims)) >= _SMALLEST_GRAIN:
        largest = next(c for c in claims if len(c.positions) == most)
        rivals = [c for c in claims if _shared(largest, c, reach) > _SAME_GRAIN]
        won = _brightest(rivals, seen, prior)
        placed = _joined(placed, won)
        # what another lattice claims within a cell of this grain is the grain's
        claims = [c.where(~_near(c, won, reach)) for c in claims]
    return placed


def _shared(first: Placement, second: Placement, reach: float) -> float:
    """Return the share of the first one's columns that lie within `reach` pixels of the second one's."""
    return float(_near(first, second, reach).mean())


def _near(first: Placement, second: Placement, reach: float) -> NDArray[np.bool_]:
    if not len(second.positions):
        return np.zeros(len(first.positions), bool)
    return np.asarray(cKDTree(second.positions).query(first.positions)[0]) < reach


def _brightest(rivals: list[Placement], seen: NDArray[np.float32], prior: StructurePrior) -> Placement:
    """Of several ways to hold the basis take that of the best score, unless the image clearly denies it.

    The image prefers heavy columns on bright places, as the likelihood of a linear model does.
    """
    best = rivals[int(np.argmax([round(r.pose.score, 2) for r in rivals]))]
    clearer = [_brighter(rival, best, seen, prior) for rival in rivals]
    return rivals[int(np.argmax(clearer))] if max(clearer) > _CLEARLY else best


def _brighter(first: Placement, second: Placement, seen: NDArray[np.float32], prior: StructurePrior) -> float:
    """Return by how many standard errors the columns of the first lie on brighter places, weighted by Z."""
    sums, variances = [], []
    for one, other in ((first, second), (second, first)):
        weight = prior.z_weights[one.index]
        distance, nearest = cKDTree(other.positions).query(one.positions)
        # what both say of a place does not tell them apart, and its noise would hide what does
        alike = np.abs(prior.z_weights[other.index[np.asarray(nearest)]] / weight - 1) < 1e-3
        own = ~(alike & (np.asarray(distance) < _SAME_PLACE))
        weight, index = weight[own], one.index[own]
        bright = map_coordinates(seen, one.positions[own].T, order=1, mode="nearest").astype(float)
        mean = np.bincount(index, bright, len(prior.z_weights)) / np.maximum(
            np.bincount(index, minlength=len(prior.z_weights)), 1
        )
        sums.append(float((weight * bright).sum() / max(weight.sum(), 1e-9)))
        variances.append(float(np.sum((weight * (bright - mean[index])) ** 2) / max(weight.sum(), 1e-9) ** 2))
    error = np.sqrt(sum(variances))
    return float((sums[0] - sums[1]) / error) if error > 0 else 0.0


def _joined(first: Placement, second: Placement) -> Placement:
    return Placement(
        first.pose,
        np.concatenate([first.positions, second.positions]),
        np.concatenate([first.index, second.index]),
        np.concatenate([first.reliability, second.reliability]),
    )
