"""The tables of the recordings benchmark as Markdown; every number is computed from the rows given."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from benchmarks.recording.artefacts import ALONE_ONLY, ARTEFACTS, CLEAN, NAMES, STRENGTHS, TOGETHER
from benchmarks.recording.real_micrographs import VARIANTS

#: An artefact may cost so much F1, from this dose in e/Å² on.
GOAL, GOAL_DOSE = 0.01, 3e3
_SAME = ["item", "dose", "seed"]


def report(simulated: pd.DataFrame, real: pd.DataFrame, notes: list[str]) -> str:
    """Write the tables.

    Parameters
    ----------
    simulated, real : DataFrame
        The rows of ``recordings.csv`` and ``real.csv``; either may be empty.
    notes : list of str
        What could not be measured.
    """
    parts = ["# Recordings with artefacts\n"]
    if len(simulated):
        compared = against_clean(simulated)
        parts += [
            *_head(simulated),
            *_artefacts(simulated, compared),
            *_goal(compared),
            *_specimens(compared),
        ]
    if len(real):
        parts += _real(real)
    refused = pd.concat(
        [f[["message"]] for f in (simulated, real) if len(f)] or [pd.DataFrame({"message": []})]
    )
    messages = refused.loc[refused["message"] != "", "message"].value_counts()
    if len(messages):
        parts += ["\n## Refused\n", *(f"- {count} ×: {text}" for text, count in messages.items())]
    parts += [f"\n{note}" for note in notes]
    if len(simulated):
        parts += _meaning()
    return "\n".join(parts) + "\n"


def against_clean(rows: pd.DataFrame) -> pd.DataFrame:
    """Put beside each recording with artefacts the clean one of the same view, dose and seed.

    Returns
    -------
    DataFrame
        With ``lost``, the F1 that the artefact cost, and ``clean_filled``.
    """
    clean = rows.loc[rows["artefact"] == CLEAN, [*_SAME, "f1", "filled", "vacancies"]]
    clean = clean.rename(columns={"f1": "clean_f1", "filled": "clean_filled", "vacancies": "clean_vacancies"})
    both = rows[rows["artefact"] != CLEAN].merge(clean, on=_SAME, how="left")
    return both.assign(lost=both["clean_f1"] - both["f1"])


def _kinds(rows: pd.DataFrame) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """Yield the artefacts and strengths that there are, in their order."""
    for name in (*NAMES, TOGETHER):
        for strength in STRENGTHS:
            part = rows[(rows["artefact"] == name) & (rows["strength"] == strength)]
            if len(part):
                yield name, strength, part


def _head(rows: pd.DataFrame) -> list[str]:
    clean = rows[rows["artefact"] == CLEAN]
    means = ", ".join(f"{f1:.3f} at {dose:g} e/Å²" for dose, f1 in clean.groupby("dose")["f1"].mean().items())
    return [
        f"{len(rows)} images of {rows['item'].nunique()} specimens, {rows['seconds'].median():.1f} s each "
        f"(median). Graphene has ten times the dose stated. Strict F1 with the true pixel size; all columns "
        "count, as in the accuracy benchmark, oxygen too. Atoms on bad pixels, and within 1 Å of a border, "
        "strip or scale bar, are not judged.\n",
        f"Clean recordings: {int(clean['placed'].sum())} of {len(clean)} placed, F1 {means}, "
        f"{int(clean['filled'].sum())} of {int(clean['vacancies'].sum())} vacancies filled.\n",
    ]


def _artefacts(rows: pd.DataFrame, compared: pd.DataFrame) -> list[str]:
    lines = [
        "\n## Every artefact\n",
        "| artefact | strength | placed | with a reservation | F1 | F1 lost, mean | F1 lost, most "
        "| vacancies filled | of the clean ones | atoms on masked pixels |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, strength, part in _kinds(compared):
        reserved = int((part["placed"] & (part["reservation"] != "")).sum())
        lines.append(
            f"| {name} | {strength} | {int(part['placed'].sum())} of {len(part)} | {reserved or '–'} "
            f"| {part['f1'].mean():.3f} | {_signed(part['lost'].mean())} | {_signed(part['lost'].max())} "
            f"| {int(part['filled'].sum())} of {int(part['vacancies'].sum())} "
            f"| {_whole(part['clean_filled'].sum())} of {_whole(part['clean_vacancies'].sum())} "
            f"| {int(part['on_mask'].sum())} |"
        )
    return lines


def _goal(compared: pd.DataFrame) -> list[str]:
    enough = compared[compared["dose"] >= GOAL_DOSE]
    if not len(enough):
        return []
    lines = [
        f"\n## From {GOAL_DOSE:g} e/Å² on: costs at most {GOAL} of F1?\n",
        "| artefact | strength | F1 lost, mean | images within the goal | met |",
        "|---|---|---|---|---|",
    ]
    met = 0
    kinds = list(_kinds(enough))
    for name, strength, part in kinds:
        good = bool(part["lost"].mean() <= GOAL)
        met += good
        within = int((part["lost"] <= GOAL).sum())
        lines.append(
            f"| {name} | {strength} | {_signed(part['lost'].mean())} | {within} of {len(part)} "
            f"| {'yes' if good else '**no**'} |"
        )
    return [*lines, f"\nMet by {met} of {len(kinds)}.\n"]


def _specimens(compared: pd.DataFrame) -> list[str]:
    """Tell how much F1 each specimen loses: the worse ones hide in the means."""
    columns = list(dict.fromkeys(compared["specimen"]))
    lines = [
        "\n## F1 lost by specimen\n",
        f"| artefact | strength | {' | '.join(columns)} |",
        "|---|---|" + "---|" * len(columns),
    ]
    for name, strength, part in _kinds(compared):
        lost = part.groupby("specimen")["lost"].mean()
        cells = " | ".join(f"{_signed(lost.get(c, np.nan), 3)}" for c in columns)
        lines.append(f"| {name} | {strength} | {cells} |")
    return lines


def _real(rows: pd.DataFrame) -> list[str]:
    lines = [
        "\n## Real micrographs\n",
        "Atoms in two boxes beside the columns that a person counts there (`real_columns.csv`; a range where "
        "some are doubtful; ±1 where a column lies near an edge). Oxygen of SrTiO3, which cannot be seen, is "
        "left out of both; where the prior was not placed no atom has an element, and nothing is left out.\n",
        "| micrograph | as | Å/px given | placed | atoms | box 1 | seen | box 2 | seen "
        "| atoms on masked pixels |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    order = {name: number for number, name in enumerate(VARIANTS)}
    files = list(dict.fromkeys(rows["micrograph"]))
    for file in files:
        part = rows[rows["micrograph"] == file]
        for row in part.sort_values("variant", key=lambda names: names.map(order)).to_dict("records"):
            reserved = " with a reservation" if row["reservation"] else ""
            cells = [
                f"{_whole(row.get(f'box{n}'))} | {_range(row.get(f'columns{n}'), row.get(f'doubtful{n}'))}"
                for n in (1, 2)
            ]
            lines.append(
                f"| {file} | {row['variant']} | {row['stated']:.4f} "
                f"| {('yes' + reserved) if row['placed'] else 'no'} | {row['atoms']} | {' | '.join(cells)} "
                f"| {row['on_mask']} |"
            )
    return lines


def _meaning() -> list[str]:
    """Say what the strengths are."""
    lines = ["\n## The settings\n", "| artefact | weak | strong |", "|---|---|---|"]
    lines += [f"| {a.name} | {a.means('weak')} | {a.means('strong')} |" for a in ARTEFACTS]
    return [
        *lines,
        f"\nAll together: all of them but {' and '.join(ALONE_ONLY)}. The clean recording has counted "
        "electrons, rows that jitter by 0.05 Å and a film of 15 %, as the validation set. The bright end is "
        "what 99.5 % of the pixels stay below. Drift, shear, flyback and rotation move the true positions, "
        "the afterglow moves them by its mean delay; jitter and hum do not.",
    ]


def _signed(value: float, digits: int = 4) -> str:
    return f"{round(value, digits) + 0.0:+.{digits}f}"  # no minus before zero


def _whole(value: float | None) -> str:
    return "–" if value is None or not np.isfinite(value) else str(int(value))


def _range(least: float | None, more: float | None) -> str:
    if least is None or not np.isfinite(least):
        return "–"
    return f"{int(least)}–{int(least + (more or 0))}" if more else f"{int(least)}"
