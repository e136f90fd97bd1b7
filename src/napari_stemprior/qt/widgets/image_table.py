"""The list of images as a table: sorted, ticked and opened in it."""

from __future__ import annotations

from typing import Any

import numpy as np
from qtpy.QtCore import QAbstractTableModel, QModelIndex, QSize, QSortFilterProxyModel, Qt, Signal
from qtpy.QtGui import QBrush, QColor, QFont, QImage, QPixmap
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableView

from napari_stemprior.qt.image_list import ImageList
from napari_stemprior.qt.listed_image import THUMBNAIL, ListedImage, Summary
from napari_stemprior.qt.widgets.name_lines import LINES, NameLines
from napari_stemprior.workflow.image_sources import natural_order

NAME, PRIOR, FIT, ATOMS, DOUBTS, REVIEWED = range(6)
#: Header of each column and its tooltip.
HEADERS = (
    ("Image", "A layer, a frame of a stack, or a file; a click opens it on the desk"),
    ("Prior", "The lattice prior of this image"),
    ("Fit", "Whether the lattice fits: ✓ fits, ? with a reservation, ✗ does not. Hold the mouse over it"),
    ("Atoms", "Atom columns that were found, or placed by hand"),
    (
        "Doubts",
        "What waits in step 5: doubtful atoms, empty sites, and atoms that stand on the prior alone as one. "
        "A click on this header sorts by it",
    ),
    ("✓", "Tick it once you have checked every atom of this image: ticked images make up the training set"),
)
_FITS = {"clean": "✓", "reservation": "?", "none": "✗"}
_FIT_WORDS = {"clean": "The lattice fits.", "none": "The lattice does not fit this image."}
#: What the columns have room for.
_WIDTHS = {FIT: "Fit", ATOMS: "Atoms", DOUBTS: "Doubts ", REVIEWED: "✓✓"}
#: Rows that are seen without scrolling.
_ROWS_SHOWN = 4
_SORT = Qt.ItemDataRole.UserRole
_PROBLEM = QColor("#e0603a")


class ImageTableModel(QAbstractTableModel):
    """Shows an `ImageList`; nothing is kept here but the small pictures.

    Parameters
    ----------
    images : ImageList
    """

    def __init__(self, images: ImageList) -> None:
        super().__init__()
        self.list = images
        self._shown = list(images.images)
        self._summaries: dict[int, Summary] = {}
        self._icons: dict[int, QPixmap] = {}
        images.changed.connect(self._on_changed)
        images.image_changed.connect(self._on_image)
        images.current_changed.connect(self._redraw)

    def close(self) -> None:
        """Let go of the list."""
        self.list.changed.disconnect(self._on_changed)
        self.list.image_changed.disconnect(self._on_image)
        self.list.current_changed.disconnect(self._redraw)

    def image(self, row: int) -> ListedImage:
        """Return the image of a row."""
        return self._shown[row]

    def summary(self, row: int) -> Summary:
        """Return what is said of the image of a row."""
        if row not in self._summaries:
            self._summaries[row] = self.list.summary(self._shown[row])
        return self._summaries[row]

    def rowCount(self, parent: QModelIndex = QModelIndex()) -> int:  # noqa: N802, B008
        """Return the number of images."""
        return 0 if parent.isValid() else len(self._shown)

    def columnCount(self, parent: QModelIndex = QModelIndex()) -> int:  # noqa: N802, B008
        """Return the number of columns."""
        return 0 if parent.isValid() else len(HEADERS)

    def headerData(self, section: int, orientation: Any, role: int = 0) -> Any:  # noqa: N802
        """Return the header of a column, and its tooltip."""
        if orientation == Qt.Orientation.Horizontal:
            if role == Qt.ItemDataRole.DisplayRole:
                return HEADERS[section][0]
            if role == Qt.ItemDataRole.ToolTipRole:
                return HEADERS[section][1]
        return None

    def flags(self, index: QModelIndex) -> Any:
        """Let the last column be ticked where there are atoms."""
        flags = Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable
        if index.column() == REVIEWED and self.summary(index.row()).atoms is not None:
            flags |= Qt.ItemFlag.ItemIsUserCheckable
        return flags

    def data(self, index: QModelIndex, role: int = 0) -> Any:
        """Return what a cell shows."""
        row, column = index.row(), index.column()
        image = self._shown[row]
        if role == Qt.ItemDataRole.DisplayRole:
            return self._text(row, column)
        if role == Qt.ItemDataRole.DecorationRole and column == NAME:
            return self._icon(row)
        if role == Qt.ItemDataRole.CheckStateRole and column == REVIEWED:
            known = self.summary(row).atoms is not None
            return (Qt.CheckState.Checked if image.reviewed else Qt.CheckState.Unchecked) if known else None
        if role == Qt.ItemDataRole.ToolTipRole:
            return self._tip(row, column)
        if role == Qt.ItemDataRole.FontRole and row == self.list.current:
            font = QFont()
            font.setBold(True)
            return font
        if role == Qt.ItemDataRole.ForegroundRole and image.problem:
            return QBrush(_PROBLEM)
        if role == Qt.ItemDataRole.TextAlignmentRole and column in (FIT, ATOMS, DOUBTS):
            return int(Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignHCenter)
        if role == _SORT:
            return self.sort_key(row, column)
        return None

    def setData(self, index: QModelIndex, value: Any, role: int = 2) -> bool:  # noqa: N802
        """Tick an image as reviewed, or not."""
        if role != Qt.ItemDataRole.CheckStateRole or index.column() != REVIEWED:
            return False
        self._shown[index.row()].reviewed = Qt.CheckState(value) == Qt.CheckState.Checked
        self.dataChanged.emit(index, index)
        return True

    def sort_key(self, row: int, column: int) -> Any:
        """Return by what a cell is sorted; images that are not segmented come last by any number."""
        summary, image = self.summary(row), self._shown[row]
        number = {ATOMS: summary.atoms, DOUBTS: summary.doubts}.get(column, 0)
        if column in (ATOMS, DOUBTS):
            return -1 if number is None else number
        if column == FIT:
            return ["", "clean", "reservation", "none"].index(summary.fit)
        if column == REVIEWED:
            return int(image.reviewed)
        return natural_order(image.name if column == NAME else summary.prior)

    # --- inside -------------------------------------------------------------------------------
    def _text(self, row: int, column: int) -> str:
        summary = self.summary(row)
        if column == NAME:
            return self._shown[row].name
        if column == PRIOR:
            return summary.prior
        if column == FIT:
            return _FITS.get(summary.fit, "")
        number = {ATOMS: summary.atoms, DOUBTS: summary.doubts}.get(column)
        return "" if number is None else str(number)

    def _tip(self, row: int, column: int) -> str:
        image, summary = self._shown[row], self.summary(row)
        if image.problem:
            return image.problem
        if column == FIT:
            return summary.reservations or _FIT_WORDS.get(summary.fit, "Not segmented yet.")
        if column == PRIOR and summary.prior:
            return summary.prior
        if column == NAME:
            place = str(image.path) if image.path is not None else image.name
            return f"{place}\nPrior: {summary.prior}" if summary.prior else place
        return HEADERS[column][1]

    def _icon(self, row: int) -> QPixmap | None:
        key = id(self._shown[row])
        if key not in self._icons:
            small = self.list.thumbnail(self._shown[row])
            if small is None:
                return None
            self._icons[key] = _pixmap(small)
        return self._icons[key]

    def _on_changed(self) -> None:
        self.beginResetModel()
        self._shown = list(self.list.images)
        self._summaries.clear()
        known = {id(image) for image in self._shown}
        self._icons = {key: icon for key, icon in self._icons.items() if key in known}
        self.endResetModel()

    def _on_image(self, at: int) -> None:
        if at < 0:
            self._summaries.clear()
        else:
            self._summaries.pop(at, None)
        self._redraw(at)

    def _redraw(self, at: int = -1) -> None:
        if self._shown:
            first, last = (0, len(self._shown) - 1) if at < 0 else (at, at)
            self.dataChanged.emit(self.index(first, 0), self.index(last, REVIEWED))


class _Order(QSortFilterProxyModel):
    """Sorts when a person asks, so that rows do not run away while images are segmented."""

    def __init__(self, model: ImageTableModel) -> None:
        super().__init__()
        self.setSourceModel(model)
        self.setDynamicSortFilter(False)
        self._model = model

    def lessThan(self, left: QModelIndex, right: QModelIndex) -> bool:  # noqa: N802
        """Compare two cells."""
        column = left.column()
        return bool(self._model.sort_key(left.row(), column) < self._model.sort_key(right.row(), column))


class ImageTable(QTableView):
    """The table of all images.

    Parameters
    ----------
    images : ImageList
    """

    #: A `ListedImage` that a person wants to see.
    wanted = Signal(object)

    def __init__(self, images: ImageList) -> None:
        super().__init__()
        self.images = images
        self.rows = ImageTableModel(images)
        self.order = _Order(self.rows)
        self.setModel(self.order)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setIconSize(QSize(THUMBNAIL, THUMBNAIL))
        self.setWordWrap(False)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)  # frames differ at the end of their names
        self._name_lines = NameLines(self._prior_of, self)
        self.setItemDelegateForColumn(NAME, self._name_lines)
        self.setColumnHidden(PRIOR, True)  # it stands below the name, which needs the width
        self.setSortingEnabled(True)
        self.sortByColumn(NAME, Qt.SortOrder.AscendingOrder)
        header, rows = self.horizontalHeader(), self.verticalHeader()
        assert header is not None
        assert rows is not None
        rows.setVisible(False)
        height = max(THUMBNAIL + 4, (LINES + 1) * self.fontMetrics().lineSpacing() + 4)
        rows.setDefaultSectionSize(height)
        header.setMinimumSectionSize(20)
        header.setStyleSheet("QHeaderView::section { padding: 2px; }")
        header.setSectionResizeMode(NAME, QHeaderView.ResizeMode.Stretch)
        for column, letters in _WIDTHS.items():  # the name takes what is left
            header.resizeSection(column, self.fontMetrics().horizontalAdvance(letters) + 8)
        self.setFixedHeight(_ROWS_SHOWN * height + header.sizeHint().height() + 4)
        self.clicked.connect(self._on_row)
        self.activated.connect(self._on_row)

    def close_model(self) -> None:
        """Let go of the list."""
        self.rows.close()

    def sort_by_doubt(self) -> None:
        """Bring the images with most doubts to the top."""
        self.sortByColumn(DOUBTS, Qt.SortOrder.DescendingOrder)
        self.order.sort(DOUBTS, Qt.SortOrder.DescendingOrder)

    def neighbour(self, step: int) -> ListedImage | None:
        """Return the image that many rows below the present one; the first one where none is shown."""
        count = self.order.rowCount()
        if not count:
            return None
        current = self.images.current
        if current < 0:
            return self._at(0)
        row = self.order.mapFromSource(self.rows.index(current, 0)).row() + step
        return self._at(row) if 0 <= row < count else None

    def show_current(self) -> None:
        """Select the row of the image that is looked at, and scroll to it."""
        current = self.images.current
        if 0 <= current < self.rows.rowCount():
            index = self.order.mapFromSource(self.rows.index(current, 0))
            if self.currentIndex().row() != index.row():
                self.setCurrentIndex(index)
                self.scrollTo(index)

    def _prior_of(self, index: QModelIndex) -> str:
        return self.rows.summary(self.order.mapToSource(index).row()).prior

    def _at(self, row: int) -> ListedImage:
        return self.rows.image(self.order.mapToSource(self.order.index(row, 0)).row())

    def _on_row(self, index: QModelIndex) -> None:
        if index.column() != REVIEWED:
            self.wanted.emit(self._at(index.row()))


def _pixmap(small: np.ndarray[Any, np.dtype[np.float32]]) -> QPixmap:
    """Draw a small picture in grey."""
    low, high = np.percentile(small, (1, 99))
    grey = np.clip((small - low) / max(high - low, 1e-12) * 255, 0, 255).astype(np.uint8)
    height, width = grey.shape
    picture = QImage(grey.tobytes(), width, height, width, QImage.Format.Format_Grayscale8).copy()
    return QPixmap.fromImage(picture).scaled(
        THUMBNAIL, THUMBNAIL, Qt.AspectRatioMode.KeepAspectRatio, Qt.TransformationMode.SmoothTransformation
    )
