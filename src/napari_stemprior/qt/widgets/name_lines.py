"""The name of an image over the lines of a narrow column, and its prior below it."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import QModelIndex, QObject, Qt
from qtpy.QtGui import QFontMetrics
from qtpy.QtWidgets import QStyledItemDelegate, QStyleOptionViewItem

#: Lines that a name may take.
LINES = 3
#: px of a cell that are no text: the margins of the style around picture and text.
_MARGINS = 14
#: What the style takes for the end of a line.
_BREAK = "\u2028"


class NameLines(QStyledItemDelegate):
    """Breaks names, which have no blanks to break at.

    Parameters
    ----------
    below : callable
        Gives the last line for an index, such as the prior.
    parent : QObject
    """

    def __init__(self, below: Callable[[QModelIndex], str], parent: QObject) -> None:
        super().__init__(parent)
        self._below = below

    def initStyleOption(self, option: QStyleOptionViewItem | None, index: QModelIndex) -> None:  # noqa: N802
        """Give the style the lines to draw."""
        super().initStyleOption(option, index)
        if option is None:
            return
        room = option.rect.width() - option.decorationSize.width() - _MARGINS
        metrics = QFontMetrics(option.font)
        lines = broken(option.text or "", metrics, room)
        last = metrics.elidedText(self._below(index), Qt.TextElideMode.ElideRight, max(room, 0))
        option.text = _BREAK.join([*lines, last] if last else lines)


def broken(name: str, metrics: QFontMetrics, room: int) -> list[str]:
    """Break a name into at most `LINES` lines of `room` px; what is longer loses its middle.

    Parameters
    ----------
    name : str
    metrics : QFontMetrics
    room : int
        px.
    """
    if metrics.horizontalAdvance(name) <= room or room <= 0:
        return [name]
    for spare in range(0, LINES * room, 4):
        left = metrics.elidedText(name, Qt.TextElideMode.ElideMiddle, LINES * room - spare)
        lines: list[str] = []
        while left and len(lines) < LINES:
            fits = max(
                (n for n in range(1, len(left) + 1) if metrics.horizontalAdvance(left[:n]) <= room), default=1
            )
            lines.append(left[:fits])
            left = left[fits:]
        if not left:
            return lines
    return [metrics.elidedText(name, Qt.TextElideMode.ElideMiddle, room)]
