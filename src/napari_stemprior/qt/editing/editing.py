"""Edits of the atoms in a Points layer: each is recorded, and can be undone and redone.

napari tells that points were added, moved or removed; the editor turns that into steps of the
history (`atoms.history`), and draws what the history says. Atoms are told apart by the row where
they stand in the table; the layer shows all rows, or those of a window where there are very many.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pandas as pd
from napari.layers import Points
from numpy.typing import ArrayLike, NDArray
from psygnal import Signal

from napari_stemprior.atoms import ABSENT, UNKNOWN_ELEMENT, AtomHistory, AtomTable
from napari_stemprior.atoms.history import Change
from napari_stemprior.atoms.inferred import inferred
from napari_stemprior.qt.editing.point_events import PointEvents
from napari_stemprior.qt.layers.atom_layers import KEY, rows_from_layer
from napari_stemprior.qt.widgets.drawing import Colouring, by_element, draw, restyle
from napari_stemprior.workflow.merge_edits import Merged, matching_gate, merge

Frame = tuple[int, ...]
Rows = NDArray[np.int64]


class AtomEditor:
    """Keeps a Points layer and the atom table in step, with a history for every frame of a stack.

    Deleting an atom marks it as rejected: it vanishes from view and from exports, but a later
    segmentation leaves its place empty, and undo brings it back.

    Parameters
    ----------
    layer : napari.layers.Points
        As `qt.layers.new_atoms_layer` makes it, or one that was saved and opened again.
    pixel_size : float
        Å/px.
    """

    #: The atoms, their status or the history have changed.
    changed = Signal()
    #: Another colouring, threshold or window: the same atoms are shown in another way.
    restyled = Signal()
    #: A frame began anew with a segmentation, or its history went on; for the journal.
    began = Signal(tuple)
    recorded = Signal(tuple, object)
    went = Signal(tuple, int)

    def __init__(self, layer: Points, pixel_size: float) -> None:
        self.layer = layer
        self.pixel_size = pixel_size
        #: Species of atoms that are added by hand.
        self.new_element = UNKNOWN_ELEMENT
        self.threshold = 0.0
        self.show_rejected = False
        #: Whether atoms that stand on the prior alone are hidden.
        self.hide_inferred = False
        self.colouring: Colouring = by_element
        #: Which rows the layer shows; None for all. `choose_window` is asked after every edit.
        self.window: Rows | None = None
        self.choose_window: Callable[[], Rows | None] | None = None
        self.frame: Frame = ()
        self._histories: dict[Frame, AtomHistory] = {}
        self._provenance: dict[Frame, dict[str, Any]] = {}
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
    def history(self) -> AtomHistory:
        """The edits of the present frame."""
        return self._histories[self.frame]

    @property
    def histories(self) -> dict[Frame, AtomHistory]:
        """The edits of every frame that has atoms or had them."""
        return dict(self._histories)

    @property
    def rows(self) -> pd.DataFrame:
        """Every row of the present frame, the rejected ones included. Do not change it."""
        return self.history.rows

    @property
    def provenance(self) -> dict[str, Any]:
        """What made the atoms of the present frame."""
        return self.provenance_of(self.frame)

    def provenance_of(self, frame: Frame) -> dict[str, Any]:
        """What made the atoms of a frame."""
        return dict(self._provenance.get(frame, {}))

    @property
    def frames(self) -> list[Frame]:
        """The frames of a stack that have atoms."""
        return sorted(f for f, h in self._histories.items() if len(h))

    @property
    def undo_label(self) -> str:
        """What undo would take back; empty if there is nothing."""
        return self.history.undo_label

    @property
    def redo_label(self) -> str:
        """What redo would do again; empty if there is nothing."""
        return self.history.redo_label

    @property
    def hidden(self) -> NDArray[np.bool_]:
        """(N,) which atoms are hidden, by the threshold or as inferred; never one that is vouched for."""
        column = self.history.column
        vouched = np.isin(column("status"), ("accepted", "vacancy")) | (column("source") == "manual")
        hidden = np.asarray((column("confidence") < self.threshold) & ~vouched, bool)
        return hidden | inferred(self.rows) if self.hide_inferred else hidden

    @property
    def shown(self) -> NDArray[np.bool_]:
        """(N,) which rows are to be seen."""
        rejected = self.history.column("status") == "rejected"
        return np.asarray(np.where(rejected, self.show_rejected, ~self.hidden), bool)

    @property
    def yx(self) -> NDArray[np.float64]:
        """(N, 2) positions of the rows in px."""
        return np.stack([self.history.column("y_px"), self.history.column("x_px")], axis=-1)

    def table(
        self, *, shown_only: bool = False, vacancies: bool = False, frame: Frame | None = None
    ) -> AtomTable:
        """Return the atoms; never the rejected ones.

        Parameters
        ----------
        shown_only : bool
            Leave out what the confidence threshold hides.
        vacancies : bool
            Whether the lattice sites that a person found empty are among the rows.
        frame : tuple of int, optional
            Of a stack; the present one by default.
        """
        frame = self.frame if frame is None else frame
        history = self._histories[frame]
        status = history.column("status")
        keep = status != "rejected" if vacancies else ~np.isin(status, ABSENT)
        if shown_only and frame == self.frame:
            keep = keep & ~self.hidden
        provenance = self._provenance.get(frame, {}) | {"edits": history.edited()}
        return AtomTable(history.rows[keep], self.pixel_size, provenance)

    def vacancies(self) -> AtomTable:
        """Return the lattice sites that a person found empty."""
        return self.table(vacancies=True).vacancies

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
    def take_prediction(self, table: AtomTable, *, frame: Frame | None = None, inside: Any = None) -> Merged:
        """Replace the untouched atoms by a new segmentation; edits stay (see `workflow.merge_edits`).

        Parameters
        ----------
        table : AtomTable
        frame : tuple of int, optional
            The frame that was segmented; the present one by default.
        inside : callable, optional
            Tells for (N, 2) pixels which of them lie in the part that was segmented; all by default.
        """
        frame = self.frame if frame is None else frame
        history = self._histories.setdefault(frame, AtomHistory(_no_rows()))
        gate = matching_gate(table.yx, table.pixel_size)
        merged = merge(history.rows, table.rows, gate, history.next_id, inside)
        if inside is None or frame not in self._provenance:
            self._provenance[frame] = {k: v for k, v in table.provenance.items() if k != "edits"}
        else:
            known = self._provenance[frame]
            self._provenance[frame] = known | {"parts": [*known.get("parts", []), dict(table.provenance)]}
        if not len(history) and not history.steps:
            history.begin(merged.rows)  # the first segmentation is where the history begins
            self.began.emit(frame)
            self._show(frame, Change(False))
        else:
            old, new = history.rows, merged.rows
            gone = old[~old["atom_id"].isin(new["atom_id"])]
            come = new[~new["atom_id"].isin(old["atom_id"])]
            self.record("segmentation", gone, come, frame=frame, who="")
        return merged

    def begin(self, frame: Frame, history: AtomHistory, provenance: dict[str, Any]) -> None:
        """Take over a history, such as one that a journal has kept."""
        self._histories[frame] = history
        self._provenance[frame] = dict(provenance)
        self.began.emit(frame)
        self._show(frame, Change(False))

    def add(self, yx: ArrayLike, label: str | None = None, **columns: Any) -> Rows:
        """Add atoms, or vacancies, and return their rows.

        Parameters
        ----------
        yx : (N, 2) array-like
            Pixels.
        label : str, optional
            What the history calls it.
        **columns
            Of the new rows; by default they are accepted atoms of the species `new_element`.
        """
        positions = np.asarray(yx, float).reshape(-1, 2)
        given = {"element": self.new_element, "source": "manual", "status": "accepted"} | columns
        first = self.history.next_id
        new = AtomTable.from_positions(
            positions, self.pixel_size, atom_id=np.arange(first, first + len(positions)), **given
        ).rows
        words = f"add {given['element']}" if np.isscalar(given["element"]) else "add"
        self.record(_counted(label or words, len(new)), _no_rows(), new)
        return np.arange(len(self.history) - len(new), len(self.history))

    def move(self, rows: Iterable[int], yx: ArrayLike) -> None:
        """Put the atoms at these rows elsewhere; that also accepts them."""
        chosen = np.array(list(rows), int)
        to = np.asarray(yx, float).reshape(-1, 2)
        before = self.rows.iloc[chosen]
        after = before.assign(y_px=to[:, 0], x_px=to[:, 1], source="manual", status="accepted")
        self.record(_counted("move", len(chosen)), before, after)

    def preview_move(self, row: int, yx: ArrayLike) -> None:
        """Show an atom elsewhere while it is dragged; `move` then makes it an edit."""
        points = self._to_points(np.array([row]))
        if len(points):
            self.layer.data[points[0], -2:] = np.asarray(yx, float)
            self.layer.refresh(extent=False)

    def delete(self, rows: Iterable[int]) -> None:
        """Reject the atoms at these rows; a mark of a vacancy goes away, so that its site is open again."""
        chosen = np.array(sorted({int(i) for i in rows}), int)
        status = self.history.column("status")[chosen]
        if not (status == "vacancy").any():
            self._assign(chosen, "delete", status="rejected")
            return
        before = self.rows.iloc[chosen]
        after = before[status != "vacancy"].assign(status="rejected")
        self.record(_counted("delete", len(before)), before, after)

    def set_status(self, rows: Iterable[int], status: str) -> None:
        """Give the atoms at these rows a status."""
        self._assign(rows, f"mark {status}", status=status)

    def set_element(self, rows: Iterable[int], element: str) -> None:
        """Give the atoms at these rows a species; that also accepts them."""
        self._assign(rows, f"set {element}", element=element, source="manual", status="accepted")

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

    def copy_to_frame(self, frame: Frame) -> int:
        """Copy the atoms of the present frame into another one and return their number.

        What the other frame has is kept; only atoms within the gate of none of its atoms are added.
        """
        table = self.table(vacancies=True)
        history = self._histories.setdefault(frame, AtomHistory(_no_rows()))
        gate = matching_gate(table.yx, self.pixel_size)
        there = history.rows[history.rows["status"] != "rejected"]
        merged = merge(there.assign(status="accepted"), table.rows, gate, history.next_id)
        new = merged.rows[merged.rows["atom_id"] >= history.next_id]
        if len(new):
            self._provenance.setdefault(frame, self.provenance | {"copied_from_frame": list(self.frame)})
            if not history.steps and not len(history):
                self.began.emit(frame)
            self.record(f"copy from frame {_number(self.frame)}", _no_rows(), new, frame=frame)
        return len(new)

    def undo(self) -> str:
        """Take the last edit back and return its label; empty if there was none."""
        label = self.history.undo_label
        if label:
            self.go_to(self.history.position - 1)
        return label

    def redo(self) -> str:
        """Do the edit again that was undone last and return its label; empty if there was none."""
        label = self.history.redo_label
        if label:
            self.go_to(self.history.position + 1)
        return label

    def go_to(self, position: int) -> None:
        """Go to the state after that many edits of the present frame."""
        change = self.history.go_to(position)
        self.went.emit(self.frame, position)
        self._show(self.frame, change)

    # --- view ---------------------------------------------------------------------------------
    def set_frame(self, frame: Frame) -> None:
        """Show the atoms of another frame of a stack."""
        if frame != self.frame:
            self.frame = frame
            self._histories.setdefault(frame, AtomHistory(_no_rows()))
            self.window = None if self.choose_window is None else self.choose_window()
            self.redraw()
            self.changed.emit()

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
        restyle(self.layer, self.rows.iloc[index], self.shown[index], self.colouring)
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
        self._provenance = dict(kept.get("provenances", {})) or {(): dict(kept.get("provenance", {}))}
        self.frame = kept.get("frame", ())
        self._histories = {f: h.copy() for f, h in kept.get("histories", {}).items()}
        if self.frame not in self._histories:
            self._histories[self.frame] = AtomHistory(rows_from_layer(self.layer))

    def _assign(self, rows: Iterable[int], label: str, **values: Any) -> None:
        chosen = sorted({int(i) for i in rows})
        before = self.rows.iloc[chosen]
        after = before.assign(**values)
        if len(before) and not after.equals(before):
            self.record(_counted(label, len(before)), before, after)

    def record(
        self,
        label: str,
        before: pd.DataFrame,
        after: pd.DataFrame,
        *,
        frame: Frame | None = None,
        who: str | None = None,
    ) -> None:
        """Do an edit and remember it; for what this class and the events of the layer have prepared.

        Parameters
        ----------
        label : str
            What the history calls it.
        before, after : pandas.DataFrame
            The touched rows, before and after it.
        frame : tuple of int, optional
            The present one by default.
        who : str, optional
            This user by default; an empty one is the network.
        """
        frame = self.frame if frame is None else frame
        history = self._histories[frame]
        change = history.record(label, before, after, who=who)
        self.recorded.emit(frame, history.steps[-1])
        self._show(frame, change)

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
            draw(self.layer, self.rows.iloc[index], self.shown[index], self.colouring)
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


def _no_rows() -> pd.DataFrame:
    return AtomTable.empty(1.0).rows


def _counted(label: str, n: int) -> str:
    return label if n == 1 else f"{label} ({n})"


def _number(frame: Frame) -> str:
    return ", ".join(str(i + 1) for i in frame) or "1"
