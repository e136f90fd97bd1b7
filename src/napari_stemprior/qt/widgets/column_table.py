"""The table of the atom columns of a prior."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtGui import QColor, QIcon, QPixmap
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem

from napari_stemprior.qt.layers.palette import layer_colour
from napari_stemprior.structure import Column, Prior, StructurePrior

_ROWS_SHOWN = 6
#: Side in px of the square that shows the colour of a layer.
_SWATCH = 10
_HEADERS = ("Atoms", "Occ.", "Layer", "z (Å)", "a, b", "x, y (Å)")
_OCCUPANCY, _LAYER = 1, 2
_TIPS = (
    "What the column holds in one repeat along the beam",
    "Atoms per repeat along the beam; below 1 where a site is partly filled",
    "0 is where the beam enters; the colour is that of the layer in the lattice and in the atoms",
    "Depth below the entrance surface",
    "Fractional position along the cell's vectors a and b",
    "Position in the projected cell",
)


class ColumnTable(QTableWidget):
    """Lists the columns of one projected cell; of a stack the columns of each layer's cell.

    What is the same for all columns needs no column of the table: the layer where there is one, the
    occupancy where every site is full.
    """

    def __init__(self) -> None:
        super().__init__(0, len(_HEADERS))
        for number, (text, tip) in enumerate(zip(_HEADERS, _TIPS, strict=True)):
            item = QTableWidgetItem(text)
            item.setToolTip(tip)
            self.setHorizontalHeaderItem(number, item)
        header, rows = self.horizontalHeader(), self.verticalHeader()
        assert header is not None
        assert rows is not None
        rows.setVisible(False)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.setTextElideMode(Qt.TextElideMode.ElideNone)
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        header.setMinimumSectionSize(24)
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setStretchLastSection(True)

    def set_prior(self, prior: Prior | None) -> None:
        """Show another `StructurePrior` or `Stack`."""
        rows = rows_of(prior)
        self.setRowCount(len(rows))
        for row, texts in enumerate(rows):
            for place, text in enumerate(texts):
                item = QTableWidgetItem(text)
                if place == _LAYER:
                    item.setIcon(_swatch(int(text)))
                self.setItem(row, place, item)
        self.setColumnHidden(_OCCUPANCY, all(float(row[_OCCUPANCY]).is_integer() for row in rows))
        self.setColumnHidden(_LAYER, len({row[_LAYER] for row in rows}) < 2)
        self.resizeRowsToContents()
        shown = min(len(rows), _ROWS_SHOWN)
        header, bar = self.horizontalHeader(), self.horizontalScrollBar()
        assert header is not None
        assert bar is not None
        height = header.sizeHint().height() + 4
        if self.columnCount() - sum(map(self.isColumnHidden, range(self.columnCount()))) > 4:
            height += bar.sizeHint().height()
        self.setFixedHeight(height + sum(self.rowHeight(i) for i in range(shown)))


def rows_of(prior: Prior | None) -> list[tuple[str, ...]]:
    """Return the texts of the table for a `StructurePrior`, a `Stack` or None."""
    if prior is None:
        return []
    return [_row(layer, column) for layer in prior.layers for column in layer.columns]


def _swatch(layer: int) -> QIcon:
    """Return a small square in the colour of a layer."""
    square = QPixmap(_SWATCH, _SWATCH)
    square.fill(QColor.fromRgbF(*layer_colour(layer)))
    return QIcon(square)


def _row(prior: StructurePrior, column: Column) -> tuple[str, ...]:
    a, b = column.position
    x, y = column.position @ prior.cell
    count = sum(part for _, part in column.composition)
    return (
        column.formula,
        f"{count:.3g}",
        str(column.layer),
        f"{column.height:.2f}",
        f"{a:.3f}, {b:.3f}",
        f"{x + 0:.2f}, {y + 0:.2f}",
    )
