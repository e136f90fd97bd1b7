"""A small live plot of the loss: what each step says, faint, and its running mean."""

from __future__ import annotations

import math

from qtpy.QtCore import QPointF, QRectF, QSize, Qt
from qtpy.QtGui import QColor, QPainter, QPaintEvent, QPalette, QPen, QPolygonF
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_stemprior.qt.layers.palette import BLUE, ORANGE

#: Part of the running mean that stays at each step.
_INERTIA = 0.9


class LossPlot(QWidget):
    """Shows the loss of every step so far; the axis is as long as the run."""

    def __init__(self) -> None:
        super().__init__()
        self.losses: list[float] = []
        self.total = 0
        policy = QSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setSizePolicy(policy)
        self.setToolTip("<qt>The loss of each training step, and its running mean. Lower is better.</qt>")
        self.setAccessibleName("Loss of the training")

    def sizeHint(self) -> QSize:  # noqa: N802
        """Ask for a low strip."""
        return QSize(200, 90)

    def clear(self) -> None:
        """Forget the last run."""
        self.losses, self.total = [], 0
        self.update()

    def add(self, loss: float, total: int) -> None:
        """Add the loss of one step of `total`."""
        if math.isfinite(loss):
            self.losses.append(loss)
            self.total = total
            self.update()

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: N802
        """Draw both curves, and the last mean as a number."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        area = QRectF(self.rect()).adjusted(1, 1, -1, -1)
        text = self.palette().color(QPalette.ColorRole.WindowText)
        frame = QColor(text)
        frame.setAlpha(70)
        painter.setPen(QPen(frame, 1))
        painter.drawRect(area)
        if len(self.losses) > 1:
            mean = smoothed(self.losses)
            low, high = min(self.losses), max(self.losses)
            faint = QColor.fromRgbF(*BLUE)
            faint.setAlpha(110)
            self._curve(painter, area, self.losses, (low, high), QPen(faint, 1))
            self._curve(painter, area, mean, (low, high), QPen(QColor.fromRgbF(*ORANGE), 2))
            painter.setPen(text)
            place = area.adjusted(0, 3, -5, 0)
            side = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignTop
            painter.drawText(place, int(side), f"loss {mean[-1]:.2f}")
        painter.end()

    def _curve(
        self, painter: QPainter, area: QRectF, values: list[float], limits: tuple[float, float], pen: QPen
    ) -> None:
        low, high = limits
        span = max(high - low, 1e-9)
        last = max(self.total, len(values)) - 1
        points = [
            QPointF(
                area.left() + 3 + (area.width() - 6) * number / last,
                area.bottom() - 4 - (area.height() - 8) * (value - low) / span,
            )
            for number, value in enumerate(values)
        ]
        painter.setPen(pen)
        painter.drawPolyline(QPolygonF(points))


def smoothed(values: list[float]) -> list[float]:
    """Return the running mean, free of the bias of its start."""
    mean, weight, out = 0.0, 0.0, []
    for value in values:
        mean = _INERTIA * mean + (1 - _INERTIA) * value
        weight = _INERTIA * weight + (1 - _INERTIA)
        out.append(mean / weight)
    return out
