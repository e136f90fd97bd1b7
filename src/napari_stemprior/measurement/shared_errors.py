"""What the position errors of two columns have in common, so that their distance is better known than either.

Two columns that overlap are told apart worse than the pair is, and along their line they err together: the
one is fitted brighter than it is and both too far to its side. Were their errors taken for independent, that
of their distance would be two to four times too large.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

#: Å: distances are taken together in classes as wide as this, of at least so many simulated pairs.
_CLASS, _LEAST_PAIRS = 0.2, 60
#: Half of a Gaussian lies within so many standard deviations.
HALF = 0.6745


@dataclass(frozen=True, eq=False)
class SharedErrors:
    """By how much the errors of distances are smaller than those of independent positions.

    Parameters
    ----------
    distance : (K,) array
        Å, ascending; the middles of classes.
    factor : (K,) array
        Standard deviation of the distances of simulated fits over that of independent positions.
    """

    distance: Floats
    factor: Floats

    @classmethod
    def independent(cls) -> SharedErrors:
        """Return those of columns that have nothing in common."""
        return cls(np.zeros(0), np.zeros(0))

    @classmethod
    def measured(cls, distance: Floats, change: Floats, error: Floats) -> SharedErrors:
        """Measure them from simulated fits.

        Parameters
        ----------
        distance : (M,) array
            Å between the columns of a pair.
        change : (M, R) array
            Å by which it changed in R simulations; NaN where there was no fit.
        error : (M,) array
            Å of independent positions.
        """
        index = np.round(distance / _CLASS).astype(np.int64)
        ratio = np.abs(change) / error[:, None]
        middles, factors = [], []
        for one in np.unique(index):
            own = ratio[index == one]
            if np.isfinite(own).sum() >= _LEAST_PAIRS:
                middles.append(float(distance[index == one].mean()))
                factors.append(float(np.nanmedian(own)) / HALF)
        if middles:  # as in the last class for the width of one, and a class further nothing is shared
            middles += [middles[-1] + _CLASS, middles[-1] + 2 * _CLASS]
            factors += [factors[-1], 1.0]
        return cls(np.array(middles), np.array(factors))

    def factor_at(self, distance: ArrayLike) -> Floats:
        """Return the factor at distances in Å; 1 beyond those that were simulated."""
        distance = np.asarray(distance, float)
        if not len(self.distance):
            return np.ones_like(distance)
        return np.asarray(np.interp(distance, self.distance, self.factor))
