"""Where a prior lies on an image: the pose, and what a fit found beside it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_stemprior.registration import Pose, PoseField
from napari_stemprior.registration.multilayer.stack_fit import StackPose
from napari_stemprior.structure import Prior, Stack, StructurePrior

#: A lattice point is drawn at least so opaque where nothing of the lattice is seen.
_FAINTEST = 0.2


@dataclass(frozen=True, eq=False)
class Lattice:
    """The lattice points of a placed prior on an image.

    Parameters
    ----------
    yx : (M, 2) array
        Pixels.
    elements, sites : (M,) arrays of str
    layers : (M,) array of int
        0 = entrance side.
    reliability : (M,) array
        From 0 (no lattice is seen here) to 1.
    """

    yx: NDArray[np.float64]
    elements: NDArray[np.str_]
    sites: NDArray[np.str_]
    layers: NDArray[np.int64]
    reliability: NDArray[np.float64]

    @property
    def opacity(self) -> NDArray[np.float64]:
        """(M,) opacity in (0, 1]: faint where the lattice is not seen."""
        return _FAINTEST + (1 - _FAINTEST) * self.reliability


@dataclass(frozen=True)
class LatticeFit:
    """A prior, or a stack of layers, laid on an image.

    Parameters
    ----------
    pose : Pose
        Of the prior; of the entrance layer of a stack.
    prior : StructurePrior
    field : PoseField, optional
        How the lattice bends, from a fit.
    stack : Stack, optional
    lower : tuple of Pose
        Of the other layers of the stack.
    rivals : tuple of Pose
        Other poses that fit as well, best first: a second grain or layer.
    by_hand : bool
        Whether a person set it and no fit has judged it since.
    """

    pose: Pose
    prior: StructurePrior
    field: PoseField | None = None
    stack: Stack | None = None
    lower: tuple[Pose, ...] = ()
    rivals: tuple[Pose, ...] = ()
    by_hand: bool = False

    @classmethod
    def of(cls, prior: Prior, pose: Pose | StackPose) -> LatticeFit:
        """Lay a prior at its pose, or a stack at those of its layers."""
        if not isinstance(prior, Stack):
            return cls(pose.poses[0] if isinstance(pose, StackPose) else pose, prior)
        assert isinstance(pose, StackPose)
        first = replace(pose.poses[0], score=pose.score)  # a stack fits as well as its worst layer
        return cls(first, prior.layers[0], stack=prior, lower=tuple(pose.poses[1:]))

    @property
    def whole(self) -> Prior:
        """The stack, or the prior where there is none."""
        return self.stack or self.prior

    @property
    def whole_pose(self) -> Pose | StackPose:
        """Where `whole` lies."""
        return self.pose if self.stack is None else StackPose(self.poses, self.pose.score)

    @property
    def reservations(self) -> tuple[str, ...]:
        """What is doubtful about the fit, a sentence each; of all layers."""
        return tuple(dict.fromkeys(sentence for pose in self.poses for sentence in pose.reservations))

    @property
    def poses(self) -> tuple[Pose, ...]:
        """The poses of all layers, entrance first."""
        return (self.pose, *self.lower)

    @property
    def priors(self) -> tuple[StructurePrior, ...]:
        """The priors of all layers, entrance first; of `poses` the same number."""
        return (self.prior,) if self.stack is None else tuple(self.stack.layers)

    def moved(self, change: Any) -> LatticeFit:
        """Return what a person makes of it; the fit is forgotten.

        Parameters
        ----------
        change : callable
            Gets the pose and the prior of each layer, and returns another pose.
        """
        poses = tuple(change(pose, prior) for pose, prior in zip(self.poses, self.priors, strict=True))
        return replace(self, pose=poses[0], lower=poses[1:], field=None, rivals=(), by_hand=True)

    def lattice(self, shape: tuple[int, int]) -> Lattice:
        """List the lattice points that fall on an image of `shape` (rows, columns)."""
        parts = []
        for number, (prior, pose) in enumerate(zip(self.priors, self.poses, strict=True)):
            if self.field is not None and self.stack is None:
                yx, index, reliability = self.field.columns(prior, shape)
            else:
                yx, index = pose.columns(prior, shape)
                reliability = np.ones(len(yx))
            layers = np.full(len(yx), number) if self.stack is not None else prior.layers[index]
            elements = np.array([c.element for c in prior.columns])[index]
            sites = np.array([c.site for c in prior.columns])[index]
            parts.append((yx, elements, sites, layers, reliability))
        return Lattice(*(np.concatenate(part) for part in zip(*parts, strict=True)))


@dataclass(frozen=True)
class Followed:
    """A pose whose lattice follows strain, for what draws the columns of a prior.

    Parameters
    ----------
    field : PoseField
    """

    field: PoseField

    @property
    def pose(self) -> Pose:
        """The pose without the strain."""
        return self.field.pose

    @property
    def angle(self) -> float:
        """Rotation in degrees."""
        return self.pose.angle

    @property
    def mirrored(self) -> bool:
        """Whether the prior lies flipped on the image."""
        return self.pose.mirrored

    def columns(
        self, prior: StructurePrior, shape: tuple[int, int], margin: float = 0.0
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """List the (M, 2) pixels and (M,) columns of the displaced lattice on an image of `shape`."""
        yx, index, _ = self.field.columns(prior, shape, margin)
        return yx, index


def same_place(a: LatticeFit, b: LatticeFit) -> bool:
    """Tell whether two priors lie at poses that are equal in every number."""
    return len(a.poses) == len(b.poses) and all(
        same_pose(one, other) for one, other in zip(a.poses, b.poses, strict=True)
    )


def same_pose(a: Pose, b: Pose) -> bool:
    """Tell whether two poses are equal in every number."""
    return np.array_equal(a.affine, b.affine) and np.array_equal(a.origin, b.origin) and a.score == b.score


def doubts(reservations: Iterable[str]) -> str:
    """Return what is added to "it fits": nothing, or the reservations."""
    said = " ".join(reservations).rstrip(".")
    return f" with a reservation: {said}" if said else ""
