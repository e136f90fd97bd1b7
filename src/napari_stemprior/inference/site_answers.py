"""Is a registered site occupied? What the counts around it say; see `occupancy`."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from napari_stemprior.inference.calibration import MIN_EQUALS
from napari_stemprior.inference.column_profiles import HERE
from napari_stemprior.inference.map_readings import sites_inside
from napari_stemprior.inference.maxima import is_peak
from napari_stemprior.inference.occupancy import occupancy
from napari_stemprior.inference.vacancy_prior import occupied_odds
from napari_stemprior.network.config import CANONICAL_PIXEL_SIZE
from napari_stemprior.progress import Progress
from napari_stemprior.structure.lattice_sites import LatticeSites

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

#: By how much more a likelihood ratio of `occupancy` says than it claims: held against the true vacancies of
#: the validation set at 300 e/Å² by logistic regression (Platt, Advances in Large Margin Classifiers (2000)
#: 61), its slope is 1.23.
_SLOPE = 1.2
#: Standard errors by which the mean height of a kind of columns must exceed nothing to be a trace of them.
_SEEN = 3.0
#: A peak this near (Å) to a registered column is on its site.
SITE_DISTANCE = 0.45


@dataclass(frozen=True, eq=False)
class SiteAnswers:
    """What the counts say of each registered site.

    Parameters
    ----------
    llr : (M,) array
        Log of P(image | occupied) / P(image | vacant); 0 outside the image.
    odds : (M,) array
        Log-odds that the site is occupied, see `occupied_odds`; infinite outside the image.
    unseen : (M,) array of bool
        Whether all columns of this kind together leave no trace in the image (oxygen beside strontium).
    """

    llr: Floats
    odds: Floats
    unseen: NDArray[np.bool_]


def site_answers(
    image: NDArray[np.floating],
    sites: LatticeSites,
    kind: Integers,
    probability: Floats,
    valid: NDArray[np.bool_] | None = None,
    row_noise: bool = False,
    device: torch.device | str = "cpu",
) -> Generator[Progress, None, SiteAnswers]:
    """Ask the image whether the registered sites are occupied, step by step.

    Parameters
    ----------
    image : (H, W) array
        Canonical.
    sites : LatticeSites
        In canonical pixels.
    kind : (M,) array of int
        Sites of one kind hold like columns.
    probability : (2, H, W) array
        A site whose column has moved is looked at where the column is.
    valid : (H, W) array of bool, optional
        Pixels that count; all without it.
    row_noise : bool
        The recording had row offsets, see `occupancy`.
    device : torch.device or str
        Where it is computed.
    """
    inside = sites_inside(sites, (image.shape[0], image.shape[1]))
    peaks = []
    for hidden, heat in zip((False, True), probability, strict=True):
        yield HERE
        wanted = bool((sites.is_hidden == hidden).any())
        peaks.append(np.argwhere(is_peak(heat)) if wanted else np.zeros((0, 2), np.int64))
    yield HERE
    places = moved_places(sites, (peaks[0], peaks[1]), inside)
    _, llr, spread = yield from occupancy(
        image, places[inside], kind[inside], sites.column[inside], valid, row_noise, device
    )
    yield HERE
    return answered(sites, kind, inside, llr, spread)


def moved_places(sites: LatticeSites, peaks: tuple[Integers, Integers], inside: NDArray[np.bool_]) -> Floats:
    """Return the (M, 2) places where the columns of sites are looked for.

    Parameters
    ----------
    sites : LatticeSites
        In canonical pixels.
    peaks : (array, array)
        Pixels (N, 2) of the maxima of the map of the entrance layer, and of that of the hidden ones.
    inside : (M,) array of bool
        Sites on the image.
    """
    places = sites.yx.copy()
    for hidden in (False, True):
        mine = np.flatnonzero(inside & (sites.is_hidden == hidden))
        found = peaks[int(hidden)].astype(float)
        if len(mine) and len(found):
            distance, nearest = cKDTree(found).query(places[mine])
            near = np.asarray(distance) * CANONICAL_PIXEL_SIZE < SITE_DISTANCE
            # half way: the maximum is on whole pixels, and at a vacancy it wanders
            places[mine[near]] += 0.5 * (found[np.asarray(nearest)[near]] - places[mine[near]])
    return places


def answered(
    sites: LatticeSites, kind: Integers, inside: NDArray[np.bool_], llr: Floats, spread: Floats
) -> SiteAnswers:
    """Turn what `occupancy` says of the sites on the image into answers for all.

    Parameters
    ----------
    sites : LatticeSites
        In canonical pixels.
    kind : (M,) array of int
    inside : (M,) array of bool
    llr, spread : (K,) array
        Of the K sites inside.
    """
    ratio, odds = np.zeros(len(sites)), np.full(len(sites), np.inf)
    unseen = np.zeros(len(sites), bool)
    kinds = kind[inside]
    ratio[inside] = llr
    odds[inside] = occupied_odds(_SLOPE * llr, kinds, sites.yx[inside] * CANONICAL_PIXEL_SIZE)
    _, number, count = np.unique(kinds, return_inverse=True, return_counts=True)
    enough = count[number] >= MIN_EQUALS
    unseen[inside] = enough & (np.sqrt(count[number]) < _SEEN * spread)  # the error of their mean height
    return SiteAnswers(ratio, odds, unseen)
