"""A second lattice of the same crystal over the same places: a layer above or below, which no grain is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from napari_stemprior.registration.fourier.features import FourierFeatures
from napari_stemprior.registration.fourier.lattice_search import same_lattice
from napari_stemprior.registration.fourier.lattice_symmetries import lattice_symmetries
from napari_stemprior.registration.fourier.peak_search import explained_power
from napari_stemprior.registration.lattice_fit import LatticeFit
from napari_stemprior.registration.pose import Pose
from napari_stemprior.structure import StructurePrior

#: A second lattice is worth a word where it fits at least so well: as well as another grain must.
_SCORE = 0.8
#: A lattice that explains more of the fringes than this leaves none for a second one. Single crystals without
#: strain explain 0.98 and more of the validation set, and one of two equal layers half.
_EXPLAINS_ALL = 0.8
#: A lattice is seen where its reliability reaches this: half of the usual amplitude and more.
_SEEN = 0.5
#: Another grain lies where the first lattice is not seen, a layer where it is; this share of its sites
#: decides.
_OVER_THE_FIRST = 0.5


def telling_of_second_lattice(
    fit: LatticeFit, others: Sequence[LatticeFit], prior: StructurePrior
) -> LatticeFit:
    """Add a reservation where a second lattice of the same crystal lies over the first.

    The first fits all the same, and its share of the fringes need not be larger than that of one of two
    grains: so no criterion speaks against it.

    Parameters
    ----------
    fit : LatticeFit
        Of one layer, followed through strain.
    others : sequence of LatticeFit
        Of the same prior, followed, that fit as well.
    prior : StructurePrior
    """
    for other in others:
        if (
            other.pose.score >= _SCORE
            and not same_lattice(other.pose.affine, fit.pose.affine, prior.cell)
            and share_over(other, fit) > _OVER_THE_FIRST
        ):
            turned = turn_between(fit.pose.affine, other.pose.affine, prior)
            said = (
                f"A second lattice of {prior.name}, turned by {turned:.1f}°, is seen in the same places; "
                "a stack may describe the image."
            )
            doubtful = replace(fit.pose, reservations=(*fit.pose.reservations, said))
            return replace(fit, poses=(doubtful,))
    return fit


def leaves_fringes(features: FourierFeatures, prior: StructurePrior, pose: Pose) -> bool:
    """Tell whether enough fringes lie off a lattice that a second one may be looked for.

    Parameters
    ----------
    features : FourierFeatures
        Of the image.
    prior : StructurePrior
    pose : Pose
    """
    linear, _ = features.normalized.in_angstrom(pose)
    explained = explained_power(features.peaks, linear, prior)
    return bool(explained < _EXPLAINS_ALL)  # NaN where there is no fringe at all


def share_over(other: LatticeFit, first: LatticeFit) -> float:
    """Return the share of a lattice's seen sites that lie where another lattice is seen, 0 to 1."""
    if other.sites is None or first.field is None:
        return 0.0
    places = other.sites.yx[other.sites.reliability >= _SEEN]
    return float(np.mean(first.field.reliability_at(places) >= _SEEN)) if len(places) else 0.0


def turn_between(first: NDArray[np.float64], second: NDArray[np.float64], prior: StructurePrior) -> float:
    """Return the smallest angle in degrees, 0 to 90, that turns one lattice of a prior onto another.

    Parameters
    ----------
    first, second : (2, 2) array
        Maps from (x, y) in Å of the prior to (y, x) on the image.
    prior : StructurePrior
        The basis of its lattice does not count: a hexagon repeats at 60°.
    """
    changes = [np.linalg.inv(first) @ second @ symmetry for symmetry in lattice_symmetries(prior)]
    turns = [np.arctan2(m[1, 0] - m[0, 1], m[0, 0] + m[1, 1]) for m in changes if np.linalg.det(m) > 0]
    folded = [min(abs(turn), np.pi - abs(turn)) for turn in turns]  # every lattice repeats at half a turn
    return float(np.rad2deg(min(folded, default=0.0)))
