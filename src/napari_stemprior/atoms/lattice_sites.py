"""Where the lattice says that atoms belong, against where they are."""

from __future__ import annotations

from dataclasses import dataclass, replace

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

    @property
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
