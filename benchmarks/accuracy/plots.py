"""The plots of the accuracy benchmark: F1 against dose, and vacancies filled against dose."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from benchmarks.accuracy.goals import filled
from benchmarks.accuracy.statistics import (
    ALONE,
    LEVEL,
    LOG,
    MISLED,
    MISPLACED,
    OURS,
    STAMP,
    UNPLACED,
    methods_of,
)

#: Okabe and Ito's colours, which colour-blind readers tell apart; each also has a mark of its own.
STYLES = {
    OURS: ("#0072B2", "o", "-"),
    ALONE: ("#56B4E9", "s", "-"),
    MISLED: ("#000000", "x", ":"),
    UNPLACED: ("#56B4E9", "v", "--"),
    MISPLACED: ("#000000", "+", "--"),
    LOG: ("#009E73", "^", "-"),
    STAMP: ("#E69F00", "D", "-"),
}
_RIVALS = (("#D55E00", "v", "-"), ("#CC79A7", "P", "-"), ("#7F7F7F", "*", "-"))
_LIMIT = "likelihood-ratio limit"
_FONT = 10
#: Height of a label in points, with some air.
_LINE = 1.15 * _FONT
#: From the left end of a name to the end of its line.
_LEADER = {"arrowstyle": "-", "linewidth": 0.6, "shrinkA": 1, "shrinkB": 4, "relpos": (0, 0.5)}


def draw(results: pd.DataFrame, folder: Path) -> None:
    """Draw what there is into ``accuracy_f1.png`` and ``accuracy_vacancies.png``."""
    folder.mkdir(parents=True, exist_ok=True)
    main = results[results["kind"] != "ablation"]
    if main["dose"].nunique() < 2:
        return
    with plt.rc_context({"font.size": _FONT, "axes.spines.top": False, "axes.spines.right": False}):
        _f1(main, folder / "accuracy_f1.png")
        known = main[(main["vacancies"] > 0) & main["vacancies_filled"].notna()]
        if len(known):
            _vacancies(known, folder / "accuracy_vacancies.png")
    plt.close("all")


def _f1(results: pd.DataFrame, path: Path) -> None:
    scenes = list(dict.fromkeys(results["scene"]))
    rows = 1 + -(-len(scenes) // 2)
    figure = plt.figure(figsize=(10, 3.1 * rows), layout="constrained")
    grid = figure.add_gridspec(rows, 2)
    panels = [(figure.add_subplot(grid[0, :]), "all scenes", results)]
    panels += [
        (figure.add_subplot(grid[1 + n // 2, n % 2]), scene, results[results["scene"] == scene])
        for n, scene in enumerate(scenes)
    ]
    lowest = results.groupby(["scene", "method", "dose"])["f1"].mean().min()
    for axes, title, part in panels:
        axes.set_ylim(max(0.0, np.floor(10 * lowest) / 10), 1.02)
        axes.axhline(LEVEL, color="0.6", linestyle="--", linewidth=1, zorder=0)
        axes.set_ylabel("mean strict F1")
        _lines(axes, title, {m: _mean(part, m) for m in methods_of(part, "network", "classical", "rival")})
    figure.savefig(path, dpi=100)


def _mean(part: pd.DataFrame, method: str) -> pd.Series[float]:
    return part[part["method"] == method].groupby("dose")["f1"].mean()


def _vacancies(known: pd.DataFrame, path: Path) -> None:
    specimens = list(dict.fromkeys(known["specimen"]))
    # only what looks where the lattice has a site can fill it; the others are in the table
    methods = [m for m in (OURS, ALONE, STAMP) if m in set(known["method"])]
    rows = -(-len(specimens) // 2)
    figure, panels = plt.subplots(rows, 2, figsize=(10, 3.3 * rows), layout="constrained", squeeze=False)
    for axes in panels.flat[len(specimens) :]:
        axes.remove()
    for axes, specimen in zip(panels.flat, specimens, strict=False):
        part = known[known["specimen"] == specimen]
        shares = {m: filled(part[part["method"] == m], ["dose"]) for m in methods}
        lines = {m: 100 * share["filled"].sort_index() for m, share in shares.items() if len(share)}
        limit = 100 * filled(part.drop_duplicates(["item", "dose"]), ["dose"])["limit"].sort_index().dropna()
        if len(limit):
            axes.fill_between(
                limit.index, limit, np.minimum(limit + 10, 100), color="0.9", linewidth=0, zorder=0
            )
            lines[_LIMIT] = limit
        axes.set_ylim(-3, 104)
        axes.set_ylabel("vacancies filled, %")
        _lines(axes, specimen.removesuffix("_vacancies"), lines)
    figure.savefig(path, dpi=100)


def _lines(axes: Axes, title: str, lines: dict[str, pd.Series[float]]) -> None:
    """Draw a line a method with its name at its right end."""
    rivals = [name for name in lines if name not in STYLES and name != _LIMIT]
    styles = STYLES | {name: _RIVALS[n % len(_RIVALS)] for n, name in enumerate(rivals)}
    styles[_LIMIT] = ("0.4", "", "--")
    axes.set_title(title, loc="left", fontweight="bold", fontsize=_FONT)
    axes.set_xscale("log")
    doses = sorted({dose for line in lines.values() for dose in line.index})
    axes.set_xticks(doses, [f"{d:g}" if d < 1000 else f"{d / 1000:g}k" for d in doses])
    axes.set_xticks([], minor=True)
    axes.set_xlabel("dose, e/Å²")
    for name, line in lines.items():
        colour, mark, dash = styles[name]
        bold = 2.2 if name == OURS else 1.4
        axes.plot(line.index, line, color=colour, marker=mark, linestyle=dash, linewidth=bold, markersize=5)
    _name(axes, doses[-1], {n: (float(line.iloc[-1]), styles[n][0]) for n, line in lines.items()})


def _name(axes: Axes, dose: float, ends: dict[str, tuple[float, str]]) -> None:
    """Write the names to the right of the lines' ends, moved apart where they would overlap."""
    axes.get_figure().draw_without_rendering()  # type: ignore[union-attr]
    low, high = axes.get_ylim()
    height = axes.get_window_extent().height * 72 / axes.get_figure().dpi  # type: ignore[union-attr]
    order = list(ends)
    names = sorted(ends, key=lambda name: (ends[name][0], -order.index(name)))
    places = apart([(ends[n][0] - low) / (high - low) * height for n in names], _LINE, height)
    for name, place in zip(names, places, strict=True):
        value, colour = ends[name]
        axes.annotate(
            name,
            (dose, value),
            xytext=(1.05, place / height),
            textcoords="axes fraction",
            color=colour,
            va="center",
            fontweight="bold" if name == OURS else "normal",
            arrowprops=_LEADER | {"color": colour},
        )


def apart(places: list[float], least: float, top: float) -> list[float]:
    """Move rising places apart to a least distance, as little as it takes, and not out of 0 to `top`.

    Parameters
    ----------
    places : list of float
        In rising order.
    least, top : float
    """

    def start(group: list[float]) -> float:
        length = least * (len(group) - 1)
        return max(min(float(np.mean(group)) - length / 2, top - length), 0.0)

    # places that would touch form a group, spread evenly about the mean of where its members want to be
    groups: list[list[float]] = []
    for place in places:
        groups.append([place])
        while len(groups) > 1 and start(groups[-1]) < start(groups[-2]) + least * len(groups[-2]):
            groups[-2:] = [groups[-2] + groups[-1]]
    return [start(group) + least * n for group in groups for n in range(len(group))]
