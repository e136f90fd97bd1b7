"""The Points layer of the atoms: its events become edits, and it shows what the history says.

napari tells that points were added, moved or removed; `point_events` turns that into edits
(`atom_edits`). Atoms are told apart by the row where they stand in the table; the layer shows all
rows, or those of a window where there are very many.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import pandas as pd
from napari.layers import Points
from numpy.typing import ArrayLike, NDArray
from psygnal import Signal

from napari_stemprior.atoms import AtomHistory
from napari_stemprior.atoms.history import Change
from napari_stemprior.atoms.inferred import inferred
from napari_stemprior.qt.editing.atom_edits import AtomEdits, Frame, Rows
from napari_stemprior.qt.editing.point_events import PointEvents
from napari_stemprior.qt.layers.atom_layers import KEY, rows_from_layer
from napari_stemprior.qt.widgets.drawing import Colouring, by_element, draw, restyle


class AtomEditor(AtomEdits):
    """Keeps a Points layer and the edited atoms in step.

    Parameters
    ----------
    layer : napari.layers.Points
        As `qt.layers.new_atoms_layer` makes it, or one that was saved and opened again.
    pixel_size : float
        Å/px.
    """

    #: Another colouring, threshold or window: the same atoms are shown in another way.
    restyled = Signal()

    def __init__(self, layer: Points, pixel_size: float) -> None:
        super().__init__(pixel_size)
        self.layer = layer
        self.show_rejected = False
        #: Whether atoms below the threshold are drawn faintly instead of being hidden.
        self.dim = False
        self.colouring: Colouring = by_element
        #: Which rows the layer shows; None for all. `choose_window` is asked after every edit.
        self.window: Rows | None = None
        self.choose_window: Callable[[], Rows | None] | None = None
        #: Whether the layer is being drawn, so that its events are no edits.
        self.writing = False
        self._events = PointEvents(self)
        self._adopt()
        self.redraw()
        self.attach()

    def attach(self) -> None:
        """Listen to the layer."""
        self._events.connect()

    def detach(self) -> None:
        """Let go of the layer; its points and features stay."""
        self._events.disconnect()

    # --- what is there ------------------------------------------------------------------------
    @property
    def shown(self) -> NDArray[np.bool_]:
        """(N,) which rows are to be seen."""
        rejected = self.history.column("status") == "rejected"
        return np.asarray(np.where(rejected, self.show_rejected, ~self.hidden | self.dimmed), bool)

    @property
    def dimmed(self) -> NDArray[np.bool_]:
        """(N,) which rows are drawn faintly: they do not count, and can be selected."""
        if not self.dim:
            return np.zeros(len(self.history), bool)
        below: NDArray[np.bool_] = self.below & (self.history.column("status") != "rejected")
        return below & ~inferred(self.rows) if self.hide_inferred else below

    @property
    def selected_rows(self) -> list[int]:
        """The rows of the selected points; napari's box selects hidden ones too, which do not count."""
        rows = self.to_rows(np.array(sorted(self.layer.selected_data), int))
        return [int(i) for i in rows[self.shown[rows]]]

    def select(self, rows: Iterable[int]) -> None:
        """Select rows; those that the layer does not show cannot be."""
        self.layer.selected_data = set(self._to_points(np.array(sorted(rows), int)).tolist())

    @property
    def drawn(self) -> pd.DataFrame:
        """The rows that the layer shows, in the order of its points."""
        return self.rows.iloc[self._index]

    # --- edits --------------------------------------------------------------------------------
    def preview_move(self, row: int, yx: ArrayLike) -> None:
        """Show an atom elsewhere while it is dragged; `move` then makes it an edit."""
        points = self._to_points(np.array([row]))
        if len(points):
            self.layer.data[points[0], -2:] = np.asarray(yx, float)
            self.layer.refresh(extent=False)

    def paste(self, at: ArrayLike | None = None) -> None:
        """Paste the copied points as new atoms; napari's own paste tells nobody.

        Parameters
        ----------
        at : (2,) array-like, optional
            Where the middle of the pasted atoms comes to lie, px; where they were by default.
        """
        clipboard = getattr(self.layer, "_clipboard", None) or {}
        yx = np.asarray(clipboard.get("data", ()), float).reshape(-1, self.layer.ndim)[:, -2:]
        if not len(yx):
            return
        if at is not None:
            yx = yx + np.asarray(at, float) - yx.mean(axis=0)
        features = clipboard.get("features")
        known = {
            c: features[c].to_numpy() for c in ("element", "layer") if features is not None and c in features
        }
        self.select(self.add(yx, "paste", **known))

    # --- view ---------------------------------------------------------------------------------
    def set_window(self, rows: Rows | None) -> None:
        """Show only these rows, ascending, or all."""
        if rows is None and self.window is None:
            return
        if rows is not None and self.window is not None and np.array_equal(rows, self.window):
            return
        selected = self.selected_rows
        self.window = rows
        self.redraw()
        self.select(selected)

    def update_shown(self) -> None:
        """Show the points by the present threshold, colouring and choice of rejected ones."""
        index = self._index
        restyle(self.layer, self.rows.iloc[index], self.shown[index], self.colouring, self.dimmed[index])
        self.restyled.emit()

    # --- inside -------------------------------------------------------------------------------
    @property
    def _index(self) -> Rows | slice:
        return slice(None) if self.window is None else self.window

    def to_rows(self, points: Rows) -> Rows:
        """Return the rows of points of the layer."""
        return points if self.window is None else self.window[points]

    def _to_points(self, rows: Rows) -> Rows:
        if self.window is None:
            return rows
        at = np.searchsorted(self.window, rows)
        there = at < len(self.window)
        there[there] = self.window[at[there]] == rows[there]
        return at[there].astype(np.int64)

    def _adopt(self) -> None:
        """Take up the histories that an earlier desk left in the layer, and what was changed since."""
        kept = self.layer.metadata.setdefault(KEY, {})
        if "ring" in kept:
            self.layer.current_size = kept.pop("ring")
        self._provenance = dict(kept.get("provenances", {})) or {(): dict(kept.get("provenance", {}))}
        self.frame = kept.get("frame", ())
        self._histories = {f: h.copy() for f, h in kept.get("histories", {}).items()}
        if self.frame not in self._histories:
            self._histories[self.frame] = AtomHistory(rows_from_layer(self.layer))

    def _show(self, frame: Frame, change: Change) -> None:
        if frame == self.frame:
            if not change.same_rows:
                self.window = None if self.choose_window is None else self.choose_window()
            self.redraw()
        self._keep()
        self.changed.emit()

    def _keep(self) -> None:
        """Leave in the layer what another desk needs to go on; copies of a history are cheap."""
        self.layer.metadata.setdefault(KEY, {}).update(
            histories=self._histories,
            provenances=self._provenance,
            provenance=self.provenance,
            frame=self.frame,
            rows=None if self.window is None else self.rows,
        )

    def redraw(self) -> None:
        """Make the layer show what the history says; the selection stays."""
        index = self._index
        selected = self._selected_ids() if len(self.layer.data) else np.empty(0, np.int64)
        self.writing = True
        try:
            draw(self.layer, self.rows.iloc[index], self.shown[index], self.colouring, self.dimmed[index])
            self._keep()
            rows = np.flatnonzero(np.isin(self.history.ids, selected)) if len(selected) else selected
            kept = self._to_points(rows[self.shown[rows]])
            if set(kept.tolist()) != set(self.layer.selected_data):
                self.layer.selected_data = set(kept.tolist())
        finally:
            self.writing = False

    def _selected_ids(self) -> Rows:
        """Return the ids of the selected points, as their features have them."""
        features = self.layer.features
        chosen = [i for i in self.layer.selected_data if i < len(features)]
        if not chosen or "atom_id" not in features:
            return np.empty(0, np.int64)
        return np.unique(features["atom_id"].to_numpy()[chosen].astype(np.int64))
