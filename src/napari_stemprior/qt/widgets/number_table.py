"""Tables of numbers: a model over a data frame, and a window that shows several."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from qtpy.QtCore import QAbstractTableModel, QModelIndex, Qt
from qtpy.QtWidgets import (
    QAbstractItemView,
    QDialog,
    QHeaderView,
    QTableView,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

_SIZE = (900, 520)
_WIDTH = 96


class NumberTable(QAbstractTableModel):
    """Shows a data frame; a number that is not known is an empty field.

    Parameters
    ----------
    rows : pandas.DataFrame
    meanings : mapping of str
        What a column means.
    """

    def __init__(self, rows: pd.DataFrame, meanings: Mapping[str, str]) -> None:
        super().__init__()
        self.rows, self._meanings = rows, meanings

    def rowCount(self, parent: QModelIndex | None = None) -> int:  # noqa: N802
        """Return the number of rows."""
        return 0 if parent is not None and parent.isValid() else len(self.rows)

    def columnCount(self, parent: QModelIndex | None = None) -> int:  # noqa: N802
        """Return the number of columns."""
        return 0 if parent is not None and parent.isValid() else len(self.rows.columns)

    def data(self, index: QModelIndex, role: int = int(Qt.ItemDataRole.DisplayRole)) -> Any:
        """Return the text of a field."""
        if role != Qt.ItemDataRole.DisplayRole or not index.isValid():
            return None
        value = self.rows.iat[index.row(), index.column()]
        if isinstance(value, (float, np.floating)):
            return f"{value:.5g}" if np.isfinite(value) else ""
        return str(value)

    def headerData(  # noqa: N802
        self, section: int, orientation: Qt.Orientation, role: int = int(Qt.ItemDataRole.DisplayRole)
    ) -> Any:
        """Return the name of a column, and in its tooltip what it means."""
        if orientation == Qt.Orientation.Vertical:
            return str(section + 1) if role == Qt.ItemDataRole.DisplayRole else None
        name = str(self.rows.columns[section])
        if role == Qt.ItemDataRole.DisplayRole:
            return name.replace("_", " ")
        if role == Qt.ItemDataRole.ToolTipRole:
            return f"<qt><b>{name}</b><br>{self._meanings.get(name, '')}</qt>"
        return None


class TableWindow(QDialog):
    """Shows tables side by side as tabs; a row that is clicked is told.

    Parameters
    ----------
    tables : mapping of pandas.DataFrame
        By title.
    meanings : mapping of str
    on_row : callable
        Gets the row that a person clicked.
    parent : QWidget, optional
    title : str
        Of the window.
    """

    def __init__(
        self,
        tables: Mapping[str, pd.DataFrame],
        meanings: Mapping[str, str],
        on_row: Callable[[pd.Series[Any]], Any],
        parent: QWidget | None = None,
        *,
        title: str = "Numbers of the measurement",
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle(title)
        self._on_row = on_row
        self.tabs = QTabWidget()
        self.views: list[QTableView] = []
        for title, rows in tables.items():
            view = QTableView()
            view.setModel(NumberTable(rows, meanings))
            view.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
            view.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
            header = view.horizontalHeader()
            assert header is not None
            header.setDefaultSectionSize(_WIDTH)
            header.setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
            header.setDefaultAlignment(
                Qt.AlignmentFlag(int(Qt.AlignmentFlag.AlignLeft) | int(Qt.TextFlag.TextWordWrap))
            )
            view.clicked.connect(self._on_clicked)
            self.tabs.addTab(view, title)
            self.views.append(view)
        layout = QVBoxLayout(self)
        layout.addWidget(self.tabs)
        self.resize(*_SIZE)

    def _on_clicked(self, index: QModelIndex) -> None:
        model = self.views[self.tabs.currentIndex()].model()
        if isinstance(model, NumberTable):
            self._on_row(model.rows.iloc[index.row()])
