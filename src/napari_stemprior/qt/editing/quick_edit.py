"""Quick edit: the mouse adds, moves, deletes and selects atoms without changing tools."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from napari.layers import Points
from numpy.typing import NDArray
from psygnal import Signal

from napari_stemprior.qt.editing.atom_editor import AtomEditor
from napari_stemprior.qt.image_context import REACH, ImageContext

Floats = NDArray[np.float64]

#: Screen pixels that the mouse may move within a click.
_CLICK = 5
_LEFT, _RIGHT = 1, 2


class QuickEdit:
    """The mouse on the atoms layer while quick edit is on.

    Parameters
    ----------
    context : ImageContext
    """

    #: It was switched on or off.
    toggled = Signal(bool)

    def __init__(self, context: ImageContext) -> None:
        self.context = context
        self._layer: Points | None = None

    @property
    def active(self) -> bool:
        """Whether it is on."""
        return self._layer is not None

    def switch(self, on: bool) -> None:
        """Switch it on or off; it ends with its atoms layer."""
        editor = self.context.session.editor
        on = on and editor is not None
        if on == self.active and (editor is None or self._layer in (None, editor.layer)):
            return
        if self._layer is not None:
            self._layer.events.mode.disconnect(self._on_mode)
            self._layer.mouse_drag_callbacks.remove(self._on_mouse)
            self._layer = None
        if on and editor is not None:
            self.context.session.activate_atoms()
            editor.layer.mode = "pan_zoom"
            self._layer = editor.layer
            self._layer.mouse_drag_callbacks.append(self._on_mouse)
            self._layer.events.mode.connect(self._on_mode)
        self.toggled.emit(self.active)

    def follow(self) -> None:
        """Go on with another atoms layer, or end with the last one."""
        editor = self.context.session.editor
        if self.active and (editor is None or editor.layer is not self._layer):
            self.switch(False)

    def at(self, yx: Floats) -> int | None:
        """Return the row of the shown atom at a pixel, or None."""
        editor = self.context.session.editor
        rows = self._touched(editor, yx) if editor is not None else np.empty(0, int)
        return None if not len(rows) or editor is None else int(rows[np.argmin(_far(editor.yx[rows], yx))])

    # --- inside -------------------------------------------------------------------------------
    def _on_mode(self, event: Any) -> None:
        if self._layer is not None and str(self._layer.mode) != "pan_zoom":
            self.switch(False)  # a person took one of napari's tools

    def _on_mouse(self, layer: Points, event: Any) -> Iterator[None]:
        editor = self.context.session.editor
        if editor is None or editor.layer is not layer:
            return
        place = _pixel(layer, event)
        if event.button == _RIGHT:
            yield from self._brush(editor, event, place)
        elif event.button == _LEFT and "Shift" in event.modifiers:
            yield from self._lasso(editor, event, place)
        elif event.button == _LEFT and not event.modifiers:
            row = self.at(place)
            yield from self._click(editor, event, place) if row is None else self._drag(editor, event, row)

    def _click(self, editor: AtomEditor, event: Any, place: Floats) -> Iterator[None]:
        """Add an atom, unless the view was dragged."""
        start, far = np.array(event.pos), 0.0
        yield
        while event.type == "mouse_move":
            far = max(far, float(np.hypot(*(np.array(event.pos) - start))))
            if far < _CLICK:
                event.handled = True
            yield
        if far < _CLICK:
            spot = self.context.snap(place)
            taken = self.at(spot)
            if taken is None:
                editor.select(editor.add([spot]))
            else:
                editor.select([taken])

    def _drag(self, editor: AtomEditor, event: Any, row: int) -> Iterator[None]:
        """Select an atom, and move it with the mouse."""
        layer, start = editor.layer, np.array(event.pos)
        grabbed = editor.yx[row] - _pixel(layer, event)
        editor.select([row])
        event.handled = True
        place = None
        yield
        while event.type == "mouse_move":
            event.handled = True
            if place is not None or np.hypot(*(np.array(event.pos) - start)) >= _CLICK:
                place = _pixel(layer, event) + grabbed
                editor.preview_move(row, place)
            yield
        event.handled = True
        if place is not None:
            editor.move([row], [place])

    def _brush(self, editor: AtomEditor, event: Any, place: Floats) -> Iterator[None]:
        """Delete the atom at the mouse, and all that it touches while it is dragged."""
        event.handled = True
        touched = set(self._touched(editor, place).tolist())
        if len(touched) > 1:
            touched = {self.at(place)}
        path = [place]
        yield
        while event.type == "mouse_move":
            event.handled = True
            last, now = path[-1], _pixel(editor.layer, event)
            steps = max(1, int(np.hypot(*(now - last)) / (REACH * self.context.spacing)))
            for part in np.linspace(0, 1, steps + 1)[1:]:  # a quick mouse leaves gaps
                touched |= set(self._touched(editor, last + part * (now - last)).tolist())
            path.append(now)
            editor.select(touched)
            yield
        event.handled = True
        if touched:
            editor.layer.selected_data = set()
            editor.delete(int(i) for i in touched)

    def _lasso(self, editor: AtomEditor, event: Any, place: Floats) -> Iterator[None]:
        """Select what a loop encloses."""
        layer = editor.layer
        event.handled = True
        path = [place]
        yield
        while event.type == "mouse_move":
            event.handled = True
            path.append(_pixel(layer, event))
            _draw_path(layer, np.array([*path, path[0]]))
            yield
        event.handled = True
        _draw_path(layer, None)
        if len(path) > 2:
            inside = enclosed(editor.yx, np.array(path)) & editor.shown
            editor.select(np.flatnonzero(inside).tolist())

    def _touched(self, editor: AtomEditor, yx: Floats) -> NDArray[np.int64]:
        reach = REACH * self.context.spacing
        y, x = editor.history.column("y_px"), editor.history.column("x_px")
        near = np.flatnonzero((np.abs(y - yx[0]) <= reach) & (np.abs(x - yx[1]) <= reach))
        near = near[_far(editor.yx[near], yx) <= reach]
        return near[editor.shown[near]]


def enclosed(yx: Floats, loop: Floats) -> NDArray[np.bool_]:
    """Tell which of (N, 2) places lie inside a closed loop of (M, 2) corners (even-odd rule)."""
    inside = np.zeros(len(yx), bool)
    y, x = yx[:, 0], yx[:, 1]
    for (y0, x0), (y1, x1) in zip(loop, np.roll(loop, -1, axis=0), strict=True):
        if y0 != y1:
            crosses = (y0 > y) != (y1 > y)
            inside ^= crosses & (x < x0 + (y - y0) / (y1 - y0) * (x1 - x0))
    return inside


def _far(yx: Floats, place: Floats) -> Floats:
    return np.asarray(np.hypot(yx[:, 0] - place[0], yx[:, 1] - place[1]))


def _pixel(layer: Points, event: Any) -> Floats:
    return np.asarray(layer.world_to_data(event.position), float)[-2:]


def _draw_path(layer: Points, path: Floats | None) -> None:
    """Draw a line with the box that napari draws around a selection."""
    layer._highlight_box = path  # type: ignore[assignment]  # napari types it as the None it starts with
    layer.events.highlight()
