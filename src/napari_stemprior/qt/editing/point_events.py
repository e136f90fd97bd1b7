"""What a person does to the points with napari's own tools, as edits of atoms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_stemprior.atoms import COLUMNS, STATUSES
from napari_stemprior.qt.widgets.drawing import mark_current

if TYPE_CHECKING:
    from napari_stemprior.qt.editing.atom_editor import AtomEditor

#: Columns that a person can change in napari's table of features.
_FREE_COLUMNS = ("element", "site", "layer", "status")


class PointEvents:
    """Listens to the layer of an editor, and hands it what was added, moved, removed or typed.

    Parameters
    ----------
    editor : AtomEditor
    """

    def __init__(self, editor: AtomEditor) -> None:
        self.editor = editor

    def connect(self) -> None:
        """Listen to the layer."""
        self.editor.layer.events.data.connect(self._on_data)
        self.editor.layer.events.features.connect(self._on_features)
        self.editor.layer.selected_data.events.items_changed.connect(self._on_selected)

    def disconnect(self) -> None:
        """Let go of the layer."""
        self.editor.layer.events.data.disconnect(self._on_data)
        self.editor.layer.events.features.disconnect(self._on_features)
        self.editor.layer.selected_data.events.items_changed.disconnect(self._on_selected)

    def _on_selected(self, *_: Any) -> None:
        if not self.editor.writing:
            mark_current(self.editor.layer)

    def _on_data(self, event: Any) -> None:
        if self.editor.writing:
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
        yx = self.editor.layer.data[len(self.editor.drawn) :, -2:].copy()
        if len(yx):
            self.editor.layer.selected_data = set()
            self.editor.add(yx)

    def _moved(self) -> None:
        """Take over moved points, or data that were set as a whole."""
        drawn = self.editor.drawn
        n = min(len(self.editor.layer.data), len(drawn))
        yx = self.editor.layer.data[:n, -2:].copy()
        extra = self.editor.layer.data[n:, -2:].copy()
        moved = np.flatnonzero((yx != drawn[["y_px", "x_px"]].to_numpy()[:n]).any(axis=1))
        seen = moved[self.editor.shown[self.editor.to_rows(moved)]]  # nobody means to move what is hidden
        if len(moved) and not len(seen):
            self.editor.redraw()
        elif len(moved):
            self.editor.move(self.editor.to_rows(seen), yx[seen])
            if len(extra):
                self.editor.add(extra)
        elif len(extra):
            self.editor.add(extra)
        elif len(self.editor.layer.data) < len(drawn):
            self._removed()

    def _removed(self) -> None:
        """Keep removed atoms as rejected ones."""
        gone = np.ones(len(self.editor.drawn), bool)
        if len(self.editor.layer.data):
            gone = ~self.editor.drawn["atom_id"].isin(self.editor.layer.features["atom_id"]).to_numpy()
        rows = self.editor.to_rows(np.flatnonzero(gone))
        seen = rows[self.editor.shown[rows]]
        if len(seen):
            self.editor.delete(seen)
        elif len(rows):
            self.editor.redraw()

    def _on_features(self, event: Any) -> None:
        """Take over what was typed into napari's table of features."""
        features, drawn = self.editor.layer.features, self.editor.drawn
        if self.editor.writing or len(features) != len(drawn) or any(c not in features for c in COLUMNS):
            return
        different = np.zeros(len(features), bool)
        for column in _FREE_COLUMNS:
            different |= features[column].to_numpy() != drawn[column].to_numpy()
        if not different.any():
            return
        before = drawn[different]
        after = before.assign(**{c: features.loc[different, c].to_numpy() for c in _FREE_COLUMNS})
        if after["status"].isin(STATUSES).all() and not after.isna().any(axis=None):
            self.editor.record("table edit", before, after.astype(COLUMNS))
        else:
            self.editor.redraw()  # a word that means nothing here: put the old value back
