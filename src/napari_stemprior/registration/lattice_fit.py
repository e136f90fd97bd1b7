"""How a prior lies on a micrograph: what a fit found, and what network, exports and desk take from it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_stemprior.recording import PreparedImage
from napari_stemprior.registration.gpa.pose_field import PoseField
from napari_stemprior.registration.grain import Grain, outside
from napari_stemprior.registration.pose import Pose
from napari_stemprior.structure import Prior, StructurePrior
from napari_stemprior.structure.lattice_sites import LatticeSites

#: Places where the lattice is seen worse than this have no registered sites.
MIN_RELIABILITY = 0.3
#: Å around the image in which sites are still listed.
MARGIN = 2.0


@dataclass(frozen=True, eq=False)
class LatticeFit:
    """A prior, or a stack of layers, on an image.

    Parameters
    ----------
    prior : StructurePrior or Stack
    poses : tuple of Pose
        One a layer that is placed, entrance side first. The score of the first is that of the whole: a stack
        fits as well as its worst layer.
    sites : LatticeSites, optional
        The sites of all grains, in pixels, where the lattice follows the strain and a little beyond the
        image; None until the lattice has been followed.
    field : PoseField, optional
        How the lattice of a single layer bends.
    rivals : tuple of Pose
        Other poses that fit as well, best first: a second grain or layer.
    only_layer : int, optional
        The one layer of a stack that is placed, where the layers do not fit together.
    by_hand : bool
        Whether a person set it and no fit has judged it since.
    grains : tuple of Grain
        The grains of a single layer, those that are locked first; until it has been followed these alone.
    locked : tuple of Grain
        Those that a person keeps: whatever is fitted, in their area their lattices count.
    """

    prior: Prior
    poses: tuple[Pose, ...]
    sites: LatticeSites | None = None
    field: PoseField | None = None
    rivals: tuple[Pose, ...] = ()
    only_layer: int | None = None
    by_hand: bool = False
    grains: tuple[Grain, ...] = ()
    locked: tuple[Grain, ...] = ()

    @property
    def pose(self) -> Pose:
        """The pose of the prior, or of the entrance layer of a stack."""
        return self.poses[0]

    @property
    def layers(self) -> tuple[StructurePrior, ...]:
        """The layers that are placed; of `poses` the same number."""
        layers = self.prior.layers
        return layers if self.only_layer is None else (layers[self.only_layer],)

    @property
    def first_columns(self) -> tuple[int, ...]:
        """Number, in the columns of the prior, of the first column of each of `layers`."""
        first = self.prior.first_columns
        return first if self.only_layer is None else (first[self.only_layer],)

    @property
    def is_fit(self) -> bool:
        """Whether the lattice fits, with or without a reservation."""
        return self.pose.is_fit

    @property
    def reservations(self) -> tuple[str, ...]:
        """What is doubtful about the fit, a sentence each; of all layers."""
        return tuple(dict.fromkeys(sentence for pose in self.poses for sentence in pose.reservations))

    @property
    def registered(self) -> LatticeSites:
        """The sites where the lattice is seen; what the network is told.

        Raises
        ------
        ValueError
            If the lattice has not been followed.
        """
        if self.sites is None:
            raise ValueError("the lattice has not been followed yet")
        return self.sites.where(self.sites.reliability >= MIN_RELIABILITY)

    def lattice(self, shape: tuple[int, int]) -> LatticeSites:
        """List the sites on an image of `shape` (rows, columns), also where the lattice is not seen.

        Where it has not been followed through strain, these are the points of the straight lattice.
        """
        if self.sites is not None:
            return self.sites.inside(shape)
        if self.field is not None:
            sites = LatticeSites.of(self.prior.columns, *self.field.columns(self.layers[0], shape))
        else:
            sites = straight_sites(self, shape)
        return with_locked_sites(sites, self.locked).inside(shape)

    def moved(self, change: Callable[[Pose, StructurePrior], Pose]) -> LatticeFit:
        """Return what a person makes of it; what the fit found beside the poses is forgotten.

        Locked grains stay where they are.

        Parameters
        ----------
        change : callable
            Gets the pose and the prior of each layer, and returns another pose.
        """
        poses = tuple(change(pose, layer) for pose, layer in zip(self.poses, self.layers, strict=True))
        grains = self.locked
        return replace(self, poses=poses, sites=None, field=None, rivals=(), grains=grains, by_hand=True)

    def cropped(self, corner: ArrayLike) -> LatticeFit:
        """Return the fit on the part of the image that begins at the pixel `corner` (y, x)."""
        low = np.asarray(corner, float)
        poses = tuple(pose.moved(-low) for pose in self.poses)
        sites = None if self.sites is None else self.sites.at(self.sites.yx - low)
        locked = tuple(grain.cropped(low) for grain in self.locked)
        return replace(self, poses=poses, sites=sites, field=None, rivals=(), grains=(), locked=locked)

    def scaled(self, factor: float) -> LatticeFit:
        """Return the fit on the image resampled by `factor` (pixel centres on integers)."""
        return replace(
            self,
            poses=tuple(pose.scaled(factor) for pose in self.poses),
            sites=None if self.sites is None else self.sites.at((self.sites.yx + 0.5) * factor - 0.5),
            field=None if self.field is None else self.field.scaled(factor),
            rivals=tuple(pose.scaled(factor) for pose in self.rivals),
            grains=tuple(grain.scaled(factor) for grain in self.grains),
            locked=tuple(grain.scaled(factor) for grain in self.locked),
        )

    def same_place(self, other: LatticeFit) -> bool:
        """Tell whether the poses of another fit are equal in every number."""
        return len(self.poses) == len(other.poses) and all(
            np.array_equal(a.affine, b.affine) and np.array_equal(a.origin, b.origin) and a.score == b.score
            for a, b in zip(self.poses, other.poses, strict=True)
        )


def with_locked_sites(sites: LatticeSites, locked: tuple[Grain, ...]) -> LatticeSites:
    """Return sites of which those in locked grains are the grains' own."""
    kept = outside(sites, locked)
    for grain in locked:
        kept = kept.joined(grain.sites)
    return kept


def layer_poses(prior: Prior, pose: Pose) -> tuple[Pose, ...]:
    """Carry a pose of a whole prior to each of its layers, by their twists and shifts.

    Parameters
    ----------
    prior : StructurePrior or Stack
    pose : Pose
        Its score and reservations are left out.
    """
    carried = [prior.carried(number) for number in range(len(prior.layers))]
    return tuple(Pose(pose.affine @ turn, pose.to_pixels(shift)) for turn, shift in carried)


def straight_sites(fit: LatticeFit, shape: tuple[int, int], margin: float = 0.0) -> LatticeSites:
    """List the points of the unstrained lattices of a fit on an image.

    Parameters
    ----------
    fit : LatticeFit
    shape : (int, int)
        Rows and columns.
    margin : float
        Pixels around the image to include as well.
    """
    parts: list[tuple[NDArray[np.float64], NDArray[np.int64]]] = []
    for pose, layer, first in zip(fit.poses, fit.layers, fit.first_columns, strict=True):
        yx, column = pose.columns(layer, shape, margin)
        parts.append((yx, column + first))
    return LatticeSites.of(
        fit.prior.columns, np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])
    )


def shown(sites: LatticeSites, image: PreparedImage) -> LatticeSites:
    """Return the sites that do not lie on bad pixels of an image; those around it are kept."""
    if image.valid.all():
        return sites
    outside = ((sites.yx < -0.5) | (sites.yx > np.array(image.shape) - 0.5)).any(axis=1)
    return sites.where(outside | image.is_valid_at(sites.yx))


def doubts(reservations: Iterable[str]) -> str:
    """Return what is added to "it fits": nothing, or the reservations."""
    said = " ".join(reservations).rstrip(".")
    return f" with a reservation: {said}" if said else ""
