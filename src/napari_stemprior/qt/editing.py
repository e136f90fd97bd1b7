"""Edits of the atoms in a Points layer: each is recorded, and can be undone and redone.

napari tells that points were added, moved or removed; the editor turns that into rows of the atom
table. It holds a copy of the rows, since napari changes its data in place while a point is dragged.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from napari.layers import Points
from numpy.typing import NDArray
from psygnal import Signal

from napari_stemprior.atoms import COLUMNS, STATUSES, UNKNOWN_ELEMENT, AtomTable
from napari_stemprior.qt.layers import KEY, rows_from_layer, style_rows, write_rows
from napari_stemprior.qt.merge import Merged, matching_gate, merge

#: Columns that a person can change in napari's table of features.
_FREE_COLUMNS = ("element", "site", "layer", "status")


@dataclass(frozen=True)
class Edit:
    """One step of the history: the touched rows before and after it, told apart by their ids."""

    label: str
    before: pd.DataFrame
    after: pd.DataFrame


class AtomEditor:
    """Keeps a Points layer and the atom table in step, with a history.

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

    def __init__(self, layer: Points, pixel_size: float) -> None:
        self.layer = layer
        self.pixel_size = pixel_size
        #: Species of atoms that are added by hand.
        self.new_element = UNKNOWN_ELEMENT
        self.threshold = 0.0
        self.show_rejected = False
        self._undo: list[Edit] = []
        self._redo: list[Edit] = []
        self._writing = False
        self._rows = _ordered(rows_from_layer(layer))
        self._next_id = int(self._rows["atom_id"].max()) + 1 if len(self._rows) else 0
        self._write()
        self.attach()

    def attach(self) -> None:
        """Listen to the layer."""
        self.layer.events.data.connect(self._on_data)
        self.layer.events.features.connect(self._on_features)

    def detach(self) -> None:
        """Let go of the layer; its points and features stay."""
        self.layer.events.data.disconnect(self._on_data)
        self.layer.events.features.disconnect(self._on_features)

    @property
    def rows(self) -> pd.DataFrame:
        """Every row, the rejected ones included, in the order of the points. Do not change it."""
        return self._rows

    @property
    def provenance(self) -> dict[str, Any]:
        """What made the atoms."""
        return dict(self.layer.metadata.get(KEY, {}).get("provenance", {}))

    @property
    def undo_label(self) -> str:
        """What undo would take back; empty if there is nothing."""
        return self._undo[-1].label if self._undo else ""

    @property
    def redo_label(self) -> str:
        """What redo would do again; empty if there is nothing."""
        return self._redo[-1].label if self._redo else ""

    @property
    def hidden(self) -> NDArray[np.bool_]:
        """(N,) which atoms the confidence threshold hides; never one that a person vouches for."""
        vouched = (self._rows["status"] == "accepted") | (self._rows["source"] == "manual")
        return ((self._rows["confidence"] < self.threshold) & ~vouched).to_numpy(bool)

    def table(self, *, shown_only: bool = False) -> AtomTable:
        """Return the atoms without the rejected ones, optionally without the hidden ones."""
        keep = (self._rows["status"] != "rejected").to_numpy(bool)
        if shown_only:
            keep = keep & ~self.hidden
        return AtomTable(self._rows[keep], self.pixel_size, self.provenance)

    # --- edits --------------------------------------------------------------------------------
    def take_prediction(self, table: AtomTable) -> Merged:
        """Replace the untouched atoms by a new segmentation; edits stay (see `qt.merge`)."""
        gate = matching_gate(table.yx, table.pixel_size)
        merged = merge(self._rows, table.rows, gate, self._next_id)
        gone = self._rows[~self._rows["atom_id"].isin(merged.rows["atom_id"])]
        new = merged.rows[~merged.rows["atom_id"].isin(self._rows["atom_id"])]
        first = self._rows.empty
        self.layer.metadata.setdefault(KEY, {})["provenance"] = dict(table.provenance)
        self._record("segmentation", gone, new)
        if first:
            self._undo.clear()  # the first segmentation is where the history begins
            self.changed.emit()
        return merged

    def set_status(self, indices: Iterable[int], status: str) -> None:
        """Give the atoms at these rows a status."""
        self._assign(indices, f"mark {status}", status=status)

    def set_element(self, indices: Iterable[int], element: str) -> None:
        """Give the atoms at these rows a species; that also accepts them."""
        self._assign(indices, f"set {element}", element=element, source="manual", status="accepted")

    def paste(self) -> None:
        """Paste the copied points as new atoms; napari's own paste tells nobody."""
        clipboard = getattr(self.layer, "_clipboard", None) or {}
        if len(clipboard.get("data", ())):
            self.layer.add(np.array(clipboard["data"], float))

    def undo(self) -> str:
        """Take the last edit back and return its label; empty if there was none."""
        if not self._undo:
            return ""
        edit = self._undo.pop()
        self._redo.append(edit)
        self._replace(edit.after, edit.before)
        return edit.label

    def redo(self) -> str:
        """Do the edit again that was undone last and return its label; empty if there was none."""
        if not self._redo:
            return ""
        edit = self._redo.pop()
        self._undo.append(edit)
        self._replace(edit.before, edit.after)
        return edit.label

    # --- view ---------------------------------------------------------------------------------
    def update_shown(self) -> None:
        """Hide what the threshold or a rejection hides; nothing is deleted."""
        rejected = (self._rows["status"] == "rejected").to_numpy(bool)
        shown = np.where(rejected, self.show_rejected, ~self.hidden)
        if len(shown):
            self.layer.shown = shown

    # --- inside -------------------------------------------------------------------------------
    def _assign(self, indices: Iterable[int], label: str, **values: Any) -> None:
        chosen = sorted({int(i) for i in indices})
        before = self._rows.iloc[chosen]
        after = before.assign(**values)
        if len(before) and not after.equals(before):
            self._record(f"{label} ({len(before)})" if len(before) > 1 else label, before, after)
            self.layer.selected_data = set(chosen)

    def _record(self, label: str, before: pd.DataFrame, after: pd.DataFrame) -> None:
        self._undo.append(Edit(label, before.copy(), after.copy()))
        self._redo.clear()
        self._replace(before, after)

    def _replace(self, old: pd.DataFrame, new: pd.DataFrame) -> None:
        rest = self._rows[~self._rows["atom_id"].isin(old["atom_id"])]
        parts = [part for part in (rest, new) if len(part)]
        self._rows = _ordered(pd.concat(parts)) if parts else rest.iloc[:0]
        if len(self._rows):
            self._next_id = max(self._next_id, int(self._rows["atom_id"].max()) + 1)
        self._write()
        self.changed.emit()

    def _write(self) -> None:
        self._writing = True
        try:
            if len(self._rows) == len(self.layer.data) and np.array_equal(
                self.layer.data, self._rows[["y_px", "x_px"]]
            ):
                self.layer.features = self._rows.copy()
                style_rows(self.layer, self._rows)
            else:
                write_rows(self.layer, self._rows)
            self.update_shown()
        finally:
            self._writing = False

    def _on_data(self, event: Any) -> None:
        if self._writing:
            return
        action = getattr(event.action, "value", str(event.action))
        if action == "added":
            self._added()
        elif action == "changed":
            self._moved()
        elif action == "removed":
            self._removed()

    def _added(self) -> None:
        """Give new points rows of their own; napari copied those of the selected point."""
        yx = self.layer.data[len(self._rows) :, -2:]
        if not len(yx):
            return
        new = AtomTable.from_positions(
            yx,
            self.pixel_size,
            atom_id=np.arange(self._next_id, self._next_id + len(yx)),
            element=self.new_element,
            source="manual",
            status="accepted",
        ).rows
        self._record(f"add {self.new_element}", self._rows.iloc[:0], new)

    def _moved(self) -> None:
        """Take over moved points, or data that were set as a whole."""
        n = min(len(self.layer.data), len(self._rows))
        yx = self.layer.data[:n, -2:]
        moved = np.flatnonzero((yx != self._rows[["y_px", "x_px"]].to_numpy()[:n]).any(axis=1))
        if len(moved):
            before = self._rows.iloc[moved]
            after = before.assign(y_px=yx[moved, 0], x_px=yx[moved, 1], source="manual", status="accepted")
            selected = set(self.layer.selected_data)
            extra = self.layer.data[n:, -2:].copy()
            self._record("move" if len(moved) == 1 else f"move ({len(moved)})", before, after)
            self.layer.selected_data = {i for i in selected if i < len(self._rows)}
            if len(extra):
                self.layer.add(extra)
        elif len(self.layer.data) > n:
            self._added()
        elif len(self.layer.data) < len(self._rows):
            self._removed()

    def _removed(self) -> None:
        """Keep removed atoms as rejected ones."""
        left = set(self.layer.features["atom_id"]) if len(self.layer.data) else set()
        gone = self._rows[~self._rows["atom_id"].isin(left)]
        if len(gone):
            label = "delete" if len(gone) == 1 else f"delete ({len(gone)})"
            self._record(label, gone, gone.assign(status="rejected"))

    def _on_features(self, event: Any) -> None:
        """Take over what was typed into napari's table of features."""
        features = self.layer.features
        if self._writing or len(features) != len(self._rows) or any(c not in features for c in COLUMNS):
            return
        different = np.zeros(len(features), bool)
        for column in _FREE_COLUMNS:
            different |= features[column].to_numpy() != self._rows[column].to_numpy()
        if not different.any():
            return
        before = self._rows[different]
        after = before.assign(**{c: features.loc[different, c].to_numpy() for c in _FREE_COLUMNS})
        if after["status"].isin(STATUSES).all() and not after.isna().any(axis=None):
            self._record("table edit", before, after.astype(COLUMNS))
        else:
            self._write()  # a word that means nothing here: put the old value back


def _ordered(rows: pd.DataFrame) -> pd.DataFrame:
    """Sort by id, which is the order in which atoms came; undo is then exact, order included."""
    return rows.sort_values("atom_id", kind="stable").reset_index(drop=True).astype(COLUMNS)
