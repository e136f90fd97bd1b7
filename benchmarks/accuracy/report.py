"""The tables of the accuracy benchmark as Markdown; every number is computed from the rows given."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.accuracy.goals import bounds, filled, goals, known, percent
from benchmarks.accuracy.statistics import (
    BAND,
    MISLED,
    MISPLACED,
    PUBLISHED,
    WHOLE,
    Interval,
    Margin,
    bootstrap,
    cells,
    dose_reaching,
    doses_in_band,
    lost,
    margin,
    methods_of,
    paired,
    published,
    rivals_of,
)
from napari_stemprior.atoms.metrics import APART, VACANCY_RADIUS

MAIN = ("network", "classical", "rival")


def report(results: pd.DataFrame, positions: Path | None = None) -> str:
    """Write the tables.

    Parameters
    ----------
    results : DataFrame
        The rows of ``accuracy.csv``.
    positions : pathlib.Path, optional
        Folder of ``positions.py``, whose tables are added.
    """
    places = pd.read_csv(positions / "positions.csv") if positions else None
    parts = [_head(results), *_goals(results, places), *_summary(results)]
    main = results[results["kind"].isin(MAIN)]
    parts += [
        "![Strict F1 against dose](images/accuracy_f1.png)\n\nDashed: F1 = 0.9.\n",
        _table("Strict F1 by dose", main, "dose", "f1"),
        _table("Strict F1 by scene", main, "scene", "f1"),
        _table("Strict F1 by specimen", main, "specimen", "f1"),
        *_reach(main),
        *_against_rivals(main),
        *_cells(main),
    ]
    parts += [
        _table(f"{scene}: strict F1", part, "dose", "f1", level=3)
        for scene, part in main.groupby("scene", sort=False)
    ]
    parts += [*_vacancies(main), *_hidden(main)]
    parts += [
        _table(title, main, "dose", column, digits)
        for title, column, digits in (
            ("Precision", "precision", 3),
            ("Recall", "recall", 3),
            ("Jaccard (strict)", "jaccard", 3),
            ("Chamfer distance, Å", "chamfer_angstrom", 3),
            ("RMSE of the matched, Å", "rmse", 3),
            ("Element F1 (mean over the elements; it takes the right prior)", "element_f1", 3),
            ("Calibration error of the confidence", "ece", 3),
            ("Looser published form (mutual nearest neighbours, no gate): F1", "loose_f1", 3),
            ("Looser published form (mutual nearest neighbours, no gate): Jaccard", "loose_jaccard", 3),
            ("Seconds a micrograph (the answer with the prior includes the one without)", "seconds", 2),
        )
        if main[column].notna().any()
    ]
    parts += [*_ablations(results)]
    if positions:
        text = (positions / "positions.md").read_text(encoding="utf-8")
        parts.append("".join("#" * line.startswith("#") + line for line in text.splitlines(keepends=True)))
    return "\n".join(parts)


def _head(results: pd.DataFrame) -> str:
    lines = [
        f"# Accuracy of `{_name(results)}`\n",
        "Strict F1: one-to-one matches within min(0.3 × median neighbour distance, 0.75 Å), 1 Å border left "
        "out; abTEM multislice images of crystals held out from training (the single layers of MoSe2 on WS2 "
        f"are not); {results['item'].nunique()} views, {results['seed'].nunique()} noise "
        "seed(s), means over micrographs. Intervals are bootstrap 95 % intervals over the views. Methods are "
        "compared on the micrographs that both have answered. "
        "`python -m benchmarks.accuracy.accuracy` makes this page.\n",
    ]
    several = results.groupby("method")["source"].nunique() > 1
    if several.any() or results.loc[results["kind"] == "network", "source"].nunique() > 1:
        lines.append("**Answers of different weights are mixed in these tables; measure anew.**\n")
    return "\n".join(lines)


def _name(results: pd.DataFrame) -> str:
    own = results.loc[results["kind"] == "network", "source"]
    return str(own.iloc[0]).rsplit(" ", 1)[0] if len(own) else "rivals"


def _goals(results: pd.DataFrame, positions: pd.DataFrame | None) -> Iterator[str]:
    found = goals(results, positions)
    if found:
        words = {True: "yes", False: "**no**", None: "cannot be told"}
        rows = [[goal.goal, goal.measured, words[goal.met]] for goal in found]
        yield "## Goals\n\n" + _rows(["goal", "measured", "met"], rows, left=2)


def _summary(results: pd.DataFrame) -> Iterator[str]:
    rows = []
    for method in methods_of(results, *MAIN):
        part = results[results["method"] == method]
        rows.append([method, _interval(bootstrap(part["f1"], part["item"])), str(len(part))])
    if rows:
        title = "## Strict F1, mean and bootstrap 95 % interval\n\n"
        yield title + _rows(["method", "strict F1", "micrographs"], rows)


def _reach(results: pd.DataFrame) -> Iterator[str]:
    methods = methods_of(results, *MAIN)
    reference = next((m for m in methods if "atomai" in m.lower()), None)
    rows = []
    for method in methods:
        reach = dose_reaching(results, method)
        row = [method, bounds(reach.low, reach.high)]
        if np.isinf(reach.high):
            best = results[results["method"] == method].groupby("dose")["f1"].mean().max()
            row[1] = f"never ({best:.3f} at best)"
        if reference:
            ratio = dose_reaching(results, reference).over(reach)
            row.append("1" if method == reference else bounds(ratio.low, ratio.high))
        rows.append(row)
    names = ["method", "dose, e/Å²"] + ([f"{reference}'s dose ÷ its dose"] if reference else [])
    yield "## Dose at which mean F1 first reaches 0.9\n\nInterpolated in the logarithm.\n\n" + _rows(
        names, rows
    )


def _against_rivals(results: pd.DataFrame) -> Iterator[str]:
    rivals = rivals_of(results)
    if not rivals:
        return
    low, high = BAND
    texts = [
        f"{name}: chamfer {m[0]} ×, Jaccard +{100 * m[1]:.1f} %, F1 +{100 * m[2]:.1f} %"
        for name, m in PUBLISHED.items()
    ]
    yield (
        "## Against each rival where its F1 is in the middle\n\n"
        f"With the prior, at the doses where the rival's mean strict F1 lies between {low} and {high}. "
        "Chamfer: the rival's distance over ours; the others: relative gains. Published margins of the "
        "method (other images; Jaccard and F1 in the looser form) over " + "; over ".join(texts) + ".\n"
    )
    names = ["rival", "e/Å²", "its F1", "chamfer", "Jaccard", "F1", "looser Jaccard", "looser F1"]
    rows = []
    for rival in rivals:
        doses, inside = doses_in_band(results, rival)
        for chosen in [[d] for d in doses] + ([doses] if len(doses) > 1 else []):
            label = ", ".join(f"{d:g}" for d in chosen) + ("" if inside else " (none in the band; nearest)")
            rows.append([rival, label, *_margin(margin(results, rival, chosen))])
        least = published(rival)
        if least:
            gains = [f"*+{100 * v:.1f} %*" for v in least[1:]]
            rows.append([rival, "*published*", "", f"*{least[0]} ×*", "", "", *gains])
    yield _rows(names, rows, left=2)


def _margin(found: Margin) -> list[str]:
    gains = (found.jaccard, found.f1, found.loose_jaccard, found.loose_f1)
    return [_number(found.rival_f1), f"{_number(found.chamfer, 2)} ×", *map(percent, gains)]


def _cells(results: pd.DataFrame) -> Iterator[str]:
    compared = cells(results)
    if compared.empty:
        return
    best = compared.loc[compared.groupby(["scene", "dose"], sort=False)["difference"].idxmin()]
    doses = sorted(best["dose"].unique())
    rows = []
    for scene, part in best.groupby("scene", sort=False):
        texts = {row.dose: f"{row.difference:+.3f} ({row.rival})" for row in part.itertuples()}
        rows.append([str(scene), *(texts.get(dose, "–") for dose in doses)])
    yield "## Every cell: with the prior minus the best rival, strict F1\n\n" + _rows(
        ["scene", *(f"{d:g} e/Å²" for d in doses)], rows
    )
    behind = lost(compared)
    if behind.empty:
        yield "No rival is ahead in any cell.\n"
        return
    rows = []
    for scene, dose, rival, ours, theirs, *numbers in behind.itertuples(index=False, name=None):
        interval = Interval(*numbers)
        decided = "yes" if interval.decided else "no"
        cell = f"{scene} at {dose:g}"
        rows.append([rival, cell, f"{ours:.4f}", f"{theirs:.4f}", _interval(interval, 4), decided])
    names = ["rival ahead", "cell", "ours", "rival", "ours − rival (95 %)", "interval excludes 0"]
    yield _rows(names, rows, left=2)


def _vacancies(results: pd.DataFrame) -> Iterator[str]:
    """Write the share of vacancies filled beside what is possible at best."""
    some = known(results, "vacancies")
    methods = [m for m in methods_of(some, *MAIN) if m not in (MISLED, MISPLACED)]
    if not len(some) or not methods:
        return
    doses = sorted(some["dose"].unique())
    rows = []
    for specimen, part in some.groupby("specimen", sort=False):
        for number, method in enumerate(["likelihood-ratio limit", *methods]):
            column = "filled" if number else "limit"
            shares = filled(part[part["method"] == (method if number else methods[0])], ["dose"])[column]
            rows.append([str(specimen), method, *(_number(100 * shares.get(d, np.nan), 1) for d in doses)])
    yield (
        "## Vacancies filled, %\n\n"
        "The limit is that of a test that knows place, blur and profile, has Poisson noise alone and calls "
        "1 % of the true columns vacant (`benchmarks/accuracy/vacancy_limit.py`).\n\n"
        + _rows(["specimen", "", *(f"{d:g} e/Å²" for d in doses)], rows, left=2)
        + "\n![Vacancies filled against dose](images/accuracy_vacancies.png)\n\n"
        "Grey: the goal, at most 10 points above the limit.\n"
    )


def _hidden(results: pd.DataFrame) -> Iterator[str]:
    """Write what is found of the lower layers of bilayers, and how many of their empty sites are filled."""
    below = results[results["hidden_layer_recall"].notna()]
    if below.empty:
        return
    doses = sorted(below["dose"].unique())
    apart = f"recall, {APART:g} Å or more from an upper column"
    rows = []
    for method in methods_of(below, *MAIN):
        part = below[below["method"] == method]
        clear, empty = known(part, "hidden_apart"), known(part, "hidden_vacancies")
        lines = {"recall, all": part.groupby("dose")["hidden_layer_recall"].mean()}
        if len(clear):
            lines[apart] = clear.groupby("dose")["hidden_apart_recall"].mean()
        if len(empty):
            lines["vacant sites filled, %"] = 100 * filled(empty, ["dose"], "hidden_vacancies")["filled"]
        for what, values in lines.items():
            digits = 1 if what.endswith("%") else 3
            rows.append([method, what, *(_number(values.get(dose, np.nan), digits) for dose in doses)])
    empty = known(below, "hidden_vacancies")
    if len(empty):
        limit = 100 * filled(empty, ["dose"], "hidden_vacancies")["limit"]
        numbers = [_number(limit.get(dose, np.nan), 1) for dose in doses]
        rows.append(["likelihood-ratio limit", "vacant sites filled, %", *numbers])
    yield (
        "## Hidden layer\n\n"
        "Lower columns of bilayers. A vacant site is filled by an atom within "
        f"{VACANCY_RADIUS:g} Å that is said to be hidden, or that has no true atom as near as the site: the "
        "atom above it does not fill it.\n\n"
        + _rows(["method", "", *(f"{d:g} e/Å²" for d in doses)], rows, left=2)
    )


def _ablations(results: pd.DataFrame) -> Iterator[str]:
    variants = methods_of(results, "ablation")
    if not variants:
        return
    names = {
        "f1": ("strict F1", 4),
        "rmse": ("RMSE, Å", 4),
        "element_f1": ("element F1", 4),
        "hidden_layer_recall": ("hidden recall", 3),
        "vacancies_filled": ("vacancies filled", 3),
        "ece": ("ECE", 3),
    }
    rows = []
    for variant in variants:
        part = results[results["method"] == variant]
        cell = paired(results, variant, WHOLE).groupby(["scene", "dose"])["difference"].mean()
        ahead = f"{(cell > 1e-9).sum()} of {len(cell)}" if len(cell) and variant != WHOLE else "–"
        means = [_number(part[column].mean(), digits) for column, (_, digits) in names.items()]
        rows.append([variant, str(len(part)), *means, ahead])
    titles = ["variant", "micrographs", *(title for title, _ in names.values())]
    yield (
        "## Ablations\n\nEvery variant was trained alike, on the same scenes for the same number of steps "
        "(`benchmarks/training/ablations.py`); fewer than those of the network above.\n\n"
        + _rows([*titles, f"dose × scene cells ahead of {WHOLE}"], rows)
    )
    if WHOLE not in variants:
        return
    others = [v for v in variants if v != WHOLE]
    for column in ("dose", "scene"):
        groups = list(dict.fromkeys(results.loc[results["method"] == WHOLE, column]))
        groups = sorted(groups) if column == "dose" else groups
        rows = []
        for variant in others:
            both = paired(results, variant, WHOLE)
            parts = [both[both[column] == group] for group in groups] + [both]
            rows.append([variant, *(_interval(bootstrap(p["difference"], p["item"])) for p in parts)])
        if rows:
            title = f"### Strict F1 of each variant minus that of all parts, by {column}\n\n"
            yield title + _rows(["variant", *map(_label, groups), "all"], rows)
    yield from _alike(results)


def _alike(results: pd.DataFrame) -> Iterator[str]:
    """Compare the rivals that are trained with the network that has seen as many scenes as they have."""
    doses = sorted(results.loc[results["method"] == WHOLE, "dose"].unique())
    rows = []
    for rival in methods_of(results, "rival"):
        both = paired(results, WHOLE, rival)
        if both.empty:
            continue
        means = both.groupby("dose")[["own", "other"]].mean().reindex(doses)
        means.loc["all"] = both[["own", "other"]].mean()
        rows.append([rival, *(f"{_number(own)} / {_number(other)}" for own, other in means.to_numpy())])
    if rows:
        yield (
            f"### {WHOLE.capitalize()} / rival, strict F1, on the micrographs that both have answered\n\n"
            "The rivals that are trained see the same scenes as the variants, by default as many: like is "
            "compared with like.\n\n" + _rows(["rival", *map(_label, doses), "all"], rows)
        )


def _table(title: str, results: pd.DataFrame, rows: str, value: str, digits: int = 3, level: int = 2) -> str:
    methods = methods_of(results, *MAIN)
    pivot = results.pivot_table(index=rows, columns="method", values=value, aggfunc="mean", sort=False)
    pivot = pivot.reindex(columns=methods)
    if rows == "dose":
        pivot = pivot.sort_index()
    mean = results.groupby("method")[value].mean()
    lines = [[_label(name), *(_number(v, digits) for v in row)] for name, row in pivot.iterrows()]
    lines.append(["**mean**", *(_number(mean[m], digits) for m in methods)])
    return f"{'#' * level} {title}\n\n" + _rows([rows, *methods], lines)


def _rows(names: list[str], rows: list[list[str]], left: int = 1) -> str:
    """Write a Markdown table whose first columns are aligned to the left."""
    head = ["| " + " | ".join(names) + " |", "|" + "---|" * left + "---:|" * (len(names) - left)]
    return "\n".join(head + ["| " + " | ".join(row) + " |" for row in rows]) + "\n"


def _label(value: object) -> str:
    return f"{value:g} e/Å²" if isinstance(value, float) else str(value)


def _interval(found: Interval, digits: int = 3) -> str:
    if np.isnan(found.low):
        return _number(found.mean, digits)
    return f"{found.mean:.{digits}f} ({found.low:.{digits}f} to {found.high:.{digits}f})"


def _number(value: float, digits: int = 3) -> str:
    return "∞" if np.isinf(value) else "–" if np.isnan(value) else f"{value:.{digits}f}"
