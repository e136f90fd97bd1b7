"""A grain: one lattice, and the part of an image in which it lies. A person can lock it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import distance_transform_edt
from scipy.spatial import Voronoi, cKDTree

from napari_stemprior.recording import PreparedImage
from napari_stemprior.registration.gpa.pose_field import PoseField
from napari_stemprior.registration.pose import Pose
from napari_stemprior.structure import StructurePrior
from napari_stemprior.structure.lattice_sites import LatticeSites

#: Cells to each side of one in which the neighbours of its columns are looked for.
_CELLS = 4
#: Parts of a cell by which a corner may lie beyond it by rounding.
_EDGE = 1e-6


@dataclass(frozen=True, eq=False)
class Grain:
    """One lattice where it is seen.

    Parameters
    ----------
    pose : Pose
    sites : LatticeSites
        Where it is seen, px.
    reach : float
        px around a site that belong to it; see `covering_radius`.
    field : PoseField, optional
        How it bends; of a part that was cut out of an image None.
    """

    pose: Pose
    sites: LatticeSites
    reach: float
    field: PoseField | None = None

    @classmethod
    def of(cls, prior: StructurePrior, pose: Pose, sites: LatticeSites, field: PoseField | None) -> Grain:
        """Make a grain of the sites at which the lattice of a prior is seen."""
        return cls(pose, sites, covering_radius(prior) / pose.pixel_size, field)

    def __len__(self) -> int:
        return len(self.sites)

    def holds(self, yx: ArrayLike) -> NDArray[np.bool_]:
        """Tell which of (N, 2) pixels (y, x) lie in it."""
        places = np.asarray(yx, float).reshape(-1, 2)
        if not len(self.sites) or not len(places):
            return np.zeros(len(places), bool)
        return np.asarray(cKDTree(self.sites.yx).query(places)[0]) <= self.reach

    def scaled(self, factor: float) -> Grain:
        """Return the grain on the image resampled by `factor` (pixel centres on integers)."""
        sites = self.sites.at((self.sites.yx + 0.5) * factor - 0.5)
        field = None if self.field is None else self.field.scaled(factor)
        return Grain(self.pose.scaled(factor), sites, self.reach * factor, field)

    def cropped(self, corner: ArrayLike) -> Grain:
        """Return the grain on the part of the image that begins at the pixel `corner` (y, x)."""
        low = np.asarray(corner, float)
        return Grain(self.pose.moved(-low), self.sites.at(self.sites.yx - low), self.reach)

    def without(self, others: tuple[Grain, ...]) -> Grain:
        """Return what other grains leave of it."""
        return replace(self, sites=outside(self.sites, others))


def covering_radius(prior: StructurePrior) -> float:
    """Return the distance in Å within which every place of a crystal has a column.

    It is the farthest that a corner of the Voronoi cells of the columns lies from a column.
    """
    steps = np.stack(np.meshgrid(*[np.arange(-_CELLS, _CELLS + 1)] * 2, indexing="ij"), -1).reshape(-1, 1, 2)
    points = ((prior.fractional + steps) @ prior.cell).reshape(-1, 2)
    corners = Voronoi(points).vertices
    fraction = corners @ np.linalg.inv(prior.cell)
    inner = corners[((fraction >= -_EDGE) & (fraction < 1 + _EDGE)).all(axis=1)]
    return float(np.max(cKDTree(points).query(inner)[0]))


def outside(sites: LatticeSites, grains: tuple[Grain, ...]) -> LatticeSites:
    """Return the sites that lie in none of some grains."""
    free = np.ones(len(sites), bool)
    for grain in grains:
        free &= ~grain.holds(sites.yx)
    return sites.where(free)


def around(image: PreparedImage, grains: tuple[Grain, ...]) -> PreparedImage:
    """Return an image in which the area of some grains holds no signal, so that nothing is fitted there.

    Parameters
    ----------
    image : PreparedImage
    grains : tuple of Grain
    """
    free = image.valid.copy()
    for grain in grains:
        free &= ~_area(grain, image.shape)
    return replace(image, valid=free)


def _area(grain: Grain, shape: tuple[int, int]) -> NDArray[np.bool_]:
    at = np.rint(grain.sites.yx).astype(int)
    at = at[((at >= 0) & (at < np.array(shape))).all(axis=1)]
    if not len(at):
        return np.zeros(shape, bool)
    empty = np.ones(shape, bool)
    empty[at[:, 0], at[:, 1]] = False
    return np.asarray(distance_transform_edt(empty) <= grain.reach)
