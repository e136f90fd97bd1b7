"""How an overlay picture is drawn: the marks, the scale bar, the legend, the file."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray

mpl.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke

from benchmarks.pictures.marks import (
    BOTH,
    EMPTY,
    LEANT,
    MISSED,
    MISSED_HIDDEN,
    ONLY_LOG,
    ONLY_OURS,
    REVIEW,
    RIGHT,
    RIGHT_HIDDEN,
    SEEN,
    UNJUDGED,
    VACANT,
    WRONG,
    WRONG_HIDDEN,
    Marks,
    Window,
)
from napari_stemprior.atomic_write import replaced

#: Okabe and Ito: told apart with any kind of colour vision.
_SKY, _GREEN, _ORANGE, _YELLOW, _VERMILION = "#56b4e9", "#00b184", "#e69f00", "#f0e442", "#ff5c1a"

#: Marker, colour, filled, size relative to the others, line width. Shape and colour both tell.
STYLES: dict[str, tuple[str, str, bool, float, float]] = {
    RIGHT: ("o", _SKY, False, 1.0, 1.0),
    RIGHT_HIDDEN: ("D", _GREEN, False, 0.75, 1.0),
    WRONG: ("x", _VERMILION, False, 1.15, 2.2),
    WRONG_HIDDEN: ("+", _VERMILION, False, 1.4, 2.2),
    MISSED: ("^", _YELLOW, True, 1.0, 0.8),
    MISSED_HIDDEN: ("v", _YELLOW, True, 1.0, 0.8),
    VACANT: ("s", "white", False, 1.3, 1.4),
    UNJUDGED: (".", "0.65", True, 0.45, 0.5),
    SEEN: ("o", _SKY, False, 1.0, 1.0),
    LEANT: ("D", _ORANGE, False, 0.9, 1.4),
    REVIEW: (".", _YELLOW, True, 0.65, 0.5),
    EMPTY: ("s", "white", False, 1.2, 1.4),
    BOTH: (".", "0.75", True, 0.4, 0.5),
    ONLY_OURS: ("o", _SKY, False, 1.0, 1.4),
    ONLY_LOG: ("x", _VERMILION, False, 1.0, 2.0),
}
_PANEL = 5.6  # inches
_DPI = 92
_LINE = 140  # letters in a line of the caption


def sheet(rows: int, columns: int) -> tuple[Figure, NDArray[np.object_]]:
    """Return a figure of square panels without ticks, (rows, columns)."""
    figure, axes = plt.subplots(
        rows, columns, figsize=(_PANEL * columns, _PANEL * rows + 1.0), layout="constrained", squeeze=False
    )
    for axis in axes.flat:
        axis.set_xticks([])
        axis.set_yticks([])
    return figure, axes


def show(axis: Axes, image: NDArray[np.float32], window: Window | None = None, *, dim: bool = False) -> None:
    """Draw an image in grey, or a part of it; `dim` for marks that shall stand out."""
    dark, bright = np.percentile(image, (0.5, 99.7))
    if dim:
        bright += 0.7 * (bright - dark)
    axis.imshow(image, cmap="gray", vmin=dark, vmax=max(bright, dark + 1e-9), interpolation="nearest")
    height, width = image.shape
    low, high = ((-0.5, -0.5), (height - 0.5, width - 0.5))
    if window is not None:
        low = (window.y - 0.5, window.x - 0.5)
        high = (low[0] + window.side, low[1] + window.side)
    axis.set_xlim(low[1], high[1])
    axis.set_ylim(high[0], low[0])


def put(axis: Axes, marks: Marks, names: Sequence[str], spacing: float) -> list[PathCollection]:
    """Draw the marks that lie on a panel; return what the legend needs.

    Parameters
    ----------
    axis : Axes
    marks : dict of str to (N, 2) array
    names : sequence of str
        Which of them, from the lowest to the uppermost. Those that are not here stay out of the legend.
    spacing : float
        Pixels between neighbours: a mark takes a part of it.
    """
    (left, right), (bottom, top) = axis.get_xlim(), axis.get_ylim()
    across = right - left
    points = float(np.clip(0.5 * spacing / across * _PANEL * 72, 2.0, 13.0))
    handles = []
    for name in names:
        marker, colour, filled, size, width = STYLES[name]
        line = width * min(1.0, points / 6)
        kind = {"marker": marker, "s": (points * size) ** 2, "linewidths": line, "label": name}
        if marker in "x+":
            kind["color"] = colour
        else:
            kind |= {"facecolors": colour if filled else "none", "edgecolors": "black" if filled else colour}
        y, x = marks[name].T
        places = marks[name][(y >= top) & (y <= bottom) & (x >= left) & (x <= right)]
        if not len(places):
            continue
        drawn = axis.scatter(places[:, 1], places[:, 0], **kind)
        if points > 4:  # a dark rim keeps a mark visible on a bright column
            drawn.set_path_effects([withStroke(linewidth=line + 1.2, foreground="black", alpha=0.75)])
        handles.append(drawn)
    return handles


def frame(axis: Axes, window: Window) -> None:
    """Draw where a window lies."""
    corner = (window.x - 0.5, window.y - 0.5)
    axis.add_patch(Rectangle(corner, window.side, window.side, fill=False, edgecolor="white", linewidth=1.5))


def scale_bar(axis: Axes, pixel_size: float) -> None:
    """Draw a bar of a round length, about a fifth of the panel."""
    (left, right), (bottom, top) = axis.get_xlim(), axis.get_ylim()
    width = (right - left) * pixel_size
    length = max((n for n in (1, 2, 5, 10, 20, 50, 100, 200) if n <= 0.25 * width), default=1)
    x, y = left + 0.04 * (right - left), bottom + 0.05 * (top - bottom)
    rim = [withStroke(linewidth=6, foreground="black")]
    axis.plot([x, x + length / pixel_size], [y, y], color="white", lw=3.5, path_effects=rim)
    axis.text(
        x + length / pixel_size / 2,
        y + 0.015 * (top - bottom),
        f"{length} Å",
        color="white",
        ha="center",
        va="bottom",
        fontsize=12,
        path_effects=[withStroke(linewidth=3, foreground="black")],
    )


def finish(figure: Figure, caption: str, handles: Sequence[PathCollection], path: Path) -> None:
    """Write caption and legend, and the picture beside its place before it moves there.

    Raises
    ------
    ExportError
        If the file cannot be written.
    """
    lines = [piece for line in caption.splitlines() for piece in textwrap.wrap(line, _LINE)]
    figure.suptitle("\n".join(lines), fontsize=10, x=0.01, ha="left")
    known = {str(handle.get_label()): handle for handle in handles}
    legend = figure.legend(
        list(known.values()),
        list(known),
        loc="outside lower center",
        ncols=min(len(known), 8),
        fontsize=10,
        facecolor="0.25",
        labelcolor="white",
        framealpha=1,
    )
    for handle in legend.legend_handles:
        if isinstance(handle, PathCollection):
            handle.set_sizes([70])
    with replaced(path) as beside:
        options = {"pil_kwargs": {"quality": 80}} if path.suffix in (".jpg", ".jpeg") else {}
        figure.savefig(beside, dpi=_DPI, **options)
    plt.close(figure)
    print(path, flush=True)
