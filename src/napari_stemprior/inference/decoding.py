"""From the network's maps to atoms."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter
from scipy.spatial import cKDTree

from napari_stemprior.inference.calibration import (
    MIN_EQUALS,
    Calibration,
    deviations,
    log_odds,
    reference_heights,
)
from napari_stemprior.inference.maxima import is_peak, maxima
from napari_stemprior.inference.occupancy import occupancy
from napari_stemprior.inference.suppression import non_maximum_suppression
from napari_stemprior.inference.tiles import Answer
from napari_stemprior.inference.vacancy_prior import occupied_odds
from napari_stemprior.network.config import CANONICAL_PIXEL_SIZE
from napari_stemprior.progress import Progress
from napari_stemprior.structure.lattice_sites import LatticeSites
from napari_stemprior.structure.prior import MERGE_DISTANCE

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

#: What the progress says.
STAGE = "finding the columns"
#: A column is one from this probability on; below it, it is not reported at all.
THRESHOLD = 0.5
#: A column that the network is surer of than this is not taken for a vacancy, whatever its height. Of 0.9,
#: 0.95, 0.97 and 1 it leaves the fewest columns wrong or missed in 330 micrographs of the validation set.
_SURE = 0.97
#: By how much more a likelihood ratio of `occupancy` says than it claims: held against the true vacancies of
#: the validation set at 300 e/Å² by logistic regression (Platt, Advances in Large Margin Classifiers (2000)
#: 61), its slope is 1.23.
_SLOPE = 1.2
#: Standard errors by which the mean height of a kind of columns must exceed nothing to be a trace of them.
_SEEN = 3.0
#: Two columns of one layer are never closer than this (Å), whatever the prior says.
MIN_DISTANCE = 0.55
#: A hidden peak this near (Å) to one of the entrance layer is the same column: half of `MERGE_DISTANCE`, at
#: which priors and scenes join columns, for peaks are not exact. Registered sites know better.
COVERED_DISTANCE = 0.22
#: A column of a kind that the image shows has this evidence at least; 0 is kept for those of no trace.
_LEAST_EVIDENCE = 1e-6
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


@dataclass(frozen=True, eq=False)
class Peaks:
    """Columns in canonical pixels.

    Parameters
    ----------
    yx : (N, 2) array
    confidence, evidence : (N,) array
        An evidence of exactly 0 says that the image shows no trace of any column of this kind.
    hidden : (N,) array of bool
    site : (N,) array of int
        Column of the cell that the pixel looks like; -1 where unknown.
    sigma : (N,) array
        How well the network knows the position, along one axis.
    """

    yx: Floats
    confidence: Floats
    evidence: Floats
    hidden: NDArray[np.bool_]
    site: Integers
    sigma: Floats

    def where(self, keep: NDArray[np.bool_]) -> Peaks:
        """Return the peaks where `keep` is true."""
        return Peaks(
            self.yx[keep],
            self.confidence[keep],
            self.evidence[keep],
            self.hidden[keep],
            self.site[keep],
            self.sigma[keep],
        )


@dataclass(frozen=True, eq=False)
class PeakTable:
    """Peaks of one map before anything is decided.

    Parameters
    ----------
    yx : (N, 2) array
        Canonical pixels.
    height : (N,) array
        Of the heat map.
    features : (N, 5) array
        Log-odds of the height and its deviation from what is usual on such a site (see
        `calibration.deviations`), the same two of the image alone at this place, and the
        log-likelihood ratio of the site (see `occupancy`).
    on_site : (N,) array of bool
        Whether it lies on a registered column.
    odds : (N,) array
        Log-odds, by the counts alone, that the nearest site is occupied; infinite without sites.
    """

    yx: Floats
    height: Floats
    features: Floats
    on_site: NDArray[np.bool_]
    odds: Floats


def decode(
    answer: Answer,
    probability: Floats,
    unprompted: Floats,
    sites: LatticeSites | None = None,
    kind: Integers | None = None,
    closest: float = 0.0,
    calibration: Calibration | None = None,
    threshold: float = THRESHOLD,
    image: NDArray[np.floating] | None = None,
    valid: NDArray[np.bool_] | None = None,
    row_noise: bool = False,
) -> Generator[Progress, None, Peaks]:
    """Find the columns, step by step.

    Parameters
    ----------
    answer : Answer
        Offsets and sites come from here.
    probability : (2, H, W) array
        What decides, after mixing with trust.
    unprompted : (2, H, W) array
        What the image says without the prior.
    sites : LatticeSites, optional
        Registered columns, in canonical pixels; None where no prior was used.
    kind : (M,) array of int, optional
        Sites of one kind hold like columns, see `equivalent_columns`; without it all do.
    closest : float
        Smallest distance in Å between two columns of one layer of the prior.
    calibration : Calibration, optional
    threshold : float
        Probability from which on a column is reported; the micrograph may still call its site vacant.
    image : (H, W) array, optional
        The canonical image, to compare registered sites with their equals.
    valid : (H, W) array of bool, optional
        Its pixels that show the specimen; all without it.
    row_noise : bool
        The recording had row offsets, see `occupancy`.
    """
    yield Progress(0, 1, STAGE)
    calibration = calibration or Calibration()
    # the prior knows how close columns come; half of that leaves room for defects
    spacing = max(MIN_DISTANCE, 0.5 * closest)
    # a prior of one layer hides nothing
    layered = sites is None or bool(sites.is_hidden.any())
    if sites is not None and kind is None:
        kind = np.zeros(len(sites), np.int64)
    answers = None
    if image is not None and sites is not None and kind is not None:
        answers = yield from site_answers(image, sites, kind, probability, valid, row_noise)
    parts = []
    for hidden in (False, True):
        yield Progress(0, 1, STAGE)
        if hidden and not layered:
            parts.append((np.zeros((0, 2)), np.zeros(0)))
            continue
        table = found_peaks(answer, probability, unprompted, hidden, sites, kind, answers)
        if sites is None:
            confidence = calibration.without(table.height)
        else:
            confidence = calibration.with_prior(table.features, table.on_site)
        # the network's map is blurred by noise; of a site it is not sure of, the counts themselves decide
        vacant = table.on_site & (table.odds < 0) & (confidence < _SURE)
        sure = (confidence >= threshold) & ~vacant
        yx, surety = table.yx[sure], confidence[sure]
        keep = non_maximum_suppression(yx, surety, spacing / CANONICAL_PIXEL_SIZE)
        parts.append((yx[keep], surety[keep]))
    yield Progress(0, 1, STAGE)
    (top, top_confidence), (low, low_confidence) = _merged(parts[0], parts[1], sites)
    yx = np.concatenate([top, low])
    pixel = _pixels(yx, probability.shape[1:])
    evidence = np.maximum(
        calibration.without(_support(unprompted)[pixel[:, 0], pixel[:, 1]]), _LEAST_EVIDENCE
    )
    if sites is not None and answers is not None:
        # the network has seen where such columns usually stand; here the image itself shows none
        for below, mine in ((False, slice(0, len(top))), (True, slice(len(top), None))):
            unseen = sites.yx[answers.unseen & (sites.is_hidden == below)]
            if len(unseen):
                evidence[mine][_nearest_site(yx[mine], unseen)[0]] = 0.0
    return Peaks(
        yx,
        np.concatenate([top_confidence, low_confidence]),
        evidence,
        np.concatenate([np.zeros(len(top), bool), np.ones(len(low), bool)]),
        answer.site.numpy()[pixel[:, 0], pixel[:, 1]].astype(np.int64),
        np.sqrt(answer.variance.numpy()[pixel[:, 0], pixel[:, 1]]).astype(float),
    )


def site_answers(
    image: NDArray[np.floating],
    sites: LatticeSites,
    kind: Integers,
    probability: Floats,
    valid: NDArray[np.bool_] | None = None,
    row_noise: bool = False,
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
    """
    inside = ((sites.yx > -0.5) & (sites.yx < np.array(image.shape) - 0.5)).all(axis=1)
    places = sites.yx.copy()
    for hidden in (False, True):
        mine = np.flatnonzero(inside & (sites.is_hidden == hidden))
        heat = probability[int(hidden)]
        peaks = np.argwhere(is_peak(heat)).astype(float)
        if len(mine) and len(peaks):
            distance, found = cKDTree(peaks).query(places[mine])
            near = np.asarray(distance) * CANONICAL_PIXEL_SIZE < SITE_DISTANCE
            # half way: the maximum is on whole pixels, and at a vacancy it wanders
            places[mine[near]] += 0.5 * (peaks[np.asarray(found)[near]] - places[mine[near]])
    llr, odds = np.zeros(len(places)), np.full(len(places), np.inf)
    unseen = np.zeros(len(places), bool)
    kinds = kind[inside]
    _, llr[inside], spread = yield from occupancy(
        image, places[inside], kinds, sites.column[inside], valid, row_noise
    )
    angstrom = sites.yx[inside] * CANONICAL_PIXEL_SIZE
    odds[inside] = occupied_odds(_SLOPE * llr[inside], kinds, angstrom)
    _, number, count = np.unique(kinds, return_inverse=True, return_counts=True)
    enough = count[number] >= MIN_EQUALS
    unseen[inside] = enough & (np.sqrt(count[number]) < _SEEN * spread)  # the error of their mean height
    return SiteAnswers(llr, odds, unseen)


def found_peaks(
    answer: Answer,
    probability: Floats,
    unprompted: Floats,
    hidden: bool,
    sites: LatticeSites | None = None,
    kind: Integers | None = None,
    answers: SiteAnswers | None = None,
) -> PeakTable:
    """Find the peaks of one map and what is known of each.

    Parameters
    ----------
    answer : Answer
        For the offsets.
    probability : (2, H, W) array
    unprompted : (2, H, W) array
        What the image says without the prior.
    hidden : bool
        Look at the map of the hidden layers.
    sites : LatticeSites, optional
        Registered columns, in canonical pixels; those of the same layer count.
    kind : (M,) array of int, optional
        Sites of one kind hold like columns.
    answers : SiteAnswers, optional
        Of the sites.
    """
    heat = probability[int(hidden)]
    yx, height = maxima(heat, answer)
    features = np.zeros((len(yx), 5))
    features[:, 0] = log_odds(height)
    unknown = PeakTable(yx, height, features, np.zeros(len(yx), bool), np.full(len(yx), np.inf))
    if sites is None or kind is None:
        return unknown
    mine = (sites.is_hidden == hidden) & ((sites.yx > -0.5) & (sites.yx < np.array(heat.shape) - 0.5)).all(
        axis=1
    )
    places, kinds = sites.yx[mine], kind[mine]
    if not len(places) or not len(yx):
        return unknown
    on_site, found = _nearest_site(yx, places)
    own = kinds[found]
    odds = np.full(len(yx), np.inf)
    if answers is not None:
        features[:, 4] = answers.llr[mine][found]
        odds = answers.odds[mine][found]
    at_site, at_peak = _pixels(places, heat.shape), _pixels(yx, heat.shape)
    support = _support(unprompted)
    supported = support[at_peak[:, 0], at_peak[:, 1]].astype(float)
    usual = reference_heights(maximum_filter(heat, 5)[at_site[:, 0], at_site[:, 1]].astype(float), kinds)
    reference_unprompted = reference_heights(support[at_site[:, 0], at_site[:, 1]].astype(float), kinds)
    features[:, 1] = deviations(height, own, usual)
    features[:, 2] = log_odds(supported)
    features[:, 3] = deviations(supported, own, reference_unprompted)
    return PeakTable(yx, height, features, on_site, odds)


def _support(unprompted: Floats) -> Floats:
    """Return the strongest claim of the image alone within 0.3 Å of each pixel."""
    reach = 2 * round(0.3 / CANONICAL_PIXEL_SIZE) + 1
    return np.asarray(maximum_filter(unprompted.max(axis=0), reach))


def _merged(
    top: tuple[Floats, Floats], low: tuple[Floats, Floats], sites: LatticeSites | None
) -> tuple[tuple[Floats, Floats], tuple[Floats, Floats]]:
    """Of a hidden column and one of the entrance layer that claim one place, keep the surer."""
    if not len(top[0]) or not len(low[0]):
        return top, low
    distance, found = cKDTree(top[0]).query(low[0])
    nearest = np.asarray(found)
    same = distance * CANONICAL_PIXEL_SIZE < COVERED_DISTANCE
    if sites is not None:
        same &= ~_on_two_sites(top[0][nearest], low[0], sites)
    surer = same & (low[1] > top[1][nearest])
    drop = np.unique(nearest[surer])
    keep = ~same | surer
    return (np.delete(top[0], drop, axis=0), np.delete(top[1], drop)), (low[0][keep], low[1][keep])


def _on_two_sites(top: Floats, low: Floats, sites: LatticeSites) -> NDArray[np.bool_]:
    """Tell which pairs of an entrance and a hidden peak are on registered sites that are two columns.

    Peaks half hidden by each other move together, by up to half of the distance of their columns.
    """
    if not sites.is_hidden.any() or sites.is_hidden.all():
        return np.zeros(len(top), bool)
    upper, lower = sites.yx[~sites.is_hidden], sites.yx[sites.is_hidden]
    (top_on, top_site), (low_on, low_site) = _nearest_site(top, upper), _nearest_site(low, lower)
    distance = np.linalg.norm(upper[top_site] - lower[low_site], axis=1)
    return np.asarray(top_on & low_on & (distance * CANONICAL_PIXEL_SIZE >= MERGE_DISTANCE))


def _nearest_site(yx: Floats, places: Floats) -> tuple[NDArray[np.bool_], Integers]:
    """Return which of the (N, 2) peaks lie on one of the (K, 2) sites, K > 0, and the nearest of each."""
    distance, found = cKDTree(places).query(yx)
    return np.asarray(distance) * CANONICAL_PIXEL_SIZE < SITE_DISTANCE, np.asarray(found)


def _pixels(yx: Floats, shape: tuple[int, ...]) -> Integers:
    return np.clip(np.round(yx).astype(np.int64), 0, np.array(shape) - 1)
