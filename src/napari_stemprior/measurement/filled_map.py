"""Maps filled from numbers at atoms: linear between neighbours, open where there are no atoms."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import Delaunay, QhullError

Floats = NDArray[np.float64]

#: Triangles between atoms farther apart than so many times the usual are holes.
HOLE = 2.2
#: A sublattice whose strain has an error larger by this factor than that of the best is left out of maps.
_FAINT = 2.0


class FilledMap:
    """Triangles between places, from which any number of maps on one grid are filled.

    Parameters
    ----------
    yx : (N, 2) array
        Places, pixels; those that are not finite are left out.
    shape : (int, int)
        Rows and columns of the image.
    step : int
        Pixels of the image for one of the map.
    """

    def __init__(self, yx: Floats, shape: tuple[int, int], step: int = 1) -> None:
        self.shape = (-(-shape[0] // step), -(-shape[1] // step))
        self._known = np.flatnonzero(np.isfinite(yx).all(1))
        self._inside = np.empty(0, np.int64)
        self._corners = np.empty((0, 3), np.int64)
        self._weights = np.empty((0, 3))
        places = yx[self._known]
        try:
            triangles = Delaunay(places)
        except (QhullError, ValueError):  # fewer than three places, or all on one line
            return
        corners = places[triangles.simplices]
        sides = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=-1).max(1)
        whole = sides <= HOLE * np.median(sides)
        middle = (step - 1) / 2
        grid = np.stack(np.meshgrid(*(np.arange(n) * step + middle for n in self.shape), indexing="ij"), -1)
        flat = grid.reshape(-1, 2)
        of = np.asarray(triangles.find_simplex(flat))
        inside = np.flatnonzero((of >= 0) & whole[of])
        own = of[inside]
        turned = triangles.transform[own]
        first = np.einsum("nab,nb->na", turned[:, :2], flat[inside] - turned[:, 2])
        self._inside = inside
        self._corners = triangles.simplices[own].astype(np.int64)
        self._weights = np.concatenate([first, 1 - first.sum(1, keepdims=True)], axis=1)

    def fill(self, values: Floats) -> NDArray[np.float32]:
        """Return the map of (N,) values; NaN in holes, and in triangles with a value that is not known."""
        out = np.full(self.shape, np.nan, np.float32)
        at = np.asarray(values, float)[self._known][self._corners]
        out.ravel()[self._inside] = (at * self._weights).sum(1)
        return out


def range_about_zero(least: float, *values: Floats) -> tuple[float, float]:
    """Return a range about 0 that holds 98 % of the values, at least `least` wide to either side."""
    known = np.concatenate([v[np.isfinite(v)].ravel() for v in values])
    if not len(known):
        return (-1.0, 1.0)
    reach = max(float(np.quantile(np.abs(known), 0.98)), least if np.isfinite(least) else 0.0, 1e-12)
    return (-reach, reach)


def about_zero(values: Floats) -> Floats:
    """Return the values less their median."""
    return values - np.nanmedian(values) if np.isfinite(values).any() else values


def well_seen(sublattice: NDArray[np.int64], error: Floats) -> NDArray[np.bool_]:
    """Tell which atoms are of a sublattice whose strain is known almost as well as that of the best."""
    known = (sublattice >= 0) & np.isfinite(error)
    usual = {
        one: float(np.median(error[known & (sublattice == one)])) for one in np.unique(sublattice[known])
    }
    best = min(usual.values(), default=np.inf)
    return np.isin(sublattice, [one for one, value in usual.items() if value <= _FAINT * best])
