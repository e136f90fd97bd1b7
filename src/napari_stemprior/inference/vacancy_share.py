"""How many sites of a kind are empty, learned from the micrograph that is being asked.

A likelihood ratio needs odds to start from. In a perfect crystal hardly any site is empty, and a column that
looks dim is dim by chance; where one in ten is empty, the same column is a vacancy. The share is found
together with the vacancies, by expectation maximisation (Dempster, Laird and Rubin, J. R. Stat. Soc. B 39
(1977) 1) with a beta distribution as what is known beforehand.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_stemprior.inference.calibration import MIN_EQUALS

Floats = NDArray[np.float64]

#: What is known of the share beforehand: as if this many empty sites had been seen among this many.
_EMPTY, _SEEN = 1.0, 20.0
#: No crystal that still registers lacks more of a kind.
_MOST = 0.15
#: Where noise hides single columns the share cannot be learned, and what passes for it is chance.
_MOST_IN_NOISE = 0.05
#: Spread of the heights, in units of the height, from which noise hides single columns.
_NOISY = 1.0
_ROUNDS = 60
#: Of the share as a parameter, in units of log-likelihood.
_COST = 1.0
#: Log-odds of sites that have too few equals.
_UNASKED = 12.0


def occupied_odds(llr: ArrayLike, kind: ArrayLike, spread: ArrayLike) -> Floats:
    """Turn likelihood ratios into log-odds that the sites are occupied.

    Parameters
    ----------
    llr : (N,) array-like
        Log of P(image | occupied) / P(image | vacant), see `occupancy`.
    kind : (N,) array-like of int
        Sites of one kind are equal.
    spread : (N,) array-like
        Of the heights of their kind, in units of the height.

    Returns
    -------
    (N,) array
    """
    ratio, kinds, noise = np.asarray(llr, float), np.asarray(kind), np.asarray(spread, float)
    odds = np.full(len(ratio), _UNASKED)
    for number in np.unique(kinds):
        mine = kinds == number
        if mine.sum() >= MIN_EQUALS:
            most = _MOST if float(np.median(noise[mine])) < _NOISY else _MOST_IN_NOISE
            share = min(empty_share(ratio[mine]), most)
            odds[mine] = ratio[mine] + np.log((1 - share) / share)
    return odds


def empty_share(llr: Floats) -> float:
    """Return the share of vacant sites among equals, from their (N,) log-likelihood ratios.

    "None is vacant" and "some are" are weighed against each other, where the share as a free parameter costs
    one unit of log-likelihood (Akaike, IEEE Trans. Autom. Control 19 (1974) 716): the tails of the noise of a
    perfect crystal are not to pass for a few vacancies.
    """
    share = 0.03
    for _ in range(_ROUNDS):
        vacant = 1 / (1 + np.exp(np.clip(llr + np.log((1 - share) / share), -40, 40)))
        share = float(np.clip((vacant.sum() + _EMPTY) / (len(llr) + _SEEN), 1e-3, _MOST))
    none = min(max(_EMPTY / (len(llr) + _SEEN), 1e-3), share)
    gain = np.log((1 - share + share * np.exp(-llr)) / (1 - none + none * np.exp(-llr))).sum()
    some = 1 / (1 + np.exp(np.clip(_COST - gain, -40, 40)))
    return float(some * share + (1 - some) * none)
