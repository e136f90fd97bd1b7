"""Where the lattice of a prior says that atom columns belong on an image."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from napari_stemprior.structure.prior import Column

Floats = NDArray[np.float64]

#: An atom farther from a site than this part of the distance between sites is not the atom of that site.
_REACH = 0.45
#: A site without an atom within this distance (Å) is empty.
VACANCY_DISTANCE = 0.6
#: Neighbours that tell together how far the lattice is off at a site.
_NEIGHBOURS = 9


@dataclass(frozen=True, eq=False)
class LatticeSites:
    """The sites of a lattice on an image.

    Parameters
    ----------
    yx : (M, 2) array
        Pixels.
    column : (M,) array of int
        The column of the cell that belongs there; of a stack, counted through the cells of all layers.
    layer : (M,) array of int
        0 = entrance side.
    reliability : (M,) array
        How well the lattice is seen there, 0 to 1.
    cell : tuple of Column
        The columns of the cell, where their elements and labels are asked for.
    """

    yx: Floats
    column: NDArray[np.int64]
    layer: NDArray[np.int64]
    reliability: Floats
    cell: tuple[Column, ...] = ()

    @classmethod
    def of(
        cls, cell: Iterable[Column], yx: Floats, column: NDArray[np.int64], reliability: Floats | None = None
    ) -> LatticeSites:
        """Make sites of the columns of a cell, seen everywhere where no reliability is given.

        Parameters
        ----------
        cell : iterable of Column
        yx : (M, 2) array
        column : (M,) array of int
        reliability : (M,) array, optional
        """
        columns = tuple(cell)
        layers = np.array([c.layer for c in columns], np.int64)
        sure = np.ones(len(yx)) if reliability is None else reliability
        return cls(yx, column, layers[column], sure, columns)

    def __len__(self) -> int:
        return len(self.yx)

    @cached_property
    def spacing(self) -> float:
        """Median distance in px to the next site of the same layer; inf for fewer than two."""
        spacings = [
            np.asarray(cKDTree(self.yx[here]).query(self.yx[here], k=[2])[0]).ravel()
            for here in (self.layer == layer for layer in np.unique(self.layer))
            if np.count_nonzero(here) > 1
        ]
        return float(np.median(np.concatenate(spacings))) if spacings else float("inf")

    @property
    def reach(self) -> float:
        """Distance in px within which an atom belongs to a site."""
        return _REACH * self.spacing

    @cached_property
    def element(self) -> NDArray[np.str_]:
        """(M,) the element that belongs there."""
        return np.array([c.element for c in self.cell], np.str_)[self.column]

    @cached_property
    def site(self) -> NDArray[np.str_]:
        """(M,) the label of the site."""
        return np.array([c.site for c in self.cell], np.str_)[self.column]

    @property
    def is_hidden(self) -> NDArray[np.bool_]:
        """(M,) whether it lies below the entrance layer."""
        return self.layer > 0

    def where(self, keep: NDArray[np.bool_]) -> LatticeSites:
        """Return the sites where `keep` is true."""
        return LatticeSites(
            self.yx[keep], self.column[keep], self.layer[keep], self.reliability[keep], self.cell
        )

    def at(self, yx: Floats) -> LatticeSites:
        """Return the sites in other places: (M, 2), of another image or another pixel size."""
        return replace(self, yx=yx)

    def inside(self, shape: tuple[int, ...]) -> LatticeSites:
        """Return the sites that lie on an image of `shape` (rows, columns)."""
        here = (self.yx >= -0.5) & (self.yx < np.array(shape[:2]) - 0.5)
        return self.where(np.asarray(here.all(axis=1)))

    def joined(self, other: LatticeSites) -> LatticeSites:
        """Return these sites and, behind them, others of the same cell."""
        return LatticeSites(
            np.concatenate([self.yx, other.yx]),
            np.concatenate([self.column, other.column]),
            np.concatenate([self.layer, other.layer]),
            np.concatenate([self.reliability, other.reliability]),
            self.cell,
        )

    def count_empty(self, yx: Floats, shape: tuple[int, ...], pixel_size: float) -> int:
        """Count the sites on an image of `shape` that none of the (N, 2) atoms is near."""
        here = self.yx[((self.yx >= 0) & (self.yx <= np.array(shape[:2]) - 1)).all(axis=1)]
        if not len(yx) or not len(here):
            return len(here)
        distance = np.asarray(cKDTree(yx).query(here)[0])
        return int(np.count_nonzero(distance * pixel_size > VACANCY_DISTANCE))

    def nearest(self, yx: Floats, layer: NDArray[np.int64] | None = None) -> tuple[NDArray[np.int64], Floats]:
        """Find the nearest site of each position, of the same layer where one is given.

        Parameters
        ----------
        yx : (N, 2) array
            Pixels.
        layer : (N,) array of int, optional

        Returns
        -------
        index : (N,) array of int
            -1 where there is no site.
        distance : (N,) array
            px; inf where there is no site.
        """
        index, distance = np.full(len(yx), -1), np.full(len(yx), np.inf)
        known = np.unique(self.layer)
        groups = np.zeros(len(yx), np.int64) if layer is None else np.where(np.isin(layer, known), layer, -1)
        for group in np.unique(groups):
            here = groups == group
            some = np.arange(len(self))
            if layer is not None and group >= 0:
                some = np.flatnonzero(self.layer == group)
            if len(some) and here.any():
                far, found = cKDTree(self.yx[some]).query(yx[here])
                index[here], distance[here] = some[np.asarray(found)], np.asarray(far)
        return index, distance

    def relaxed(self, yx: Floats, layer: NDArray[np.int64] | None = None) -> LatticeSites:
        """Let the sites follow the atoms around them, so that a bent lattice stays under its atoms.

        A site moves by the median displacement of the nearest occupied sites: one atom that is off its
        site moves no site.

        Parameters
        ----------
        yx : (N, 2) array
            Atoms, px.
        layer : (N,) array of int, optional
            Of the atoms.
        """
        sites = self
        if len(yx) < _NEIGHBOURS or len(self) < _NEIGHBOURS:
            return sites
        for _ in range(2):
            index, distance = sites.nearest(yx, layer)
            near = distance < sites.reach
            if np.count_nonzero(near) < _NEIGHBOURS:
                return sites
            at = sites.yx[index[near]]
            shift = yx[near] - at
            around = np.asarray(cKDTree(at).query(sites.yx, k=_NEIGHBOURS)[1])
            sites = replace(sites, yx=sites.yx + np.median(shift[around], axis=1))
        return sites
