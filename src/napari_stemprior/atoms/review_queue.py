"""What a person should look at, the most doubtful first.

Doubt about an atom comes from the network (low confidence), from the image (little evidence, brighter
or darker than others of its site), from the lattice (off its site, another element than belongs there)
and from the edge of the image. A lattice site without an atom is doubtful too: was the atom missed, or
is it a vacancy? Atoms of a kind that leaves no trace in the image are one doubt together.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_stemprior.atoms.inferred import inferred, inferred_sentence
from napari_stemprior.atoms.site_occupancy import SiteOccupancy
from napari_stemprior.atoms.table import UNKNOWN_ELEMENT
from napari_stemprior.structure.lattice_sites import LatticeSites

Floats = NDArray[np.float64]

#: Atoms of which the lattice or the image is in more doubt than this are looked at, whatever the network
#: says; atoms with the status "review" always.
LOOK = 0.5
#: Evidence below which an atom stands on the prior alone.
LOW_EVIDENCE = 0.25
#: Off its site: so many times the usual distance from a site, and so far in parts of the spacing.
_FAR, _FAR_SPACING = 4.0, 0.2
#: So many robust standard deviations from the brightness of its site is doubtful, twice as many surely.
_ODD = 5.0
#: Å from the edge of the image.
EDGE = 1.0
_EDGE_DOUBT, _EMPTY_DOUBT, _MISSED_DOUBT, _ELEMENT_DOUBT = 0.1, 0.6, 0.85, 0.8
#: One answer settles a whole group, so it comes early.
_GROUP_DOUBT = 0.9
#: Confidence of the network below which an atom is marked for review.
REVIEW_CONFIDENCE = 0.8
#: A doubt smaller than this is not worth a word.
_SAID = 0.05
#: A lattice site is judged where the lattice is seen so well.
_SEEN = 0.5


@dataclass(frozen=True)
class Doubt:
    """Something to look at: an atom, an empty lattice site, or a group of atoms that are judged together.

    Parameters
    ----------
    atom_id : int
        -1 for an empty site or a group.
    site : int
        Index of the empty site; -1 for an atom or a group.
    score : float
        0 to 1.
    reasons : tuple of str
        For a person, the strongest first.
    group : tuple of int
        Ids of the atoms of a group.
    kind : str
        What the strongest doubt is, for all places alike, such as ``"S darker than their like"``.
    """

    atom_id: int
    site: int
    score: float
    reasons: tuple[str, ...]
    group: tuple[int, ...] = ()
    kind: str = ""


def settled(rows: pd.DataFrame) -> NDArray[np.bool_]:
    """Tell which rows a person has judged or made."""
    judged = rows["status"].isin(("accepted", "rejected", "vacancy"))
    return (judged | (rows["source"] == "manual")).to_numpy(bool)


def rank(
    rows: pd.DataFrame,
    shape: tuple[int, int],
    pixel_size: float,
    sites: LatticeSites | None = None,
    bright: Floats | None = None,
    site_bright: Floats | None = None,
) -> list[Doubt]:
    """List what is to be looked at, the most doubtful first.

    Parameters
    ----------
    rows : pandas.DataFrame
        Of an atom table.
    shape : (int, int)
        Rows and columns of the image.
    pixel_size : float
        Å/px.
    sites : LatticeSites, optional
        Without them, the lattice has no say.
    bright, site_bright : (N,), (M,) array, optional
        Brightness of the image at the rows and at the sites.
    """
    together = inferred(rows)
    open_rows = ~settled(rows) & ~together
    parts = _network_doubts(rows) + _edge_doubts(rows, shape, pixel_size)
    strong = [np.zeros(len(rows))]
    told = [] if bright is None else [_brightness_doubt(rows, bright)]
    if sites is not None and len(sites):
        told += _lattice_doubts(rows, sites, shape, pixel_size)
    told.append(_evidence_doubt(rows))
    parts += told
    strong += [part.doubt for part in told]
    score = 1 - np.prod([1 - part.doubt for part in parts], axis=0)
    wanted = open_rows & ((rows["status"] == "review").to_numpy() | (np.max(strong, axis=0) >= LOOK))
    ids = rows["atom_id"].to_numpy()
    elements = rows["element"].to_numpy()
    found = []
    for i in map(int, np.flatnonzero(wanted)):
        named = sorted((part for part in parts if part.doubt[i] >= _SAID), key=lambda part: -part.doubt[i])
        kind = f"{elements[i]} {named[0].kind(i)}" if named else f"{elements[i]} that the network doubts"
        reasons = tuple(part.says(i) for part in named)
        found.append(Doubt(int(ids[i]), -1, float(score[i]), reasons, kind=kind))
    if together.any():
        found.append(Doubt(-1, -1, _GROUP_DOUBT, (inferred_sentence(rows),), tuple(ids[together].tolist())))
    if sites is not None and len(sites):
        found += _empty_sites(rows, shape, pixel_size, sites, bright, site_bright)
    return sorted(found, key=lambda doubt: -doubt.score)


def empty(rows: pd.DataFrame, occupancy: SiteOccupancy) -> NDArray[np.bool_]:
    """(M,) which sites have no row within reach: no atom, and nothing that a person has settled."""
    return occupancy.empty(rows["atom_id"].to_numpy(), rows[["y_px", "x_px"]].to_numpy(float))


class ReviewQueue:
    """The ranked doubts, of which some are settled by and by.

    Parameters
    ----------
    doubts : sequence of Doubt
        As `rank` gives them.
    occupancy : SiteOccupancy, optional
        Of the sites that they name.
    """

    def __init__(self, doubts: Sequence[Doubt] = (), occupancy: SiteOccupancy | None = None) -> None:
        self.doubts = list(doubts)
        self.occupancy = occupancy
        self._ids = np.array([d.atom_id for d in self.doubts], np.int64)
        self._sites = np.array([d.site for d in self.doubts], np.int64)
        self._groups = [i for i, d in enumerate(self.doubts) if d.group]

    def __len__(self) -> int:
        return len(self.doubts)

    def waiting(self, rows: pd.DataFrame) -> list[int]:
        """Return the places in the queue that are not settled yet.

        An atom is settled when a person has judged or moved it or it is gone, a site when there is
        something on it, a group when none of its atoms is open any more.

        Parameters
        ----------
        rows : pandas.DataFrame
            Of an atom table, sorted by id.
        """
        ids = rows["atom_id"].to_numpy()
        at = np.searchsorted(ids, self._ids)
        there = at < len(ids)
        there[there] = ids[at[there]] == self._ids[there]
        done = np.ones(len(self.doubts), bool)
        done[there] = settled(rows.iloc[at[there]])
        for i in self._groups:
            done[i] = not np.isin(self.doubts[i].group, ids[inferred(rows)]).any()
        is_site = self._sites >= 0
        if is_site.any() and self.occupancy is not None:
            done[is_site] = ~empty(rows, self.occupancy)[self._sites[is_site]]
        return [int(i) for i in np.flatnonzero(~done)]


class Pace:
    """How fast a person judges, from the last twenty judgements; a longer pause does not count."""

    _PAUSE = 60.0

    def __init__(self) -> None:
        self._last: float | None = None
        self._took: deque[float] = deque(maxlen=20)

    def note(self, at: float) -> None:
        """Note that something was judged at this moment (s)."""
        if self._last is not None and at - self._last <= self._PAUSE:
            self._took.append(at - self._last)
        self._last = at

    def left(self, count: int) -> float | None:
        """Return how long so many more will take in s; None before three judgements tell."""
        return None if len(self._took) < 3 else float(np.median(self._took)) * count


def in_words(seconds: float) -> str:
    """Say how long something takes, for a person."""
    if seconds < 45:
        return "less than a minute"
    minutes = round(seconds / 60)
    return f"{max(minutes, 1)} min" if minutes < 90 else f"{seconds / 3600:.1f} h"


class Part(NamedTuple):
    """One ground of doubt: how strong it is for each row, what it says of one, and the name of its kind."""

    doubt: Floats
    says: Callable[[int], str]
    kind: Callable[[int], str]


def _network_doubts(rows: pd.DataFrame) -> list[Part]:
    confidence = np.nan_to_num(rows["confidence"].to_numpy(float), nan=0.0)
    return [
        Part(
            np.clip(1 - confidence, 0, 1),
            lambda i: (
                f"{'low ' if confidence[i] < REVIEW_CONFIDENCE else ''}confidence ({confidence[i]:.2f})"
            ),
            lambda i: "of low confidence",
        )
    ]


def _evidence_doubt(rows: pd.DataFrame) -> Part:
    evidence = np.nan_to_num(rows["evidence"].to_numpy(float), nan=1.0)
    return Part(
        np.where(evidence < LOW_EVIDENCE, 0.5 + 0.4 * (1 - evidence / LOW_EVIDENCE), 0.0),
        lambda i: f"little evidence in the image ({evidence[i]:.2f})",
        lambda i: "of little evidence",
    )


def _edge_doubts(rows: pd.DataFrame, shape: tuple[int, int], pixel_size: float) -> list[Part]:
    distance = _to_edge(rows[["y_px", "x_px"]].to_numpy(float), shape) * pixel_size
    return [
        Part(
            np.where(distance < EDGE, _EDGE_DOUBT, 0.0),
            lambda i: f"at the edge of the image ({max(distance[i], 0):.1f} Å)",
            lambda i: "at the edge of the image",
        )
    ]


def _to_edge(yx: Floats, shape: tuple[int, int]) -> Floats:
    """(N,) distance in px to the nearest edge; negative outside."""
    return np.asarray(np.minimum(yx + 0.5, np.asarray(shape) - 0.5 - yx).min(axis=1), float)


def _brightness_doubt(rows: pd.DataFrame, bright: Floats) -> Part:
    """Doubt of atoms that are brighter or darker than others of the same element, site and layer."""
    deviation = np.zeros(len(rows))
    for index in rows.groupby(["element", "site", "layer"], sort=False).indices.values():
        if len(index) < 12:
            continue
        values = bright[index]
        middle = np.median(values)
        spread = 1.4826 * np.median(np.abs(values - middle))
        if spread > 0:
            deviation[index] = (values - middle) / spread
    element = rows["element"].to_numpy()

    def how(i: int) -> str:
        return "darker" if deviation[i] < 0 else "brighter"

    return Part(
        _ramp(np.abs(deviation), _ODD),
        lambda i: f"{abs(deviation[i]):.1f}σ {how(i)} than other {element[i]}",
        lambda i: f"{how(i)} than their like",
    )


def _ramp(value: Floats, threshold: float) -> Floats:
    """0 below the threshold, 0.5 at it, 0.9 from twice of it on."""
    return np.where(value < threshold, 0.0, np.clip(0.5 + 0.4 * (value / threshold - 1), 0, 0.9))


def _lattice_doubts(
    rows: pd.DataFrame, sites: LatticeSites, shape: tuple[int, int], pixel_size: float
) -> list[Part]:
    yx = rows[["y_px", "x_px"]].to_numpy(float)
    index, distance = sites.nearest(yx, rows["layer"].to_numpy())
    seen = (index >= 0) & (sites.reliability[index] >= _SEEN)
    near = seen & (distance < sites.reach)
    usual = float(np.median(distance[near])) if near.any() else 0.0
    limit = max(_FAR * usual, _FAR_SPACING * sites.spacing)
    inner = _to_edge(yx, shape) >= sites.reach  # beyond the edge there are sites that nobody listed
    off = np.where(seen & inner, _ramp(distance, limit), 0.0)
    element = rows["element"].to_numpy()
    other = near & (element != sites.element[index]) & (element != UNKNOWN_ELEMENT)
    return [
        Part(
            off,
            lambda i: f"{distance[i] * pixel_size:.2f} Å off its lattice site",
            lambda i: "off their lattice sites",
        ),
        Part(
            np.asarray(_ELEMENT_DOUBT * other, float),
            lambda i: f"{element[i]} on a site of {sites.element[index[i]]}",
            lambda i: f"on sites of {sites.element[index[i]]}",
        ),
    ]


def _empty_sites(
    rows: pd.DataFrame,
    shape: tuple[int, int],
    pixel_size: float,
    sites: LatticeSites,
    bright: Floats | None,
    site_bright: Floats | None,
) -> list[Doubt]:
    from_edge = _to_edge(sites.yx, shape) * pixel_size
    wanted = empty(rows, SiteOccupancy(sites)) & (sites.reliability >= _SEEN) & (from_edge >= EDGE / 2)
    doubts = []
    level = _usual_brightness(rows, bright) if bright is not None and site_bright is not None else {}
    for i in np.flatnonzero(wanted):
        score, reason = _EMPTY_DOUBT, f"no atom on a site of {sites.element[i]}"
        kind = f"empty sites of {sites.element[i]}"
        low, high = level.get(str(sites.element[i]), (np.inf, np.inf))
        if site_bright is not None and site_bright[i] > (low + high) / 2:
            score, reason = _MISSED_DOUBT, f"bright, yet no atom on a site of {sites.element[i]}"
            kind = f"bright sites of {sites.element[i]} without an atom"
        edge = _EDGE_DOUBT if from_edge[i] < EDGE else 0.0
        reasons = (reason, "at the edge of the image") if edge else (reason,)
        doubts.append(Doubt(-1, int(i), score * float(sites.reliability[i]) * (1 - edge), reasons, kind=kind))
    return doubts


def _usual_brightness(rows: pd.DataFrame, bright: Floats) -> dict[str, tuple[float, float]]:
    """Return the darkest and the usual brightness of the atoms of each element."""
    groups = rows.groupby("element", sort=False).indices
    return {
        str(e): (float(np.quantile(bright[i], 0.02)), float(np.median(bright[i]))) for e, i in groups.items()
    }
