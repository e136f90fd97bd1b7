"""Whether defects attract or avoid each other: pair correlation against random sites."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from napari_stemprior.errors import MeasurementError

Floats = NDArray[np.float64]

#: Random arrangements that are compared.
_ARRANGEMENTS = 99
_LEAST = 3


@dataclass(frozen=True, eq=False)
class PairCorrelation:
    """Pairs of defects by distance over those of random arrangements on the same sites.

    Parameters
    ----------
    edges : (B + 1,) array
        Å.
    ratio : (B,) array
        1 for a random arrangement; NaN where no random pair has this distance.
    low, high : (B,) arrays
        Between them lie 95 % of the random arrangements, at one distance.
    nearest : float
        Å, mean distance of a defect to the next.
    nearest_random : float
        Å, the same of random arrangements.
    chance : float
        How often a random arrangement has a mean as far from its own average (two-sided).
    verdict : str
        ``"clustered"``, ``"dispersed"`` or ``"random"`` at 5 %.
    """

    edges: Floats
    ratio: Floats
    low: Floats
    high: Floats
    nearest: float
    nearest_random: float
    chance: float
    verdict: str


def pair_correlation(
    defects: Floats, sites: Floats, edges: Floats | None = None, seed: int = 0
) -> PairCorrelation:
    """Compare defects with as many that are thrown at random on the same sites.

    A permutation test: edges, holes and the lattice itself are the same in both.

    Parameters
    ----------
    defects : (D, 2) array
        Å.
    sites : (S, 2) array
        Å; where a defect could have been.
    edges : (B + 1,) array, optional
        Å.
    seed : int
        Of the random arrangements.

    Returns
    -------
    PairCorrelation

    Raises
    ------
    MeasurementError
        If there are fewer than three defects, or no more sites than defects.
    """
    count = len(defects)
    if count < _LEAST or len(sites) <= count:
        raise MeasurementError(
            f"{count} defects on {len(sites)} sites have no pair correlation; it takes {_LEAST} or more, "
            "on more sites."
        )
    side = float(np.ptp(sites, axis=0).max())
    bins = np.linspace(0, min(side / 2, 40.0), 21) if edges is None else np.asarray(edges, float)
    rng = np.random.default_rng(seed)
    seen, nearest = _statistics(defects, bins)
    random = [
        _statistics(sites[rng.choice(len(sites), count, replace=False)], bins) for _ in range(_ARRANGEMENTS)
    ]
    pairs, means = np.array([r[0] for r in random]), np.array([r[1] for r in random])
    mean = pairs.mean(0)
    scale = np.where(mean > 0, mean, np.nan)
    middle = float(means.mean())
    as_far = np.count_nonzero(np.abs(means - middle) >= abs(nearest - middle))
    chance = (as_far + 1) / (_ARRANGEMENTS + 1)
    verdict = "random" if chance > 0.05 else "clustered" if nearest < middle else "dispersed"
    low, high = np.quantile(pairs, [0.025, 0.975], axis=0)
    return PairCorrelation(bins, seen / scale, low / scale, high / scale, nearest, middle, chance, verdict)


def _statistics(places: Floats, edges: Floats) -> tuple[Floats, float]:
    tree = cKDTree(places)
    pairs = np.diff(tree.count_neighbors(tree, edges)).astype(float) / 2
    return pairs, float(np.asarray(tree.query(places, k=[2])[0]).mean())
