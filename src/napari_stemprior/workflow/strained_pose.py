"""A pose whose lattice follows strain, for what draws the columns of a prior."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_stemprior.registration import LatticeFit, Pose, PoseField
from napari_stemprior.structure import StructurePrior


@dataclass(frozen=True)
class StrainedPose:
    """A pose whose lattice follows strain.

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


def drawn_poses(fit: LatticeFit) -> tuple[Pose | StrainedPose, ...]:
    """Return what a reference image of the layers of a fit is drawn at, a pose a layer."""
    return fit.poses if fit.field is None else (StrainedPose(fit.field),)
