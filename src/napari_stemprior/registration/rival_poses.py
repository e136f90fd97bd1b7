"""Several ways to lay a prior on one lattice: which one the image prefers, and whether it tells at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy.spatial import cKDTree

from napari_stemprior.registration.fourier.lattice_search import same_lattice
from napari_stemprior.registration.lattice_fit import LatticeFit
from napari_stemprior.structure import StructurePrior

#: Pixels within which two fits mean the same place.
SAME_PLACE = 2.0
#: Poses whose scores differ by less are told apart by the likelihood of the image: half a turn of a bilayer
#: hardly changes the score.
SCORE_TIE = 0.01
#: Nats by which the image prefers another way to lay the prior on its lattice, whatever the scores say: these
#: know the criteria alone, and a lattice that fits with a reservation may have the better one by chance.
_BEYOND_DOUBT = 20.0
#: Nats below which the image does not tell two poses apart: odds of 20 to 1.
_UNDECIDED = 3.0
#: Fits that share more than this part of their columns are one.
_SAME_COLUMNS = 0.95


def preferred(fits: Sequence[LatticeFit], prior: StructurePrior) -> LatticeFit:
    """Return the fit of the best score or, among equals, the one that the image prefers.

    Where it does not tell which, that is said as a reservation.

    Parameters
    ----------
    fits : sequence of LatticeFit
        Of one prior, followed through strain, best score first; at least one.
    prior : StructurePrior
    """
    best = fits[0]
    rivals = [
        fit
        for fit in fits
        if fit.pose.score >= best.pose.score - SCORE_TIE
        or (
            fit.pose.log_likelihood - best.pose.log_likelihood > _BEYOND_DOUBT
            and same_lattice(fit.pose.affine, best.pose.affine, prior.cell)
        )
    ]
    if len(rivals) == 1:
        return best
    likely = np.array([fit.pose.log_likelihood for fit in rivals])
    if not np.isfinite(likely).all():
        return best
    if likely.max() - likely[0] >= _UNDECIDED:
        best = rivals[int(likely.argmax())]
    for rival in rivals:
        behind = best.pose.log_likelihood - rival.pose.log_likelihood
        if behind < _UNDECIDED and not _alike(best, rival, prior):
            said = (
                f"The lattice of {prior.name} fits as well the other way round, turned by "
                f"{(rival.pose.angle - best.pose.angle) % 360:.0f}°; the image hardly tells which is right."
            )
            doubtful = replace(best.pose, reservations=(*best.pose.reservations, said))
            return replace(best, poses=(doubtful,))
    return best


def _alike(first: LatticeFit, second: LatticeFit, prior: StructurePrior) -> bool:
    """Tell whether two fits put like columns on the same places, or lie on different grains."""
    one, other = first.sites, second.sites
    assert one is not None
    assert other is not None
    distance, nearest = cKDTree(other.yx).query(one.yx)
    near = np.asarray(distance) < SAME_PLACE
    weights = prior.z_weights
    same = np.abs(weights[other.column[np.asarray(nearest)]] / weights[one.column] - 1) < 1e-3
    lattice = same_lattice(first.pose.affine, second.pose.affine, prior.cell)
    return bool((near & same).mean() > _SAME_COLUMNS or not lattice)
