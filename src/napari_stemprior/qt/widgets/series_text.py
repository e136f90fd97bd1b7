"""A series of measured frames in words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

#: Frames that are named before the rest is counted.
_NAMED = 3
#: %: strain that is told as a number.
_LEAST = 1e-3


def series_text(table: pd.DataFrame, wanted: int) -> str:
    """Say in rich text how many frames were measured, how much they differ, and why some are missing.

    Parameters
    ----------
    table : pandas.DataFrame
        Of a `FrameSeries`.
    wanted : int
        How many frames the series has; more than rows where the work was cancelled.
    """
    failed = table[table["status"] == "failed"]
    count = len(table) - len(failed)
    lines = [f"<b>Series:</b> {count} of {wanted} frames measured."]
    if len(table) < wanted:
        lines[0] += f" Cancelled after {len(table)}."
    if count > 1:
        told = [part for part in (_strain(table), _drift(table)) if part]
        if told:
            lines.append(" ".join(told))
    reasons = list(map(str, failed["reason"][:_NAMED]))
    if len(failed) > _NAMED:
        reasons.append(f"And {len(failed) - _NAMED} more; the table says why.")
    return "<br>".join([*lines, *map(_plain, reasons)])


def stale_text(names: Sequence[str]) -> str:
    """Say which images are others than those that were measured."""
    if not names:
        return ""
    which = names[0] if len(names) == 1 else f"{len(names)} images"
    have = "has" if len(names) == 1 else "have"
    return f"⚠ Atoms, scale or prior of {which} {have} changed since; measure all again."


def _strain(table: pd.DataFrame) -> str:
    known = [table[f"lattice_strain_{name}"].to_numpy(float) for name in ("xx", "yy", "xy")]
    reach = max((float(np.nanmax(np.abs(one))) for one in known if np.isfinite(one).any()), default=np.nan)
    if not np.isfinite(reach):
        return ""
    told = "less than 0.001" if 100 * reach < _LEAST else f"up to {100 * reach:.2g}"
    return f"The mean lattice is strained by {told} %."


def _drift(table: pd.DataFrame) -> str:
    if "drift_x_angstrom" not in table:
        return ""
    reach = np.hypot(table["drift_x_angstrom"].to_numpy(float), table["drift_y_angstrom"].to_numpy(float))
    return f"Drift reaches {float(np.nanmax(reach)):.2g} Å." if np.isfinite(reach).any() else ""


def _plain(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;")
