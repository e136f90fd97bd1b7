"""How good predicted atoms are: strict one-to-one matching and the numbers that follow from it.

A prediction counts only if it lies within the gate of a true atom that no other prediction takes.
Near the border an atom may be half in the picture, so pairs of which either end lies within
`BORDER` of the edge are neither rewarded nor penalised.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import min_weight_full_bipartite_matching
from scipy.spatial import cKDTree

from napari_stemprior.atoms.hidden_sites import APART, VACANCY_RADIUS, clearance, filled_vacancies
from napari_stemprior.atoms.table import AtomTable

__all__ = [
    "APART",
    "BORDER",
    "GATE_FRACTION",
    "GATE_MAX",
    "VACANCY_RADIUS",
    "Matching",
    "Score",
    "calibration_error",
    "gate_for",
    "loose",
    "match",
    "median_spacing",
    "pooled",
    "score",
]

#: Part of the median projected neighbour distance within which a prediction is a hit.
GATE_FRACTION = 0.3
#: Largest gate in Å.
GATE_MAX = 0.75
#: Width of the border in Å that is left out.
BORDER = 1.0

# Cost of leaving a true atom without partner, in gates. It must exceed every detour of a chain of
# re-matched pairs, so that the number of pairs comes first and their distance second.
_UNMATCHED = 1e6


@dataclass(frozen=True)
class Matching:
    """Who belongs to whom.

    Parameters
    ----------
    predicted, truth : (K,) arrays of int
        The pairs that count: indices into the two sets of positions.
    distance : (K,) array
        Their distances in Å.
    spurious : array of int
        Predictions without partner (false positives).
    missed : array of int
        True atoms without partner (false negatives).
    gate : float
        Largest distance of a pair in Å.
    """

    predicted: NDArray[np.int64]
    truth: NDArray[np.int64]
    distance: NDArray[np.float64]
    spurious: NDArray[np.int64]
    missed: NDArray[np.int64]
    gate: float

    @property
    def counted(self) -> NDArray[np.int64]:
        """Indices of the predictions that count, right or wrong."""
        return np.concatenate([self.predicted, self.spurious])


@dataclass(frozen=True)
class Score:
    """Numbers of one micrograph, or of several pooled; nan where there is nothing to count.

    Parameters
    ----------
    gate : float
        Å.
    tp, fp, fn : int
        True and false positives, false negatives.
    rmse : float
        Root mean square distance of the matched pairs in Å.
    chamfer_px, chamfer_angstrom : float
        mean(prediction → nearest truth) + mean(truth → nearest prediction); inf if one side is empty.
    element_f1 : dict
        F1 of each element; a pair of two elements is a miss of the one and an error of the other.
    hidden_layer_recall : float
        Recall of the true atoms in layers below the entrance layer.
    hidden_apart : int
        Those of them that lie `APART` or more from every true atom of a higher layer.
    hidden_apart_recall : float
        Recall of these.
    vacancies : int
        True vacancies inside the border.
    vacancies_filled : float
        Fraction of them that `filled_vacancies` says are filled.
    hidden_vacancies : int
        Those of them that are in layers below the entrance layer.
    hidden_vacancies_filled : float
        Fraction of these.
    ece : float
        Expected calibration error of the confidence, ten equal bins.
    loose_f1, loose_jaccard : float
        The published looser form, see `loose`.
    """

    gate: float
    tp: int
    fp: int
    fn: int
    rmse: float = np.nan
    chamfer_px: float = np.nan
    chamfer_angstrom: float = np.nan
    element_f1: dict[str, float] = field(default_factory=dict)
    hidden_layer_recall: float = np.nan
    hidden_apart: int = 0
    hidden_apart_recall: float = np.nan
    vacancies: int = 0
    vacancies_filled: float = np.nan
    hidden_vacancies: int = 0
    hidden_vacancies_filled: float = np.nan
    ece: float = np.nan
    loose_f1: float = np.nan
    loose_jaccard: float = np.nan

    @property
    def precision(self) -> float:
        """TP / (TP + FP); nan without predictions."""
        return _ratio(self.tp, self.tp + self.fp)

    @property
    def recall(self) -> float:
        """TP / (TP + FN); nan without true atoms."""
        return _ratio(self.tp, self.tp + self.fn)

    @property
    def f1(self) -> float:
        """2 TP / (2 TP + FP + FN); 1 where there is nothing and nothing was found."""
        return _ratio(2 * self.tp, 2 * self.tp + self.fp + self.fn, empty=1.0)

    @property
    def jaccard(self) -> float:
        """TP / (TP + FP + FN); 1 where there is nothing and nothing was found."""
        return _ratio(self.tp, self.tp + self.fp + self.fn, empty=1.0)

    def as_dict(self) -> dict[str, Any]:
        """Return every number under its name, the derived ones included."""
        derived = {name: getattr(self, name) for name in ("precision", "recall", "f1", "jaccard")}
        return derived | asdict(self)


def gate_for(truth: ArrayLike, pixel_size: float) -> float:
    """Return the gate τ = min(0.3 × median projected neighbour distance, 0.75 Å) of true atoms.

    Parameters
    ----------
    truth : (M, 2) array-like
        Pixels (y, x).
    pixel_size : float
        Å/px.
    """
    spacing = median_spacing(truth)
    return GATE_MAX if spacing is None else min(GATE_FRACTION * spacing * pixel_size, GATE_MAX)


def median_spacing(points: ArrayLike) -> float | None:
    """Return the median distance of (N, 2) points to their nearest neighbours; None for fewer than two."""
    places = _points(points)
    if len(places) < 2:
        return None
    return float(np.median(np.asarray(cKDTree(places).query(places, k=[2])[0])))


def match(
    predicted: ArrayLike,
    truth: ArrayLike,
    pixel_size: float,
    shape: tuple[int, int] | None = None,
    *,
    gate: float | None = None,
    border: float = BORDER,
) -> Matching:
    """Pair predictions with true atoms one to one.

    Among all pairings within the gate it takes one with the most pairs, and of those the one
    with the least sum of distances (Hungarian method on the sparse graph of candidates).

    Parameters
    ----------
    predicted : (N, 2) array-like
        Pixels (y, x), pixel centres on integers.
    truth : (M, 2) array-like
        The same of the true atoms.
    pixel_size : float
        Å/px.
    shape : (int, int), optional
        Rows and columns of the image; without it there is no border.
    gate : float, optional
        Å; `gate_for` the truth if not given.
    border : float
        Å.

    Returns
    -------
    Matching
    """
    found, true = _points(predicted), _points(truth)
    tau = gate_for(true, pixel_size) if gate is None else float(gate)
    p, t, distance = _pair(found * pixel_size, true * pixel_size, tau)
    in_p, in_t = _inside(found, pixel_size, shape, border), _inside(true, pixel_size, shape, border)
    alone_p, alone_t = in_p.copy(), in_t.copy()
    alone_p[p] = False
    alone_t[t] = False
    both = in_p[p] & in_t[t]
    return Matching(p[both], t[both], distance[both], np.flatnonzero(alone_p), np.flatnonzero(alone_t), tau)


def score(
    predicted: AtomTable,
    truth: AtomTable,
    shape: tuple[int, int] | None = None,
    *,
    vacancies: ArrayLike | None = None,
    vacancy_layers: ArrayLike = 0,
    gate: float | None = None,
    border: float = BORDER,
) -> Score:
    """Compare predicted atoms with true ones; rejected rows and vacancies of either are left out.

    Parameters
    ----------
    predicted, truth : AtomTable
        Of the same micrograph; the pixel size of the truth counts.
    shape : (int, int), optional
        Rows and columns of the image; without it there is no border.
    vacancies : (V, 2) array-like, optional
        Pixels (y, x) of lattice sites that are truly empty.
    vacancy_layers : int or (V,) array-like of int
        The layer of each, or of all.
    gate, border : float
        As in `match`.

    Returns
    -------
    Score
    """
    found, true = predicted.atoms, truth.atoms
    size = truth.pixel_size
    pairs = match(found.yx, true.yx, size, shape, gate=gate, border=border)
    in_p, in_t = _inside(found.yx, size, shape, border), _inside(true.yx, size, shape, border)
    chamfer_px = _mean_nearest(found.yx[in_p], true.yx) + _mean_nearest(true.yx[in_t], found.yx)

    layer = true.rows["layer"].to_numpy()
    hidden = layer > 0
    apart = hidden & (clearance(true.yx, layer) * size >= APART)

    empty = _points(np.empty((0, 2)) if vacancies is None else vacancies)
    below = np.broadcast_to(np.asarray(vacancy_layers) > 0, len(empty))
    judged = _inside(empty, size, shape, border)
    empty, below = empty[judged], below[judged]
    full = filled_vacancies(found, true, empty, below)

    confidence = found.rows["confidence"].to_numpy(float)[pairs.counted]
    right = np.arange(len(confidence)) < len(pairs.predicted)
    loose_f1, loose_jaccard = loose(found.yx[in_p], true.yx[in_t])
    return Score(
        gate=pairs.gate,
        tp=len(pairs.truth),
        fp=len(pairs.spurious),
        fn=len(pairs.missed),
        rmse=float(np.sqrt(np.mean(pairs.distance**2))) if len(pairs.distance) else np.nan,
        chamfer_px=chamfer_px,
        chamfer_angstrom=chamfer_px * size,
        element_f1=_element_f1(pairs, found.rows["element"].to_numpy(), true.rows["element"].to_numpy()),
        hidden_layer_recall=_recall(pairs, hidden),
        hidden_apart=int(apart[pairs.truth].sum() + apart[pairs.missed].sum()),
        hidden_apart_recall=_recall(pairs, apart),
        vacancies=len(empty),
        vacancies_filled=_ratio(int(full.sum()), len(empty)),
        hidden_vacancies=int(below.sum()),
        hidden_vacancies_filled=_ratio(int(full[below].sum()), int(below.sum())),
        ece=calibration_error(confidence, right),
        loose_f1=loose_f1,
        loose_jaccard=loose_jaccard,
    )


def loose(predicted: ArrayLike, truth: ArrayLike) -> tuple[float, float]:
    """Score in the published looser form: mutual nearest neighbours at any distance.

    Print it only beside the strict one and by this name: scattered points score high with it.

    Parameters
    ----------
    predicted, truth : (N, 2), (M, 2) array-like

    Returns
    -------
    f1 : float
        2 pairs / (N + M).
    jaccard : float
        pairs / (2 N − pairs), as published.
    """
    found, true = _points(predicted), _points(truth)
    if not len(found) or not len(true):
        same = float(len(found) == len(true))
        return same, same
    to_true = np.asarray(cKDTree(true).query(found)[1])
    to_found = np.asarray(cKDTree(found).query(true)[1])
    pairs = int((to_found[to_true] == np.arange(len(found))).sum())
    return 2 * pairs / (len(found) + len(true)), pairs / (2 * len(found) - pairs)


def calibration_error(confidence: ArrayLike, right: ArrayLike, bins: int = 10) -> float:
    """Return the expected calibration error.

    Parameters
    ----------
    confidence : (N,) array-like
        In [0, 1].
    right : (N,) array-like of bool
        Whether each prediction is a true atom.
    bins : int
        Number of equal bins of confidence.

    Returns
    -------
    float
        Mean over the predictions of |accuracy − mean confidence| of their bin; nan without predictions.
    """
    confidence, right = np.asarray(confidence, float), np.asarray(right, float)
    if not confidence.size:
        return float("nan")
    bin_of = np.clip((confidence * bins).astype(int), 0, bins - 1)
    gap = np.bincount(bin_of, right - confidence, minlength=bins)
    return float(np.abs(gap).sum() / confidence.size)


def pooled(scores: list[Score]) -> Score:
    """Add up the counts of several micrographs and average the rest over their atoms.

    Parameters
    ----------
    scores : list of Score
        Not empty. The element scores are means over the micrographs that show the element; the gate,
        the chamfer distance and the looser form are plain means.
    """
    tp = [s.tp for s in scores]
    elements = sorted({e for s in scores for e in s.element_f1})
    return Score(
        gate=float(np.mean([s.gate for s in scores])),
        tp=sum(tp),
        fp=sum(s.fp for s in scores),
        fn=sum(s.fn for s in scores),
        rmse=float(np.sqrt(_mean([s.rmse**2 for s in scores], tp))),
        chamfer_px=float(np.mean([s.chamfer_px for s in scores])),
        chamfer_angstrom=float(np.mean([s.chamfer_angstrom for s in scores])),
        element_f1={e: _mean([s.element_f1.get(e, np.nan) for s in scores]) for e in elements},
        hidden_layer_recall=_mean([s.hidden_layer_recall for s in scores]),
        hidden_apart=sum(s.hidden_apart for s in scores),
        hidden_apart_recall=_mean([s.hidden_apart_recall for s in scores], [s.hidden_apart for s in scores]),
        vacancies=sum(s.vacancies for s in scores),
        vacancies_filled=_mean([s.vacancies_filled for s in scores], [s.vacancies for s in scores]),
        hidden_vacancies=sum(s.hidden_vacancies for s in scores),
        hidden_vacancies_filled=_mean(
            [s.hidden_vacancies_filled for s in scores], [s.hidden_vacancies for s in scores]
        ),
        ece=_mean([s.ece for s in scores], [s.tp + s.fp for s in scores]),
        loose_f1=float(np.mean([s.loose_f1 for s in scores])),
        loose_jaccard=float(np.mean([s.loose_jaccard for s in scores])),
    )


def _points(positions: ArrayLike) -> NDArray[np.float64]:
    return np.asarray(positions, dtype=np.float64).reshape(-1, 2)


def _ratio(part: float, whole: float, empty: float = float("nan")) -> float:
    return float(part / whole) if whole else empty


def _mean(values: list[float], weights: list[int] | None = None) -> float:
    """Average what is not nan."""
    v = np.asarray(values, float)
    w = np.ones_like(v) if weights is None else np.asarray(weights, float)
    known = np.isfinite(v) & (w > 0)
    return float(np.average(v[known], weights=w[known])) if known.any() else float("nan")


def _inside(
    yx: NDArray[np.float64], pixel_size: float, shape: tuple[int, int] | None, border: float
) -> NDArray[np.bool_]:
    if shape is None:
        return np.ones(len(yx), dtype=bool)
    margin = border / pixel_size - 0.5  # the image reaches half a pixel beyond its outermost centres
    far = np.asarray(shape, float) - 1
    return np.asarray(((yx >= margin) & (yx <= far - margin)).all(axis=1))


def _recall(pairs: Matching, chosen: NDArray[np.bool_]) -> float:
    """Return the recall of the true atoms chosen."""
    hits, misses = int(chosen[pairs.truth].sum()), int(chosen[pairs.missed].sum())
    return _ratio(hits, hits + misses)


def _mean_nearest(from_: NDArray[np.float64], to: NDArray[np.float64]) -> float:
    if not len(from_):
        return 0.0 if not len(to) else float("inf")
    return float(np.mean(cKDTree(to).query(from_)[0])) if len(to) else float("inf")


def _pair(
    found: NDArray[np.float64], true: NDArray[np.float64], gate: float
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Match within the gate; all in Å."""
    nothing = np.empty(0, dtype=np.int64)
    if not len(found) or not len(true):
        return nothing, nothing, np.empty(0)
    near = cKDTree(true).sparse_distance_matrix(cKDTree(found), gate, output_type="coo_matrix")
    t, p, d = near.row.astype(np.int64), near.col.astype(np.int64), np.asarray(near.data, float)
    # every true atom has a partner of its own that stands for "none"; costs are > 0 because the
    # sparse graph drops zeros
    rows = np.concatenate([t, np.arange(len(true))])
    columns = np.concatenate([p, len(found) + np.arange(len(true))])
    costs = np.concatenate([1 + d / gate, np.full(len(true), _UNMATCHED)])
    graph = csr_array((costs, (rows, columns)), shape=(len(true), len(found) + len(true)))
    row, column = min_weight_full_bipartite_matching(graph)
    real = column < len(found)
    t, p = np.asarray(row[real], np.int64), np.asarray(column[real], np.int64)
    return p, t, np.linalg.norm(found[p] - true[t], axis=1)


def _element_f1(pairs: Matching, found: NDArray[np.object_], true: NDArray[np.object_]) -> dict[str, float]:
    known = sorted(set(true[pairs.truth]) | set(true[pairs.missed]))
    same = found[pairs.predicted] == true[pairs.truth]
    result = {}
    for element in known:
        hit = int((same & (true[pairs.truth] == element)).sum())
        guessed = int((found[pairs.counted] == element).sum())
        there = int((true[pairs.truth] == element).sum() + (true[pairs.missed] == element).sum())
        result[str(element)] = 2 * hit / (guessed + there)
    return result
