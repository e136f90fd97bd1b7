"""What follows from the rows of the accuracy benchmark: paired differences, intervals, doses, margins.

A row is one answer: a view, dose and noise seed, a method, and its scores (`accuracy.py` writes them). The
column `kind` tells ``network`` (the shipped one), ``classical``, ``rival`` and ``ablation`` apart.
Two methods are only ever compared on the micrographs that both have answered.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

OURS, ALONE, MISLED, LOG, STAMP = (
    "with the prior",
    "without a prior",
    "with a wrong prior",
    "LoG",
    "fit and stamp",
)
#: The right prior and a wrong one of which nobody knows where they lie.
UNPLACED, MISPLACED = "with the prior, unplaced", "with a wrong prior, unplaced"
NETWORK = (OURS, ALONE, MISLED, UNPLACED, MISPLACED)
CLASSICAL = (LOG, STAMP)

#: The network of the ablations that lacks nothing.
WHOLE = "all parts"

MICROGRAPH = ["item", "specimen", "scene", "dose", "seed"]
#: Mean F1 of a rival between which margins over it are taken, as the goals have it.
BAND = (0.5, 0.75)
#: Mean F1 whose dose is looked for.
LEVEL = 0.9
_DRAWS = 2000


@dataclass(frozen=True)
class Interval:
    """A mean and its bootstrap 95 % interval; the interval is NaN if it rests on one view."""

    mean: float
    low: float
    high: float

    @property
    def decided(self) -> bool:
        """Whether the interval excludes 0."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class Reach:
    """A dose in e/Å² that is known, or only bounded: it lies between `low` and `high`."""

    low: float
    high: float

    def over(self, other: Reach) -> Reach:
        """Return the bounds of the ratio of this dose to another."""
        return Reach(self.low / other.high, self.high / other.low if other.low else np.inf)


@dataclass(frozen=True)
class Margin:
    """How far ours is ahead of a rival on some micrographs.

    Parameters
    ----------
    chamfer : float
        Mean chamfer distance (Å) of the rival over ours.
    jaccard, f1 : float
        Mean of ours over that of the rival, less 1; strict.
    loose_jaccard, loose_f1 : float
        The same in the looser published form.
    rival_f1, rival_jaccard : float
        Mean strict scores of the rival; a perfect answer would gain 1 / them − 1.
    """

    chamfer: float
    jaccard: float
    f1: float
    loose_jaccard: float
    loose_f1: float
    rival_f1: float
    rival_jaccard: float


#: Published margins: chamfer distance of the rival over theirs, relative gains of Jaccard and F1.
PUBLISHED = {"AtomAI": (2.75, 0.497, 0.427), "multi-scale": (2.67, 0.28, 0.239)}


def published(rival: str) -> tuple[float, float, float] | None:
    """Return the published margins over a rival whose name holds that of a published one."""
    return next((margins for name, margins in PUBLISHED.items() if name.lower() in rival.lower()), None)


def methods_of(results: pd.DataFrame, *kinds: str) -> list[str]:
    """List the methods of some kinds: ours, the classical ones, then the others as they come."""
    found = list(dict.fromkeys(results.loc[results["kind"].isin(kinds), "method"]))
    order = {name: place for place, name in enumerate(NETWORK + CLASSICAL)}
    return sorted(found, key=lambda name: order.get(name, len(order)))


def rivals_of(results: pd.DataFrame) -> list[str]:
    """List the rivals that have answered a micrograph which ours has answered too."""
    rivals = methods_of(results, "classical", "rival")
    return [rival for rival in rivals if len(paired(results, OURS, rival))]


def bootstrap(values: ArrayLike, views: ArrayLike) -> Interval:
    """Return the mean over micrographs, and its interval over the views.

    Two noises or doses of one view are not independent, so whole views are drawn.

    Parameters
    ----------
    values : (N,) array-like
        One number a micrograph; NaN is left out.
    views : (N,) array-like
        The view of each.
    """
    frame = pd.DataFrame({"value": np.asarray(values, float), "view": np.asarray(views)}).dropna()
    if frame.empty:
        return Interval(np.nan, np.nan, np.nan)
    by_view = frame.groupby("view")["value"].agg(["sum", "count"])
    mean = float(frame["value"].mean())
    if len(by_view) < 2:
        return Interval(mean, np.nan, np.nan)
    drawn = np.random.default_rng(0).integers(0, len(by_view), (_DRAWS, len(by_view)))
    means = by_view["sum"].to_numpy()[drawn].sum(1) / by_view["count"].to_numpy()[drawn].sum(1)
    low, high = np.percentile(means, [2.5, 97.5])
    return Interval(mean, float(low), float(high))


def paired(results: pd.DataFrame, method: str, other: str, value: str = "f1") -> pd.DataFrame:
    """Set two methods side by side.

    Returns
    -------
    DataFrame
        One row a micrograph that both have answered: `MICROGRAPH`, ``own``, ``other`` and
        ``difference`` = own − other.
    """
    own, its = (
        results.loc[results["method"] == name, [*MICROGRAPH, value]].rename(columns={value: column})
        for name, column in ((method, "own"), (other, "other"))
    )
    both = own.merge(its, on=MICROGRAPH, validate="one_to_one")
    return both.assign(difference=both["own"] - both["other"])


def dose_reaching(results: pd.DataFrame, method: str, level: float = LEVEL) -> Reach:
    """Return the dose at which the mean F1 of a method first reaches a level.

    Between two doses the mean is taken to be linear in the logarithm of the dose. Reached at the lowest
    dose: anywhere below it. Never reached: anywhere above the highest.
    """
    mean = results[results["method"] == method].groupby("dose")["f1"].mean().sort_index()
    doses, values = mean.index.to_numpy(float), mean.to_numpy(float)
    above = np.flatnonzero(values >= level)
    if not len(above):
        return Reach(float(doses[-1]), np.inf)
    at = int(above[0])
    if at == 0:
        return Reach(0.0, float(doses[0]))
    dose = float(np.exp(np.interp(level, values[at - 1 : at + 1], np.log(doses[at - 1 : at + 1]))))
    return Reach(dose, dose)


def doses_in_band(results: pd.DataFrame, rival: str) -> tuple[list[float], bool]:
    """Return the doses at which a rival's mean F1 lies in the band, else the nearest and False."""
    mean = paired(results, rival, OURS).groupby("dose")["own"].mean()
    outside = np.maximum(BAND[0] - mean.to_numpy(), mean.to_numpy() - BAND[1])
    doses = mean.index.to_numpy(float)
    inside = doses[outside <= 0].tolist()
    return (inside, True) if inside else ([float(doses[outside.argmin()])], False)


def margin(results: pd.DataFrame, rival: str, doses: list[float]) -> Margin:
    """Compare ours with a rival at some doses."""
    results = results[results["dose"].isin(doses)]

    def gain(value: str) -> float:
        both = paired(results, OURS, rival, value)
        return float(both["own"].mean() / both["other"].mean() - 1) if both["other"].mean() else np.inf

    chamfer = paired(results, OURS, rival, "chamfer_angstrom")
    return Margin(
        float(chamfer["other"].mean() / chamfer["own"].mean()),
        gain("jaccard"),
        gain("f1"),
        gain("loose_jaccard"),
        gain("loose_f1"),
        float(paired(results, rival, OURS)["own"].mean()),
        float(paired(results, rival, OURS, "jaccard")["own"].mean()),
    )


def cells(results: pd.DataFrame) -> pd.DataFrame:
    """Compare ours with every rival in every dose × scene cell.

    Returns
    -------
    DataFrame
        scene, dose, rival, ours, theirs, difference (ours − theirs), low, high.
    """
    rows = []
    for rival in rivals_of(results):
        for (scene, dose), part in paired(results, OURS, rival).groupby(["scene", "dose"], sort=False):
            interval = bootstrap(part["difference"], part["item"])
            own, other = part["own"].mean(), part["other"].mean()
            rows.append((scene, dose, rival, own, other, interval.mean, interval.low, interval.high))
    names = ["scene", "dose", "rival", "ours", "theirs", "difference", "low", "high"]
    return pd.DataFrame(rows, columns=names)


def lost(compared: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of `cells` in which the rival is ahead, the worst first."""
    return compared[compared["difference"] < -1e-9].sort_values("difference")
