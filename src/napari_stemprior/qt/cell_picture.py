"""A picture of the projected cell: columns in the colour of their element, the cell and a scale bar."""

from __future__ import annotations

import numpy as np
from qtpy.QtCore import QPointF, QRectF, QSize, Qt
from qtpy.QtGui import QColor, QPainter, QPaintEvent, QPalette, QPen, QPolygonF
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_stemprior.qt.layers import element_colour
from napari_stemprior.structure import StructurePrior

#: Lengths in Å that a scale bar may have.
_BARS = (1.0, 2.0, 5.0, 10.0, 20.0)


class CellPicture(QWidget):
    """Draws a few cells of a prior as the image shows it: x to the right, y down, 0 Å on top."""

    def __init__(self) -> None:
        super().__init__()
        self._prior: StructurePrior | None = None
        self.setMinimumHeight(132)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def set_prior(self, prior: StructurePrior | None) -> None:
        """Show another prior."""
        self._prior = prior
        self.setVisible(prior is not None)
        if prior is not None:
            self.setToolTip(
                f"<qt>The projected cell of {prior.name} along {prior.zone_axis}. Discs are atom columns, "
                "larger for heavier ones; paler discs lie in a deeper layer. The outline is one cell.</qt>"
            )
        self.update()

    def sizeHint(self) -> QSize:  # noqa: N802
        """Ask for the height of a small picture."""
        return QSize(280, 132)

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        """Draw the cells around the middle one."""
        if self._prior is None:
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        draw_cell(painter, QRectF(self.rect()), self._prior, self.palette())
        painter.end()


def draw_cell(painter: QPainter, frame: QRectF, prior: StructurePrior, palette: QPalette) -> None:
    """Draw a prior into a frame."""
    ink = palette.color(QPalette.ColorRole.WindowText)
    cell = prior.cell
    corners = np.array([(0, 0), (1, 0), (1, 1), (0, 1)]) @ cell
    size = np.ptp(corners, axis=0)
    scale = min(frame.height() * 0.62 / size[1], frame.width() * 0.42 / size[0])  # px per Å
    middle = np.array([frame.center().x(), frame.center().y()])
    offset = middle - corners.mean(0) * scale

    reach = int(np.ceil(max(frame.width(), frame.height()) / scale / np.sqrt(prior.area))) + 1
    reach = min(reach, 12)
    shifts = np.array([(i, j) for i in range(-reach, reach + 1) for j in range(-reach, reach + 1)])
    heaviest = prior.z_weights.max()
    largest = 0.42 * prior.neighbour_distance * scale
    painter.save()
    painter.setClipRect(frame)
    for number in np.argsort(-prior.layers, kind="stable"):  # deep ones first, so that the top covers them
        column = prior.columns[number]
        colour = QColor.fromRgbF(*element_colour(column.element))
        colour.setAlphaF(1.0 if column.layer == 0 else 0.45)
        radius = float(np.clip(largest * (prior.z_weights[number] / heaviest) ** 0.25, 3.0, 16.0))
        painter.setPen(QPen(ink, 0.8))
        painter.setBrush(colour)
        for yx in ((shifts + prior.fractional[number]) @ cell) * scale + offset:
            painter.drawEllipse(QPointF(*yx), radius, radius)
    pen = QPen(ink, 1.4, Qt.PenStyle.DashLine)
    painter.setPen(pen)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.drawPolygon(QPolygonF([QPointF(*(c * scale + offset)) for c in corners]))
    _draw_bar(painter, frame, scale, palette)
    painter.restore()


def _draw_bar(painter: QPainter, frame: QRectF, scale: float, palette: QPalette) -> None:
    """Draw a scale bar at the lower left on a plate of the window's colour, so that it stays readable."""
    length = next((b for b in reversed(_BARS) if b * scale <= frame.width() * 0.3), _BARS[0])
    text = f"{length:g} Å"
    width = length * scale
    height = painter.fontMetrics().height()
    plate = QRectF(frame.left() + 4, frame.bottom() - height - 14, max(width, 30) + 12, height + 10)
    back = palette.color(QPalette.ColorRole.Window)
    back.setAlphaF(0.85)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(back)
    painter.drawRoundedRect(plate, 3, 3)
    ink = palette.color(QPalette.ColorRole.WindowText)
    painter.setPen(QPen(ink, 2))
    y = plate.bottom() - 4
    painter.drawLine(QPointF(plate.left() + 6, y), QPointF(plate.left() + 6 + width, y))
    painter.drawText(QPointF(plate.left() + 6, y - 5), text)
