"""Atoms as points: one quiet write of positions, features and style, then one repaint.

Every public setter of a Points layer repaints it, which at 50,000 points costs a tenth of a second
each; so the events of the layer are held back while everything is set.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from operator import is_

import numpy as np
import pandas as pd
from napari.layers import Points
from napari.layers.base import ActionType
from napari.layers.points._points_constants import Symbol
from numpy.typing import NDArray

from napari_stemprior.atoms import ABSENT
from napari_stemprior.qt.layers.atom_layers import KEY
from napari_stemprior.qt.layers.palette import element_colour

Floats = NDArray[np.float64]
#: Gives (N, 4) ring colours for the rows of an atom table.
Colouring = Callable[[pd.DataFrame], Floats]

#: Symbol of a point by the status of its atom: a square is to be reviewed, a diamond is an empty site.
SYMBOLS = {"ok": "disc", "review": "square", "accepted": "disc", "rejected": "x", "vacancy": "diamond"}
_SYMBOLS = {status: Symbol(name) for status, name in SYMBOLS.items()}
#: Opacity of a ring that is drawn faintly, as a part of that of others.
DIM = 0.3
#: Ring colour of rows that are no atoms.
_GREY, _VACANCY = (0.6, 0.6, 0.6, 1.0), (1.0, 1.0, 1.0, 1.0)
#: Opacity of the filling that marks the current atom; the column below it is still seen.
_FILLING = 0.5


def by_element(rows: pd.DataFrame) -> Floats:
    """Colour atoms by their element."""
    codes, names = pd.factorize(rows["element"].to_numpy())
    return np.array([(*element_colour(str(e)), 1.0) for e in names]).reshape(-1, 4)[codes]


def ring_colours(rows: pd.DataFrame, colouring: Colouring) -> Floats:
    """Return the colours of the rings, those of rejected rows and vacancies included."""
    colours = np.asarray(colouring(rows), float)
    status = rows["status"].to_numpy()
    for word, colour in zip(ABSENT, (_GREY, _VACANCY), strict=True):
        colours[status == word] = colour
    return colours


def draw(
    layer: Points,
    rows: pd.DataFrame,
    shown: NDArray[np.bool_],
    colouring: Colouring = by_element,
    dimmed: NDArray[np.bool_] | None = None,
) -> None:
    """Make a layer show rows of an atom table and nothing else.

    Parameters
    ----------
    layer : napari.layers.Points
    rows : pandas.DataFrame
        Of an atom table.
    shown : (N,) array of bool
        Which of them are visible.
    colouring : callable
        Ring colours of the rows.
    dimmed : (N,) array of bool, optional
        Which of them are drawn faintly; none by default.
    """
    yx = rows[["y_px", "x_px"]].to_numpy(float)
    moved = len(yx) != len(layer.data) or not np.array_equal(yx, layer.data)
    with _quiet(layer):
        if moved:
            if len(yx) < len(layer.data) and layer.selected_data:
                layer.selected_data = set()  # of points that may be no more
            layer.data = yx
        layer.features = rows.reset_index(drop=True)
        _style(layer, rows, shown, colouring, dimmed)
    layer.refresh(extent=moved)
    if moved:
        layer.events.data(
            value=layer.data,
            action=ActionType.CHANGED,
            data_indices=tuple(range(len(yx))),
            vertex_indices=((),),
        )
    layer.events.features()


def restyle(
    layer: Points,
    rows: pd.DataFrame,
    shown: NDArray[np.bool_],
    colouring: Colouring,
    dimmed: NDArray[np.bool_] | None = None,
) -> None:
    """Show the same points in another way."""
    with _quiet(layer):
        _style(layer, rows, shown, colouring, dimmed)
    layer.refresh(extent=False)


def _style(
    layer: Points,
    rows: pd.DataFrame,
    shown: NDArray[np.bool_],
    colouring: Colouring,
    dimmed: NDArray[np.bool_] | None,
) -> None:
    """Set the style directly rather than mapped from a feature.

    One missing value in a mapped column would hide every point.
    """
    if rows.empty:
        return
    colours = ring_colours(rows, colouring)
    if dimmed is not None:
        colours[dimmed, 3] *= DIM
    # napari 0.9 heeds `shown` only of points with more than two axes, so a hidden one is drawn as nothing
    colours[~shown, 3] = 0.0
    layer.border_color = colours
    layer.face_color = _faces(layer, colours)
    codes, names = pd.factorize(rows["status"].to_numpy())
    symbols = np.array([_SYMBOLS[s] for s in names], object)[codes]
    if not all(map(is_, symbols, layer.symbol)):  # setting them costs more than all the rest
        layer.symbol = symbols
    kept = layer.metadata.setdefault(KEY, {})
    if layer.current_size > 0:  # selecting a hidden point makes its size the current one
        kept["size"] = float(layer.current_size)
    layer.size = np.where(shown, kept.get("size", 1.0), 0.0)
    layer.shown = shown


def mark_current(layer: Points) -> None:
    """Fill the ring of the one selected atom, and of no other: napari's frame is blue on blue rings."""
    if not len(layer.data):
        return
    faces = _faces(layer, np.asarray(layer.border_color))
    if np.array_equal(faces, layer.face_color):
        return
    with _quiet(layer):
        layer.face_color = faces
    layer.refresh(extent=False, thumbnail=False)


def _faces(layer: Points, rings: Floats) -> Floats:
    """Return (N, 4) fillings: none but that of the current atom, in the colour of its ring."""
    faces = np.zeros((len(rings), 4))
    if len(layer.selected_data) == 1:
        (current,) = layer.selected_data
        if current < len(rings):
            faces[current] = rings[current]
            faces[current, 3] *= _FILLING
    return faces


@contextmanager
def _quiet(layer: Points) -> Iterator[None]:
    """Hold back the events of a layer, and its views of itself: one refresh follows for all that is set."""
    blocked: Callable[[], AbstractContextManager[None]] = getattr(layer, "_block_refresh", nullcontext)
    with (
        blocked(),
        layer.events.blocker_all(),
        layer._border.events.blocker_all(),
        layer._face.events.blocker_all(),
        layer.text.events.blocker_all(),
    ):
        yield
