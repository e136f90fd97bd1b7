"""A histogram with the part of it that is chosen, and marks of some of its values."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QPointF, QRectF, QSize, Qt, Signal
from qtpy.QtGui import QColor, QMouseEvent, QPainter, QPaintEvent, QPalette, QPen, QPolygonF
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_stemprior.qt.layers.palette import BLUE, ORANGE

Floats = NDArray[np.float64]

#: px around the bars.
_LEFT, _BOTTOM = 4, 16


class Histogram(QWidget):
    """Shows values; drag over it to choose a range, click to choose none."""

    #: Low and high end of the range that was chosen; both NaN for none.
    chosen = Signal(float, float)

    def __init__(self) -> None:
        super().__init__()
        self.values: Floats = np.empty(0)
        self.marked: Floats = np.empty(0)
        self.curves: list[Floats] = []
        self._counts, self._edges = np.zeros(1), np.array([0.0, 1.0])
        #: The chosen range.
        self.range: tuple[float, float] | None = None
        self._from: float | None = None
        policy = QSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setSizePolicy(policy)
        self.setCursor(Qt.CursorShape.CrossCursor)
        self.setAccessibleName("Histogram of the intensities")
        self.setToolTip(
            "<qt>Columns by integrated intensity, and the Gaussians that BIC takes. Drag to select the "
            "atoms of a range; a click selects none. Ticks below are the atoms that are selected.</qt>"
        )

    def sizeHint(self) -> QSize:  # noqa: N802
        """Ask for a low strip."""
        return QSize(200, 120)

    def show_values(self, values: Floats, mixture: tuple[Floats, Floats, Floats] | None = None) -> None:
        """Show other values.

        Parameters
        ----------
        values : (N,) array
            NaN is left out.
        mixture : (share, mean, deviation), optional
            Of Gaussians to draw over it.
        """
        self.values = np.asarray(values, float)[np.isfinite(values)]
        self.range, self.marked, self.curves = None, np.empty(0), []
        bins = min(60, max(10, len(self.values) // 20))
        if len(self.values):
            self._counts, self._edges = np.histogram(self.values, bins)
        else:
            self._counts, self._edges = np.zeros(1), np.array([0.0, 1.0])
        if mixture is not None and len(self.values):
            step = self._edges[1] - self._edges[0]
            for share, mean, deviation in zip(*mixture, strict=True):
                width = max(float(deviation), 1e-12)
                z = (self._grid - mean) / width
                scale = len(self.values) * step * share / (width * np.sqrt(2 * np.pi))
                self.curves.append(scale * np.exp(-0.5 * z**2))
        self.update()

    def mark(self, values: Floats) -> None:
        """Show which values are selected."""
        self.marked = np.asarray(values, float)
        self.marked = self.marked[np.isfinite(self.marked)]
        self.update()

    def choose(self, low: float, high: float) -> None:
        """Choose a range."""
        self.range = (min(low, high), max(low, high))
        self.update()
        self.chosen.emit(*self.range)

    def place_of(self, value: float) -> float:
        """Return where a value stands, px from the left."""
        area = self._area
        low, high = float(self._edges[0]), float(self._edges[-1])
        return area.left() + area.width() * (value - low) / max(high - low, 1e-30)

    # --- mouse ------------------------------------------------------------------------------------
    def mousePressEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802
        """Begin a range."""
        if event is not None and event.button() == Qt.MouseButton.LeftButton and len(self.values):
            self._from = self._value_at(event.position().x())
            self.range = None
            self.update()

    def mouseMoveEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802
        """Show the range so far."""
        if event is not None and self._from is not None:
            now = self._value_at(event.position().x())
            self.range = (min(self._from, now), max(self._from, now))
            self.update()

    def mouseReleaseEvent(self, event: QMouseEvent | None) -> None:  # noqa: N802
        """Take the range, or none after a mere click."""
        if event is None or self._from is None:
            return
        first, self._from = self._from, None
        now = self._value_at(event.position().x())
        if abs(self.place_of(now) - self.place_of(first)) < 3:
            self.range = None
            self.update()
            self.chosen.emit(float("nan"), float("nan"))
        else:
            self.choose(first, now)

    # --- inside -------------------------------------------------------------------------------------
    @property
    def _area(self) -> QRectF:
        return QRectF(self.rect()).adjusted(_LEFT, 3, -_LEFT, -_BOTTOM)

    @property
    def _grid(self) -> Floats:
        return np.linspace(self._edges[0], self._edges[-1], 300)

    def _value_at(self, x: float) -> float:
        area = self._area
        part = min(max((x - area.left()) / max(area.width(), 1.0), 0.0), 1.0)
        return float(self._edges[0] + part * (self._edges[-1] - self._edges[0]))

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: N802
        """Draw bars, curves, range, marks and the ends of the axis."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        area = self._area
        text = self.palette().color(QPalette.ColorRole.WindowText)
        frame = QColor(text)
        frame.setAlpha(70)
        most = max(float(self._counts.max()), *(float(c.max()) for c in self.curves), 1.0)
        high = area.height() / (1.05 * most)
        bar = QColor.fromRgbF(*BLUE)
        bar.setAlpha(150)
        for count, left, right in zip(self._counts, self._edges[:-1], self._edges[1:], strict=True):
            x0, x1 = self.place_of(float(left)), self.place_of(float(right))
            painter.fillRect(
                QRectF(x0, area.bottom() - high * count, max(x1 - x0 - 0.5, 0.5), high * count), bar
            )
        painter.setPen(QPen(text, 1))
        for curve in self.curves:
            points = [
                QPointF(self.place_of(float(x)), area.bottom() - high * float(y))
                for x, y in zip(self._grid, curve, strict=True)
            ]
            painter.drawPolyline(QPolygonF(points))
        orange = QColor.fromRgbF(*ORANGE)
        if self.range is not None:
            shade = QColor(orange)
            shade.setAlpha(70)
            x0, x1 = (self.place_of(v) for v in self.range)
            painter.fillRect(QRectF(x0, area.top(), x1 - x0, area.height()), shade)
        painter.setPen(QPen(orange, 1))
        for value in self.marked[:: max(1, len(self.marked) // 500)]:
            x = self.place_of(float(value))
            painter.drawLine(QPointF(x, area.bottom() - 6), QPointF(x, area.bottom() + 2))
        painter.setPen(QPen(frame, 1))
        painter.drawRect(area)
        painter.setPen(text)
        below = QRectF(area.left(), area.bottom() + 1, area.width(), _BOTTOM - 1)
        for side, value in ((Qt.AlignmentFlag.AlignLeft, 0), (Qt.AlignmentFlag.AlignRight, -1)):
            painter.drawText(below, int(side), f"{self._edges[value]:.3g}")
        painter.drawText(below, int(Qt.AlignmentFlag.AlignHCenter), "image × Å²")
        painter.end()
