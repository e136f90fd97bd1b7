"""How good predicted atoms are: the numbers that follow from strict one-to-one matching."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

from napari_stemprior.atoms.hidden_sites import APART, VACANCY_RADIUS, clearance, filled_vacancies
from napari_stemprior.atoms.matching import BORDER, Matching, as_points, inside, match
from napari_stemprior.atoms.table import AtomTable

__all__ = ["APART", "VACANCY_RADIUS", "Score", "calibration_error", "loose", "pooled", "score"]


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
    in_p, in_t = inside(found.yx, size, shape, border), inside(true.yx, size, shape, border)
    chamfer_px = _mean_nearest(found.yx[in_p], true.yx) + _mean_nearest(true.yx[in_t], found.yx)

    layer = true.rows["layer"].to_numpy()
    hidden = layer > 0
    apart = hidden & (clearance(true.yx, layer) * size >= APART)

    empty = as_points(np.empty((0, 2)) if vacancies is None else vacancies)
    below = np.broadcast_to(np.asarray(vacancy_layers) > 0, len(empty))
    judged = inside(empty, size, shape, border)
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
    found, true = as_points(predicted), as_points(truth)
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


def _ratio(part: float, whole: float, empty: float = float("nan")) -> float:
    return float(part / whole) if whole else empty


def _mean(values: list[float], weights: list[int] | None = None) -> float:
    """Average what is not nan."""
    v = np.asarray(values, float)
    w = np.ones_like(v) if weights is None else np.asarray(weights, float)
    known = np.isfinite(v) & (w > 0)
    return float(np.average(v[known], weights=w[known])) if known.any() else float("nan")


def _recall(pairs: Matching, chosen: NDArray[np.bool_]) -> float:
    """Return the recall of the true atoms chosen."""
    hits, misses = int(chosen[pairs.truth].sum()), int(chosen[pairs.missed].sum())
    return _ratio(hits, hits + misses)


def _mean_nearest(from_: NDArray[np.float64], to: NDArray[np.float64]) -> float:
    if not len(from_):
        return 0.0 if not len(to) else float("inf")
    return float(np.mean(cKDTree(to).query(from_)[0])) if len(to) else float("inf")


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
