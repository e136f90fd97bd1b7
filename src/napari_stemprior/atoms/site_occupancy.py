"""Which sites of a lattice have an atom."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from napari_stemprior.structure.lattice_sites import LatticeSites

Floats = NDArray[np.float64]


class SiteOccupancy:
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
