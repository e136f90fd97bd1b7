"""A picture of the projected cell: columns in the colour of their element, axes, legend and scale bar."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QPointF, QRectF, QSize, Qt
from qtpy.QtGui import QColor, QPainter, QPaintEvent, QPalette, QPen, QPolygonF
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_stemprior.qt.layers.palette import element_colour, layer_colour
from napari_stemprior.structure import Prior, StructurePrior

_HEIGHT = 150
#: Lengths in Å that a scale bar may have.
_BARS = (1.0, 2.0, 5.0, 10.0, 20.0)
#: Entries of the legend; more would hide the picture.
_MOST_ENTRIES = 6
#: Å across the picture of a stack, so that its moiré is seen.
_STACK_FIELD = 22.0
#: Room in px for the legend at the right of the cell.
_LEGEND = 58


class CellPicture(QWidget):
    """Draws a few cells of a prior or stack as the image shows it: x to the right, y down, 0 Å on top."""

    def __init__(self) -> None:
        super().__init__()
        self._prior: Prior | None = None
        self.setMinimumHeight(_HEIGHT)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def set_prior(self, prior: Prior | None) -> None:
        """Show another `StructurePrior` or `Stack`."""
        self._prior = prior
        self.setVisible(prior is not None)
        if prior is not None and prior.crystal is not None:
            self.setToolTip(
                f"<qt>The projected cell of {prior.name} along {prior.zone_axis}. Discs are atom columns in "
                "the colour of their heaviest element, larger for heavier ones; paler discs lie in a deeper "
                "layer. The outline is one cell.</qt>"
            )
        elif prior is not None:
            self.setToolTip(
                f"<qt>The layers of {prior.name}, each in its own colour, with the number that its atoms "
                "carry; 0 is where the beam enters. The outlines are their cells.</qt>"
            )
        self.update()

    def sizeHint(self) -> QSize:  # noqa: N802
        """Ask for the height of a small picture."""
        return QSize(280, _HEIGHT)

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: N802
        """Draw the cells around the middle one."""
        if self._prior is None:
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        frame = QRectF(self.rect())
        crystal = self._prior.crystal
        if crystal is not None:
            draw_cell(painter, frame, crystal, self.palette())
        else:
            draw_stack(painter, frame, self._prior, self.palette())
        painter.end()


def draw_cell(painter: QPainter, frame: QRectF, prior: StructurePrior, palette: QPalette) -> None:
    """Draw a prior into a frame."""
    corners = _corners(prior)
    size = np.ptp(corners, axis=0)
    scale = min(frame.height() * 0.62 / size[1], (frame.width() - 2 * _LEGEND) * 0.66 / size[0])  # px per Å
    offset = _middle(frame) - corners.mean(0) * scale
    painter.save()
    painter.setClipRect(frame)
    heaviest = prior.z_weights.max()
    largest = 0.42 * prior.neighbour_distance * scale
    legend: dict[str, QColor] = {}
    for number in np.argsort(-prior.layer_numbers, kind="stable"):  # deep first: the top covers them
        column = prior.columns[number]
        colour = QColor.fromRgbF(*element_colour(column.element))
        legend.setdefault(_subscripts(column.formula), QColor(colour))
        colour.setAlphaF(1.0 if column.layer == 0 else 0.45)
        radius = float(np.clip(largest * (prior.z_weights[number] / heaviest) ** 0.25, 3.0, 16.0))
        places = _repeated(prior, int(number), frame, scale)
        _draw_discs(painter, places * scale + offset, radius, colour, palette)
    _draw_outline(painter, corners * scale + offset, palette, axes=True)
    _draw_legend(painter, frame, legend, palette)
    _draw_bar(painter, frame, scale, palette)
    painter.restore()


def draw_stack(painter: QPainter, frame: QRectF, stack: Prior, palette: QPalette) -> None:
    """Draw the layers of a `Stack` over each other, the entrance layer on top, each in its colour."""
    scale = frame.height() / _STACK_FIELD
    middle = _middle(frame)
    painter.save()
    painter.setClipRect(frame)
    legend: dict[str, QColor] = {}
    for number in reversed(range(len(stack.layers))):
        layer = stack.layers[number]
        turn, shift = stack.carried(number)
        place = middle + shift * scale
        colour = QColor.fromRgbF(*layer_colour(number))
        radius = max(2.0, 0.3 * layer.neighbour_distance * scale)
        heaviest = layer.z_weights.max()
        for column in range(len(layer.columns)):
            places = _repeated(layer, column, frame, scale) @ turn.T * scale + place
            size = radius * float((layer.z_weights[column] / heaviest) ** 0.25)
            _draw_discs(painter, places, size, colour, palette)
        legend[f"{number} {layer.name}"] = colour
    for number, layer in enumerate(stack.layers):
        turn, shift = stack.carried(number)
        place = middle + shift * scale
        _draw_outline(painter, _corners(layer) @ turn.T * scale + place, palette, axes=number == 0)
    _draw_legend(painter, frame, dict(sorted(legend.items())), palette)
    _draw_bar(painter, frame, scale, palette)
    painter.restore()


def _middle(frame: QRectF) -> NDArray[np.float64]:
    return np.array([frame.center().x(), frame.center().y()])


def _corners(prior: StructurePrior) -> NDArray[np.float64]:
    return np.array([(0, 0), (1, 0), (1, 1), (0, 1)]) @ prior.cell


def _repeated(prior: StructurePrior, number: int, frame: QRectF, scale: float) -> NDArray[np.float64]:
    """Return the positions in Å of a column in all cells that a frame may show."""
    heights = prior.area / np.linalg.norm(prior.cell, axis=1)  # the narrow way across a slanted cell
    reach = int(np.ceil(max(frame.width(), frame.height()) / scale / heights.min() / 2)) + 1
    steps = np.arange(-min(reach, 14), min(reach, 14) + 1)
    shifts = np.stack(np.meshgrid(steps, steps, indexing="ij"), -1).reshape(-1, 2)
    return np.asarray((shifts + prior.fractional[number]) @ prior.cell)


def _draw_discs(
    painter: QPainter, places: NDArray[np.float64], radius: float, colour: QColor, palette: QPalette
) -> None:
    painter.setPen(QPen(palette.color(QPalette.ColorRole.WindowText), 0.8))
    painter.setBrush(colour)
    for x, y in places:
        painter.drawEllipse(QPointF(x, y), radius, radius)


def _draw_outline(painter: QPainter, corners: NDArray[np.float64], palette: QPalette, *, axes: bool) -> None:
    """Draw a cell, and its vectors a and b with their names."""
    ink = palette.color(QPalette.ColorRole.WindowText)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.setPen(QPen(ink, 1.2, Qt.PenStyle.DashLine))
    painter.drawPolygon(QPolygonF([QPointF(*c) for c in corners]))
    if not axes:
        return
    origin = corners[0]
    for name, end, other in (("a", corners[1], corners[3]), ("b", corners[3], corners[1])):
        along = (end - origin) / np.linalg.norm(end - origin)
        across = np.array([-along[1], along[0]])
        if across @ (other - origin) > 0:  # the name stands outside the cell
            across = -across
        painter.setPen(QPen(ink, 2.0))
        painter.setBrush(ink)
        painter.drawLine(QPointF(*origin), QPointF(*(end - 4 * along)))
        head = [end, end - 9 * along + 4 * across, end - 9 * along - 4 * across]
        painter.drawPolygon(QPolygonF([QPointF(*p) for p in head]))
        _draw_tag(painter, (origin + end) / 2 + 13 * across, name, palette)


def _draw_tag(painter: QPainter, place: NDArray[np.float64], text: str, palette: QPalette) -> None:
    """Write a word on a plate of the window's colour, so that it stays readable."""
    metrics = painter.fontMetrics()
    plate = QRectF(0, 0, metrics.horizontalAdvance(text) + 6, metrics.height())
    plate.moveCenter(QPointF(*place))
    _draw_plate(painter, plate, palette)
    painter.setPen(palette.color(QPalette.ColorRole.WindowText))
    painter.drawText(plate, Qt.AlignmentFlag.AlignCenter, text)


def _draw_plate(painter: QPainter, plate: QRectF, palette: QPalette) -> None:
    back = palette.color(QPalette.ColorRole.Window)
    back.setAlphaF(0.9)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(back)
    painter.drawRoundedRect(plate, 3, 3)


def _draw_legend(painter: QPainter, frame: QRectF, legend: dict[str, QColor], palette: QPalette) -> None:
    """List the colours at the upper right."""
    metrics = painter.fontMetrics()
    entries = list(legend.items())
    if len(entries) > _MOST_ENTRIES:
        entries = [*entries[: _MOST_ENTRIES - 1], ("…", QColor(0, 0, 0, 0))]
    line = metrics.height() + 1
    width = max(metrics.horizontalAdvance(text) for text, _ in entries) + 28
    plate = QRectF(frame.right() - width - 4, frame.top() + 4, width, line * len(entries) + 4)
    _draw_plate(painter, plate, palette)
    ink = palette.color(QPalette.ColorRole.WindowText)
    for number, (text, colour) in enumerate(entries):
        top = plate.top() + 2 + number * line
        if colour.alpha():
            painter.setPen(QPen(ink, 0.8))
            painter.setBrush(colour)
            painter.drawEllipse(QPointF(plate.left() + 10, top + line / 2), 5, 5)
        painter.setPen(ink)
        place = QRectF(plate.left() + 20, top, width - 20, line)
        painter.drawText(place, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, text)


def _draw_bar(painter: QPainter, frame: QRectF, scale: float, palette: QPalette) -> None:
    """Draw a scale bar at the lower left."""
    length = next((b for b in reversed(_BARS) if b * scale <= frame.width() * 0.3), _BARS[0])
    text = f"{length:g} Å"
    width = length * scale
    height = painter.fontMetrics().height()
    plate = QRectF(frame.left() + 4, frame.bottom() - height - 14, max(width, 30) + 12, height + 10)
    _draw_plate(painter, plate, palette)
    ink = palette.color(QPalette.ColorRole.WindowText)
    painter.setPen(QPen(ink, 2))
    y = plate.bottom() - 4
    painter.drawLine(QPointF(plate.left() + 6, y), QPointF(plate.left() + 6 + width, y))
    painter.drawText(QPointF(plate.left() + 6, y - 5), text)


def _subscripts(formula: str) -> str:
    """Write the numbers of a formula below the line; fractions stay as they are."""
    if "." in formula:
        return formula
    return formula.translate(str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉"))
