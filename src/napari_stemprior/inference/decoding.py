"""From the network's maps to atoms."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from napari_stemprior.inference.calibration import Calibration, deviations, log_odds, reference_heights
from napari_stemprior.inference.map_readings import STAGE, MapPeaks, MapReadings, read_maps, sites_inside
from napari_stemprior.inference.site_answers import SITE_DISTANCE, SiteAnswers, site_answers
from napari_stemprior.inference.suppression import non_maximum_suppression
from napari_stemprior.inference.tiles import Answer
from napari_stemprior.network.config import CANONICAL_PIXEL_SIZE
from napari_stemprior.progress import Progress, drain
from napari_stemprior.structure.lattice_sites import LatticeSites
from napari_stemprior.structure.prior import MERGE_DISTANCE

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

#: On a lattice, and in an image without order, a column is one from this probability on; below it, it is
#: not reported at all.
THRESHOLD = 0.5
#: The same where there is order but no lattice is known. F1 is largest where what is surer than half of the
#: F1 counts (Lipton, Elkan and Naryanaswamy 2014, "Optimal thresholding of classifiers to maximize F1
#: measure"), and F1 is some 0.8 there. In 165 micrographs of the validation set it is 0.806 with this and
#: 0.799 with 0.5.
THRESHOLD_WITHOUT = 0.42
#: A column that the network is surer of than this is not taken for a vacancy, whatever its height. Of 0.9,
#: 0.95, 0.97 and 1 it leaves the fewest columns wrong or missed in 330 micrographs of the validation set.
_SURE = 0.97
#: Two columns of one layer are never closer than this (Å), whatever the prior says.
MIN_DISTANCE = 0.55
#: A hidden peak this near (Å) to one of the entrance layer is the same column: half of `MERGE_DISTANCE`, at
#: which priors and scenes join columns, for peaks are not exact. Registered sites know better.
COVERED_DISTANCE = 0.22
#: A column of a kind that the image shows has this evidence at least; 0 is kept for those of no trace.
_LEAST_EVIDENCE = 1e-6


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
        Log-odds, by the counts unprompted, that the nearest site is occupied; infinite without sites.
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
    threshold: float | None = None,
    image: NDArray[np.floating] | None = None,
    valid: NDArray[np.bool_] | None = None,
    row_noise: bool = False,
    device: torch.device | str = "cpu",
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
    threshold : float, optional
        Probability from which on a column is reported, by default `THRESHOLD` on a lattice and
        `THRESHOLD_WITHOUT` without; the micrograph may still call its site vacant.
    image : (H, W) array, optional
        The canonical image, to compare registered sites with their equals.
    valid : (H, W) array of bool, optional
        Its pixels that show the specimen; all without it.
    row_noise : bool
        The recording had row offsets, see `occupancy`.
    device : torch.device or str
        Where the sites are asked.
    """
    yield Progress(0, 1, STAGE)
    answers = None
    if sites is not None and kind is None:
        kind = np.zeros(len(sites), np.int64)
    if image is not None and sites is not None and kind is not None:
        answers = yield from site_answers(image, sites, kind, probability, valid, row_noise, device)
    yield Progress(0, 1, STAGE)
    readings = yield from read_maps(answer, probability, unprompted, sites, read_layers(sites))
    return (yield from decide(readings, sites, kind, closest, calibration, threshold, answers))


def read_layers(sites: LatticeSites | None) -> tuple[bool, ...]:
    """Return which maps are looked at: a prior of one layer hides nothing."""
    return (False, True) if sites is None or bool(sites.is_hidden.any()) else (False,)


def decide(
    readings: MapReadings,
    sites: LatticeSites | None = None,
    kind: Integers | None = None,
    closest: float = 0.0,
    calibration: Calibration | None = None,
    threshold: float | None = None,
    answers: SiteAnswers | None = None,
) -> Generator[Progress, None, Peaks]:
    """Decide by what was read off the maps which peaks are columns; see `decode`.

    Parameters
    ----------
    readings : MapReadings
    sites, kind, closest, calibration, threshold
        As in `decode`.
    answers : SiteAnswers, optional
        Of the sites.
    """
    calibration = calibration or Calibration()
    if threshold is None:
        threshold = THRESHOLD_WITHOUT if sites is None else THRESHOLD
    # the prior knows how close columns come; half of that leaves room for defects
    spacing = max(MIN_DISTANCE, 0.5 * closest)
    parts = []
    for hidden in (False, True):
        yield Progress(0, 1, STAGE)
        peaks = readings.peaks[int(hidden)]
        table = peak_table(readings, hidden, sites, kind, answers)
        if sites is None:
            confidence = calibration.without(table.height)
        else:
            confidence = calibration.with_prior(table.features, table.on_site)
        # the network's map is blurred by noise; of a site it is not sure of, the counts themselves decide
        vacant = table.on_site & (table.odds < 0) & (confidence < _SURE)
        sure = np.flatnonzero((confidence >= threshold) & ~vacant)
        keep = non_maximum_suppression(table.yx[sure], confidence[sure], spacing / CANONICAL_PIXEL_SIZE)
        parts.append((peaks.where(sure[keep]), confidence[sure[keep]]))
    yield Progress(0, 1, STAGE)
    (top, top_confidence), (low, low_confidence) = _merged(parts[0], parts[1], sites)
    yield Progress(0, 1, STAGE)
    both = MapPeaks.joined([top, low])
    evidence = np.maximum(calibration.without(both.support), _LEAST_EVIDENCE)
    if sites is not None and answers is not None:
        # the network has seen where such columns usually stand; here the image itself shows none
        for below, mine in ((False, slice(0, len(top))), (True, slice(len(top), None))):
            unseen = sites.yx[answers.unseen & (sites.is_hidden == below)]
            if len(unseen):
                evidence[mine][_nearest_site(both.yx[mine], unseen)[0]] = 0.0
    yield Progress(0, 1, STAGE)
    return Peaks(
        both.yx,
        np.concatenate([top_confidence, low_confidence]),
        evidence,
        np.concatenate([np.zeros(len(top), bool), np.ones(len(low), bool)]),
        both.site,
        np.sqrt(both.variance).astype(float),
    )


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
    readings = drain(read_maps(answer, probability, unprompted, sites, (hidden,)))
    return peak_table(readings, hidden, sites, kind, answers)


def peak_table(
    readings: MapReadings,
    hidden: bool,
    sites: LatticeSites | None = None,
    kind: Integers | None = None,
    answers: SiteAnswers | None = None,
) -> PeakTable:
    """Return what is known of each peak of one map; see `found_peaks`."""
    peaks = readings.peaks[int(hidden)]
    features = np.zeros((len(peaks), 5))
    features[:, 0] = log_odds(peaks.height)
    nowhere, sure = np.zeros(len(peaks), bool), np.full(len(peaks), np.inf)
    unknown = PeakTable(peaks.yx, peaks.height, features, nowhere, sure)
    if sites is None or kind is None:
        return unknown
    mine = (sites.is_hidden == hidden) & sites_inside(sites, readings.shape)
    places, kinds = sites.yx[mine], kind[mine]
    if not len(places) or not len(peaks):
        return unknown
    on_site, found = _nearest_site(peaks.yx, places)
    own = kinds[found]
    odds = sure
    if answers is not None:
        features[:, 4] = answers.llr[mine][found]
        odds = answers.odds[mine][found]
    usual = reference_heights(readings.at_site[mine], kinds)
    reference_unprompted = reference_heights(readings.support[mine], kinds)
    features[:, 1] = deviations(peaks.height, own, usual)
    features[:, 2] = log_odds(peaks.support)
    features[:, 3] = deviations(peaks.support, own, reference_unprompted)
    return PeakTable(peaks.yx, peaks.height, features, on_site, odds)


def _merged(
    top: tuple[MapPeaks, Floats], low: tuple[MapPeaks, Floats], sites: LatticeSites | None
) -> tuple[tuple[MapPeaks, Floats], tuple[MapPeaks, Floats]]:
    """Of a hidden column and one of the entrance layer that claim one place, keep the surer."""
    if not len(top[0]) or not len(low[0]):
        return top, low
    distance, found = cKDTree(top[0].yx).query(low[0].yx)
    nearest = np.asarray(found)
    same = distance * CANONICAL_PIXEL_SIZE < COVERED_DISTANCE
    if sites is not None:
        same &= ~_on_two_sites(top[0].yx[nearest], low[0].yx, sites)
    surer = same & (low[1] > top[1][nearest])
    stay = np.ones(len(top[0]), bool)
    stay[nearest[surer]] = False
    keep = ~same | surer
    return (top[0].where(stay), top[1][stay]), (low[0].where(keep), low[1][keep])


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
