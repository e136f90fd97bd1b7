"""The figures of a measurement, one at a time, with what they show in words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt, QTimer
from qtpy.QtGui import QImage, QPixmap, QResizeEvent, QShowEvent
from qtpy.QtWidgets import (
    QComboBox,
    QDialog,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

if TYPE_CHECKING:
    from napari_stemprior.qt.jobs.measuring import DrawnFigure

_FILES = "PNG (*.png);;SVG (*.svg);;PDF (*.pdf)"
#: px of the window at first; the figure fills it.
_SIZE = (900, 640)


class FigureWindow(QDialog):
    """Shows figures that were drawn elsewhere.

    Parameters
    ----------
    save : callable
        Gets a `DrawnFigure` and the path that a person chose.
    parent : QWidget, optional
    title : str
        Of the window.
    """

    def __init__(
        self,
        save: Callable[[DrawnFigure, Path], Any],
        parent: QWidget | None = None,
        *,
        title: str = "Figures of the measurement",
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle(title)
        self._save = save
        self.figures: list[DrawnFigure] = []
        self.names, self.save_button = QComboBox(), QPushButton("Save figure…")
        self.save_button.setToolTip("<qt>As PNG, SVG or PDF.</qt>")
        self.picture, self.caption = QLabel(), QLabel()
        self.picture.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.caption.setWordWrap(True)
        self.caption.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._pixels = QPixmap()
        self.picture.setMinimumSize(1, 1)
        self.picture.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Ignored)
        row = QHBoxLayout()
        row.addWidget(self.names, 1)
        row.addWidget(self.save_button)
        rows = QVBoxLayout(self)
        rows.addLayout(row)
        rows.addWidget(self.picture, 1)
        rows.addWidget(self.caption)
        self.resize(*_SIZE)
        self.names.currentIndexChanged.connect(self._on_name)
        self.save_button.clicked.connect(self._ask_file)

    def show_figures(self, figures: list[DrawnFigure]) -> None:
        """Show other figures."""
        before = self.names.currentText()
        self.figures = figures
        self.names.blockSignals(True)
        self.names.clear()
        self.names.addItems([one.name.replace("_", " ") for one in figures])
        self.names.setCurrentIndex(max(self.names.findText(before), 0))
        self.names.blockSignals(False)
        self._on_name()

    @property
    def shown(self) -> DrawnFigure | None:
        """The figure that is seen."""
        index = self.names.currentIndex()
        return self.figures[index] if 0 <= index < len(self.figures) else None

    def _on_name(self, *_: Any) -> None:
        shown = self.shown
        self.save_button.setEnabled(shown is not None)
        if shown is None:
            self.picture.clear()
            self.caption.clear()
            return
        height, width = shown.pixels.shape[:2]
        image = QImage(shown.pixels.tobytes(), width, height, 4 * width, QImage.Format.Format_RGBA8888)
        self._pixels = QPixmap.fromImage(image)
        self.caption.setText(shown.caption)
        self._fit()

    def resizeEvent(self, event: QResizeEvent | None) -> None:  # noqa: N802
        """Fit the figure into the window."""
        super().resizeEvent(event)
        self._fit()

    def showEvent(self, event: QShowEvent | None) -> None:  # noqa: N802
        """Fit the figure once the window has its size."""
        super().showEvent(event)
        QTimer.singleShot(0, self._fit)

    def _fit(self) -> None:
        if self._pixels.isNull():
            return
        ratio, smooth = Qt.AspectRatioMode.KeepAspectRatio, Qt.TransformationMode.SmoothTransformation
        self.picture.setPixmap(self._pixels.scaled(self.picture.size(), ratio, smooth))

    def _ask_file(self, *_: Any) -> None:
        shown = self.shown
        if shown is None:
            return
        path, kind = QFileDialog.getSaveFileName(self, "Save the figure", f"{shown.name}.png", _FILES)
        if path:
            chosen = Path(path)
            if chosen.suffix.lower() not in (".png", ".svg", ".pdf"):
                chosen = chosen.with_name(chosen.name + "." + (kind[:3].lower() or "png"))
            self._save(shown, chosen)
