"""The wheel scrolls the desk; it changes a value only where the keyboard is.

Qt gives the wheel to whatever lies under the mouse, so a list, slider or number that passes below it while a
person scrolls would be changed without being noticed.
"""

from __future__ import annotations

from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtWidgets import QAbstractSlider, QAbstractSpinBox, QApplication, QComboBox, QScrollBar, QWidget

_VALUES = (QComboBox, QAbstractSpinBox, QAbstractSlider)


class WheelGuard(QObject):
    """Passes the wheel on from every field of a widget that has no focus.

    Parameters
    ----------
    inside : QWidget
        The fields that are in it are guarded, as long as it lives.
    """

    def __init__(self, inside: QWidget) -> None:
        super().__init__(inside)
        for kind in _VALUES:
            for field in inside.findChildren(kind):
                if isinstance(field, QScrollBar):
                    continue
                if field.focusPolicy() == Qt.FocusPolicy.WheelFocus:
                    field.setFocusPolicy(Qt.FocusPolicy.StrongFocus)  # a turn of the wheel is no wish to type
                field.installEventFilter(self)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802
        """Hand a wheel event on to what lies around an unfocused field."""
        if event is not None and event.type() == QEvent.Type.Wheel and isinstance(watched, QWidget):
            focus = QApplication.focusWidget()
            # a field may consist of several, such as a slider with its number
            if focus is None or not (_within(focus, watched) or _within(watched, focus)):
                event.ignore()
                return True
        return False


def _within(part: QWidget, field: QWidget) -> bool:
    return part is field or (isinstance(field, _VALUES) and field.isAncestorOf(part))
