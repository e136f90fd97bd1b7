"""The edits as a list; a click goes to the state after an edit."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QAbstractListModel, QModelIndex, Qt
from qtpy.QtGui import QFont
from qtpy.QtWidgets import QHBoxLayout, QListView, QPushButton, QVBoxLayout, QWidget

from napari_stemprior.qt.editing.atom_edits import AtomEdits
from napari_stemprior.qt.panels.panel import allow
from napari_stemprior.qt.widgets import shortcuts

_HEIGHT = 110
_BEGINNING = "Beginning"
_NETWORK = " (network)"


class HistoryModel(QAbstractListModel):
    """The steps of a history as rows of a list: row 0 is the beginning, row n the state after step n."""

    def __init__(self) -> None:
        super().__init__()
        self._editor: AtomEdits | None = None
        self._shown: tuple[int, int, int] = (0, 0, 0)

    def show(self, editor: AtomEdits | None) -> None:
        """Show the history of another editor, or what has become of the present one."""
        history = None if editor is None else editor.history
        now = (id(history), 0 if history is None else len(history.steps), self.position_of(editor))
        if editor is self._editor and now == self._shown and (history is None or not history.steps):
            return
        self.beginResetModel()
        self._editor, self._shown = editor, now
        self.endResetModel()

    @staticmethod
    def position_of(editor: AtomEdits | None) -> int:
        """Return the row of the present state."""
        return 0 if editor is None else editor.history.position

    def rowCount(self, parent: QModelIndex | None = None) -> int:  # noqa: N802
        """Count the states."""
        return 0 if self._editor is None else len(self._editor.history.steps) + 1

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return text, font and tooltip of a state."""
        if self._editor is None or not index.isValid() or index.row() >= self.rowCount():
            return None
        history, row = self._editor.history, index.row()
        step = history.steps[row - 1] if row else None
        if role == Qt.ItemDataRole.DisplayRole:
            return _BEGINNING if step is None else step.label + ("" if step.who else _NETWORK)
        if role == Qt.ItemDataRole.ToolTipRole:
            return "Before the first edit" if step is None else f"{step.who or 'network'}, {step.when} UTC"
        if role == Qt.ItemDataRole.FontRole:
            font = QFont()
            font.setBold(row == history.position)
            font.setItalic(row > history.position)
            return font
        return None


class HistoryList(QListView):
    """Shows the edits: the present state bold, what was taken back in italics."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.states = HistoryModel()
        self.setModel(self.states)
        self.setMaximumHeight(_HEIGHT)
        self.setUniformItemSizes(True)
        self.setToolTip("<qt>Every edit; click one to go to the state after it.</qt>")
        self._editor: AtomEdits | None = None
        self.clicked.connect(self._on_clicked)

    def show_history(self, editor: AtomEdits | None) -> None:
        """Show the history of an editor as it is now."""
        self._editor = editor
        self.states.show(editor)
        index = self.states.index(HistoryModel.position_of(editor), 0)
        self.setCurrentIndex(index)
        self.scrollTo(index)

    def _on_clicked(self, index: QModelIndex) -> None:
        if self._editor is not None and index.row() != self._editor.history.position:
            self._editor.go_to(index.row())


class HistoryBox(QWidget):
    """Undo and redo, with the name of what they do, above the list of edits."""

    def __init__(self) -> None:
        super().__init__()
        self.undo = QPushButton("Undo")
        self.redo = QPushButton("Redo")
        self.list = HistoryList()
        row = QHBoxLayout()
        row.addWidget(self.undo, 1)
        row.addWidget(self.redo, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(5)
        layout.addLayout(row)
        layout.addWidget(self.list)

    def refresh(self, editor: AtomEdits | None, none: str, *, removed: bool) -> None:
        """Show the history of an editor.

        Parameters
        ----------
        editor : AtomEdits or None
        none : str
            Why nothing can be done; empty if something can.
        removed : bool
            Whether a removed atoms layer can be brought back.
        """
        undo = "" if editor is None else editor.undo_label
        redo = "" if editor is None else editor.redo_label
        if removed:
            undo = "remove layer"
            allow(self.undo, "Bring the removed atoms layer back, with its history.")
        else:
            no_undo = "" if undo else "Nothing to take back."
            allow(self.undo, f"{shortcuts.tooltip('undo')}: {undo}", none, no_undo)
        allow(self.redo, f"{shortcuts.tooltip('redo')}: {redo}", none, "" if redo else "Nothing to do again.")
        self.undo.setText(f"Undo: {undo}" if undo else "Undo")
        self.redo.setText(f"Redo: {redo}" if redo else "Redo")
        self.list.setVisible(not none)
        self.list.show_history(editor)
