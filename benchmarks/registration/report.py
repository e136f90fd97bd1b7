"""The tables of the registration benchmark as Markdown."""

from __future__ import annotations

import numpy as np
import pandas as pd

#: Kinds of wrong priors that are crystals which the image could tell from the right one.
CRYSTALS = ("other material", "other zone axis")


def report(results: dict[str, pd.DataFrame]) -> str:
    """Write what there is."""
    writers = {"true": _right, "false": _wrong, "pixel": _pixel, "time": _time, "multislice": _multislice}
    return "\n".join(writers[name](frame) for name, frame in results.items())


def _table(frame: pd.DataFrame, digits: int = 1, corner: str = "") -> str:
    head = f"| {corner} | " + " | ".join(_label(c) for c in frame.columns) + " |"
    lines = [head, "|---|" + "---:|" * len(frame.columns)]
    for name, row in frame.iterrows():
        lines.append(f"| {_label(name)} | " + " | ".join(_cell(v, digits) for v in row) + " |")
    return "\n".join(lines) + "\n"


def _cell(value: object, digits: int) -> str:
    return value if isinstance(value, str) else _number(float(value), digits)  # type: ignore[arg-type]


def _label(value: object) -> str:
    return f"{value:g} e/Å²" if isinstance(value, float) else str(value)


def _number(value: float, digits: int) -> str:
    return "–" if not np.isfinite(value) else f"{value:.{digits}f}"


def _with_all(frame: pd.DataFrame, rows: str, value: str) -> pd.DataFrame:
    pivot = frame.pivot_table(index=rows, columns="dose", values=value, sort=False)
    pivot.loc["**all**"] = frame.groupby("dose")[value].mean()
    return pivot


def _right(frame: pd.DataFrame) -> str:
    frame = frame.assign(success=100 * frame["success"])
    parts = [f"## Right prior ({len(frame)} micrographs)\n", "Success, %, by scene:\n"]
    parts.append(_table(_with_all(frame, "scene", "success")))
    parts += ["Success, %, by structure:\n", _table(_with_all(frame, "structure", "success"))]
    good = frame[frame["success"] > 0]
    for key, title, digits in (
        ("rotation", "Rotation error, degrees", 3),
        ("strain", "Strain error, %", 3),
        ("origin", "Error of the origin, Å", 3),
        ("rmse", "Error of a column, Å rms", 3),
    ):
        median = good.pivot_table(index="scene", columns="dose", values=key, aggfunc="median", sort=False)
        high = good.pivot_table(
            index="scene", columns="dose", values=key, aggfunc=lambda v: np.percentile(v, 95), sort=False
        )
        both = median.map(f"{{:.{digits}f}}".format) + " / " + high.map(f"{{:.{digits}f}}".format)
        lines = [f"{title}, where it succeeds: median / 95th percentile\n"]
        lines.append("| scene | " + " | ".join(_label(c) for c in both.columns) + " |")
        lines.append("|---|" + "---:|" * len(both.columns))
        lines += [f"| {name} | " + " | ".join(row) + " |" for name, row in both.iterrows()]
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def _wrong(frame: pd.DataFrame) -> str:
    crystals = frame[frame["kind"].isin(CRYSTALS)]
    return (
        f"## Wrong prior, or no lattice ({len(frame)} micrographs)\n\n"
        "Called a fit without reservation, %:\n\n"
        f"{_called(frame, 'fit')}\nUsed with a reservation, %:\n\n{_called(frame, 'reserved')}\n"
        f"{_false_pairs(crystals[crystals['fit'] > 0])}"
    )


def _called(frame: pd.DataFrame, outcome: str) -> str:
    """Return the table of one outcome, per kind of prior and dose."""
    frame = frame.assign(**{outcome: 100 * frame[outcome]})
    pivot = frame.pivot_table(index="kind", columns="dose", values=outcome, sort=False)
    plain, crystals = frame[frame["kind"] != "twin"], frame[frame["kind"].isin(CRYSTALS)]
    for title, part in (("**all wrong crystals**", crystals), ("**all but twins**", plain)):
        pivot.loc[title] = part.groupby("dose")[outcome].mean()
    totals = {"**all wrong crystals**": len(crystals), "**all but twins**": len(plain)}
    sizes = frame.groupby("kind").size().to_dict() | totals
    pivot["count"] = [str(sizes[kind]) for kind in pivot.index]
    return _table(pivot)


def _false_pairs(fits: pd.DataFrame) -> str:
    """List the wrong crystals that are called a fit, and from which dose on they could be told apart."""
    if not len(fits):
        return "No wrong crystal is called a fit without reservation.\n"
    lines = [
        "Wrong crystals that are called a fit without reservation, and the dose from which an ideal",
        "observer who knows the microscope tells the two apart (a likelihood ratio of 10 nats on one",
        "image):\n",
        "| image | prior | called a fit at, e/Å² | could be told apart from, e/Å² |",
        "|---|---|---:|---:|",
    ]
    for (image, prior), part in fits.groupby(["structure", "prior"], sort=False):
        doses = ", ".join(f"{dose:g}" for dose in sorted(part["dose"].unique()))
        decided = float(part["decided"].iloc[0])
        since = f"{decided:.2g}" if np.isfinite(decided) else "refused without noise"
        lines.append(f"| {image} | {prior} | {doses} | {since} |")
    return "\n".join(lines) + "\n"


def _pixel(frame: pd.DataFrame) -> str:
    rows = {}
    for dose, part in frame.groupby("dose"):
        error = part["error"]
        rows[dose] = {
            "fits, %": 100 * part["fit"].mean(),
            "within 1 %, %": 100 * (error < 1).mean(),
            "median error, %": error.median(),
            "95th percentile, %": np.percentile(error, 95),
            "CPU s": part["seconds"].mean(),
        }
    table = _table(pd.DataFrame(rows).T, 3, "dose")
    return f"## Pixel size from a guess up to 30 % wrong ({len(frame)} micrographs)\n\n{table}"


def _time(frame: pd.DataFrame) -> str:
    table = pd.DataFrame(
        {key: {"median": frame[key].median(), "slowest": frame[key].max()} for key in ("register", "field")}
    ).rename(columns={"register": "`register`", "field": "`fit_pose_field`"})
    return f"## CPU seconds for 512 × 512 pixels, one thread\n\n{_table(table, 3)}"


def _multislice(frame: pd.DataFrame) -> str:
    frame = frame.assign(success=100 * frame["success"])
    right = frame[frame["right"]]
    wrong = frame[~frame["right"] & ~frame["twin"]]
    rows = _with_all(right, "scene", "success")
    rows.loc["**wrong priors called a fit**"] = wrong.groupby("dose")["success"].mean()
    return f"## Multislice views ({len(right)} right, {len(wrong)} wrong)\n\nSuccess, %:\n\n" + _table(rows)
