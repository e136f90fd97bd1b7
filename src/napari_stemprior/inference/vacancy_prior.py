"""How many sites of a kind are empty, learned from the micrograph that is being asked.

A likelihood ratio needs odds to start from. In a perfect crystal hardly any site is empty, and a column that
looks dim is dim by chance; where one in ten is empty, the same column is a vacancy. The share is found
together with the vacancies, by expectation maximisation (Dempster, Laird and Rubin, J. R. Stat. Soc. B 39
(1977) 1) with a beta distribution as what is known beforehand.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

from napari_stemprior.inference.calibration import MIN_EQUALS

Floats = NDArray[np.float64]

#: What is known of the share beforehand: as if this many empty sites had been seen among this many.
_EMPTY, _SEEN = 1.0, 20.0
#: No crystal that still registers lacks more of a kind.
_MOST = 0.15
#: Rounds at most, and the change of the share below which no more are taken.
_ROUNDS, _SETTLED = 60, 1e-12
#: Neighbouring sites share pixels, so they are fewer independent witnesses than they are sites.
_WITNESSES = 0.5
#: Share from which a crystal has vacancies (a perfect one comes out with 0.005), and the log-odds that an
#: atom needs there.
_SOME, _BURDEN = 0.02, 0.7
#: Å around a site that tell whether it lies in a hole, the shares that a neighbourhood may have there, and
#: how often it is thought of beforehand.
_NEAR, _EMPTIER, _A_HOLE = 5.0, (0.3, 0.6, 0.9), 0.01
#: From this probability on a site lies in a hole.
_IN_A_HOLE = 0.5
#: Of the share as a parameter, in units of log-likelihood.
_COST = 1.0
#: Log-odds of sites that have too few equals.
_UNASKED = 12.0


def occupied_odds(llr: ArrayLike, kind: ArrayLike, yx: ArrayLike | None = None) -> Floats:
    """Turn likelihood ratios into log-odds that the sites are occupied.

    Where sites around are empty, a site is more likely to be empty than elsewhere: a hole is many vacancies
    side by side.

    Parameters
    ----------
    llr : (N,) array-like
        Log of P(image | occupied) / P(image | vacant), see `occupancy`.
    kind : (N,) array-like of int
        Sites of one kind are equal.
    yx : (N, 2) array-like, optional
        Places in Å; without them the share is the same everywhere.

    Returns
    -------
    (N,) array
    """
    ratio, kinds = np.asarray(llr, float), np.asarray(kind)
    odds = np.full(len(ratio), _UNASKED)
    shares = np.full(len(ratio), np.nan)
    for number in np.unique(kinds):
        mine = kinds == number
        if mine.sum() >= MIN_EQUALS:
            share = empty_share(ratio[mine])
            shares[mine] = share
            odds[mine] = ratio[mine] + np.log((1 - share) / share)
    asked = np.flatnonzero(np.isfinite(shares))
    if yx is not None and len(asked) > 1:
        places = np.asarray(yx, float)[asked]
        _, in_hole = _share_around(ratio[asked], shares[asked], places)
        # the sites of a hole say nothing of the crystal around it
        for number in np.unique(kinds[asked]):
            mine = kinds[asked] == number
            rest = asked[mine & (in_hole < _IN_A_HOLE)]
            if len(rest) >= MIN_EQUALS:
                shares[asked[mine]] = empty_share(ratio[rest])
        around, _ = _share_around(ratio[asked], shares[asked], places)
        odds[asked] = ratio[asked] + np.log((1 - around) / around)
    # in a crystal that has vacancies, an atom that is not there counts twice one that is missed
    odds[shares >= _SOME] -= _BURDEN
    return odds


def _share_around(llr: Floats, share: Floats, yx: Floats) -> tuple[Floats, Floats]:
    """Return the expected share of empty sites around each, and the probability that it lies in a hole.

    A neighbourhood is as the whole crystal is, or emptier; the likelihood of its sites says which.
    """
    pairs = cKDTree(yx).query_pairs(_NEAR, output_type="ndarray")
    if not len(pairs):
        return share, np.zeros(len(share))
    likely = [np.full(len(yx), np.log(1 - _A_HOLE))]
    shares = [share]
    usual = np.log(1 - share + share * np.exp(-llr))
    for emptier in _EMPTIER:
        own = np.log(1 - emptier + emptier * np.exp(-llr)) - usual
        total = np.bincount(pairs[:, 0], own[pairs[:, 1]], len(yx))
        total += np.bincount(pairs[:, 1], own[pairs[:, 0]], len(yx))
        likely.append(np.log(_A_HOLE / len(_EMPTIER)) + _WITNESSES * total)
        shares.append(np.maximum(emptier, share))
    weight = np.array(likely)
    weight = np.exp(weight - weight.max(axis=0))
    weight /= weight.sum(axis=0)
    return np.asarray((weight * np.array(shares)).sum(axis=0)), np.asarray(1 - weight[0])


def empty_share(llr: Floats) -> float:
    """Return the share of vacant sites among equals, from their (N,) log-likelihood ratios.

    "None is vacant" and "some are" are weighed against each other, where the share as a free parameter costs
    one unit of log-likelihood (Akaike, IEEE Trans. Autom. Control 19 (1974) 716): the tails of the noise of a
    perfect crystal are not to pass for a few vacancies.
    """
    share = 0.03
    for _ in range(_ROUNDS):
        vacant = 1 / (1 + np.exp(np.clip(llr + np.log((1 - share) / share), -40, 40)))
        before, share = share, float(np.clip((vacant.sum() + _EMPTY) / (len(llr) + _SEEN), 1e-3, _MOST))
        if abs(share - before) < _SETTLED:
            break
    none = min(max(_EMPTY / (len(llr) + _SEEN), 1e-3), share)
    gain = np.log((1 - share + share * np.exp(-llr)) / (1 - none + none * np.exp(-llr))).sum()
    some = 1 / (1 + np.exp(np.clip(_COST - gain, -40, 40)))
    return float(some * share + (1 - some) * none)
