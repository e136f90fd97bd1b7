"""The figure of a series: what changed from frame to frame."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_stemprior.measurement.figures import check_matplotlib
from napari_stemprior.measurement.frame_series import FrameSeries

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_STRAIN = tuple(
    (f"lattice_strain_{name}", f"lattice_strain_{name}_error", f"ε{name}") for name in ("xx", "yy", "xy")
)
_ROTATION = (("lattice_rotation_degrees", "lattice_rotation_error_degrees", ""),)
_DRIFT = tuple((f"drift_{name}_angstrom", "", name) for name in "xy")
_POLAR = tuple((f"polarisation_{name}_angstrom", "polarisation_error_angstrom", name) for name in "xy")


def draw_series(series: FrameSeries) -> Figure:
    """Draw what is known of a series over its frames, with standard errors.

    Strain and rotation are those of the mean lattice against the first measured frame. Frames that could not
    be measured are gaps.

    Parameters
    ----------
    series : FrameSeries

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    MissingPackageError
        If matplotlib is not installed.
    """
    check_matplotlib()
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    table = series.table
    sites = [
        name.removeprefix("intensity_")
        for name in map(str, table)
        if name.startswith("intensity_") and not name.endswith("_error")
    ]
    kinds = [name for name in map(str, table) if name.startswith("defects_")]
    panels = [
        ("Mean lattice: strain (%)", _STRAIN, 100.0),
        ("Mean lattice: rotation (°)", _ROTATION, 1.0),
        ("Drift (Å)", _DRIFT, 1.0),
        ("Mean off-centring (Å)", _POLAR, 1.0),
        (
            "Cell intensity (image × Å²)",
            tuple((f"intensity_{s}", f"intensity_{s}_error", s) for s in sites),
            1.0,
        ),
        (
            "Defects",
            tuple((k, "", k.removeprefix("defects_").replace("_", " ")) for k in kinds),
            1.0,
        ),
    ]
    shown = [
        (title, known, scale)
        for title, lines, scale in panels
        if (known := [one for one in lines if one[0] in table and table[one[0]].notna().any()])
    ]
    figure = Figure(figsize=(7, 1.2 + 1.7 * max(len(shown), 1)), layout="constrained")
    axes = figure.subplots(max(len(shown), 1), 1, sharex=True, squeeze=False)[:, 0]
    for one, (title, lines, scale) in zip(axes, shown, strict=False):
        _panel(one, series, title, lines, scale)
    failed = int((table["status"] == "failed").sum())
    axes[0].set_title(
        f"{len(table)} frames" + (f", {failed} could not be measured" if failed else ""), fontsize=9
    )
    axes[-1].set_xlabel("frame")
    axes[-1].set_xlim(-0.5, max(len(table) - 0.5, 0.5))
    axes[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    return figure


def _panel(
    axes: Axes, series: FrameSeries, title: str, lines: list[tuple[str, str, str]], scale: float
) -> None:
    table = series.table
    frame = np.arange(len(table))
    for value, error, label in lines:
        spread = table[error].to_numpy(float) * scale if error in table else None
        axes.errorbar(
            frame, table[value].to_numpy(float) * scale, spread, fmt="o-", ms=3, lw=1, capsize=2, label=label
        )
    axes.set_ylabel(title, fontsize=8)
    axes.tick_params(labelsize=8)
    axes.margins(y=0.15)
    low, high = axes.get_ylim()
    if high - low < 1e-6 * max(
        abs(low), abs(high), 1.0
    ):  # what does not change is no curve of rounding errors
        middle = (low + high) / 2
        axes.set_ylim(middle - 1, middle + 1)
    if any(label for _, _, label in lines):
        axes.legend(fontsize=7, loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
