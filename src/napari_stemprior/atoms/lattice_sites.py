"""Where the lattice says that atoms belong, against where they are."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

Floats = NDArray[np.float64]

#: An atom farther from a site than this part of the distance between sites is not the atom of that site.
_REACH = 0.45
#: Neighbours that tell together how far the lattice is off at a site.
_NEIGHBOURS = 9


@dataclass(frozen=True, eq=False)
class LatticeSites:
    """The sites of a lattice on an image.

    Parameters
    ----------
    yx : (M, 2) array
        Pixels.
    element, site : (M,) arrays of str
        What belongs there, and the label of the site.
    layer : (M,) array of int
        0 = entrance side.
    reliability : (M,) array
        How well the lattice is seen there, 0 to 1.
    """

    yx: Floats
    element: NDArray[np.str_]
    site: NDArray[np.str_]
    layer: NDArray[np.int64]
    reliability: Floats

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

    def where(self, keep: NDArray[np.bool_]) -> LatticeSites:
        """Return the sites where `keep` is true."""
        return LatticeSites(
            self.yx[keep], self.element[keep], self.site[keep], self.layer[keep], self.reliability[keep]
        )

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


class Occupancy:
    """How many places lie within reach of each site, kept up to date by what has changed.

    Parameters
    ----------
    sites : LatticeSites
    """

    def __init__(self, sites: LatticeSites) -> None:
        self.sites = sites
        self._tree = cKDTree(sites.yx.reshape(-1, 2))
        self._ids = np.empty(0, np.int64)
        self._yx = np.empty((0, 2))
        self._count = np.zeros(len(sites), np.int64)

    def empty(self, ids: NDArray[np.int64], yx: Floats) -> NDArray[np.bool_]:
        """Tell which sites have nothing within reach.

        Parameters
        ----------
        ids : (N,) array of int
            What tells the places apart, ascending.
        yx : (N, 2) array
            Pixels.

        Returns
        -------
        (M,) array of bool
        """
        stayed_old = np.isin(self._ids, ids, assume_unique=True)
        stayed_new = np.isin(ids, self._ids, assume_unique=True)
        moved = (self._yx[stayed_old] != yx[stayed_new]).any(axis=1)
        stayed_old[np.flatnonzero(stayed_old)[moved]] = False
        stayed_new[np.flatnonzero(stayed_new)[moved]] = False
        self._add(self._yx[~stayed_old], -1)
        self._add(yx[~stayed_new], 1)
        self._ids, self._yx = ids.copy(), yx.copy()
        return np.asarray(self._count == 0)

    def _add(self, yx: Floats, by: int) -> None:
        if not len(yx) or not len(self.sites) or not np.isfinite(self.sites.reach):
            return
        if len(yx) > 0.2 * len(self.sites):
            self._count += by * np.asarray(
                cKDTree(yx).query_ball_point(self.sites.yx, self.sites.reach, return_length=True)
            )
            return
        for near in self._tree.query_ball_point(yx, self.sites.reach):
            self._count[near] += by
