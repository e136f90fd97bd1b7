"""napari's notifications, whole: one above the other, and no sentence twice.

napari shows one line of each, cut where it is too long, and lays the next one over it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from napari.utils.notifications import notification_manager
from qtpy.QtCore import QEvent, QObject, QRect, Qt, QTimer, Signal
from qtpy.QtWidgets import QDialog, QWidget

#: More at once would cover the image.
_MOST = 3
#: px between two, and to the edges.
_GAP = 8
#: ms after which napari has shown what it was told.
_SOON = 30
#: px around the sentence: the margins of napari's rows.
_MARGINS = 26
#: px for a sentence, at least, where napari has not yet laid its row out.
_NARROWEST = 200
#: Reading takes about 60 ms a letter (250 words of 4 letters and a blank a minute, rounded up).
_MS_A_LETTER = 60


class Toasts(QObject):
    """Keeps the notifications of a window whole and apart.

    Parameters
    ----------
    parent : QWidget
        The desk; the notifications are those of its window.
    """

    _told = Signal()

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._desk = parent
        self._watched: set[int] = set()
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_SOON)
        self._timer.timeout.connect(self.tidy)
        # a worker may notify, so a signal brings it to this thread
        self._told.connect(self._timer.start)
        notification_manager.notification_ready.connect(self._on_notified)
        # napari forgets what is collected; PySide6 keeps the object in Python when that of Qt is gone
        self.destroyed.connect(partial(_leave, self._on_notified))

    def close(self) -> None:
        """Leave the notifications to napari."""
        self._timer.stop()
        _leave(self._on_notified)

    def shown(self) -> list[QDialog]:
        """Return the notifications that are seen, the oldest first."""
        window = self._desk.window()
        if window is None:
            return []
        return [
            dialog
            for dialog in window.findChildren(QDialog)
            if type(dialog).__name__ == "NapariQtNotification" and dialog.isVisible()
        ]

    def tidy(self) -> None:
        """Close what is said again or is too much, and lay the rest whole above each other."""
        kept: list[Any] = []
        said: set[str] = set()
        for toast in reversed(self.shown()):  # the newest first
            words = _words(toast)
            if words in said or len(kept) == _MOST:
                toast.close()
                continue
            said.add(words)
            kept.append(toast)
        bottom = 0
        for toast in kept:
            self._watch(toast)
            bottom = _lay(toast, bottom)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802
        """Lay them anew where one goes or the window changes."""
        if event is not None and event.type() in (QEvent.Type.Hide, QEvent.Type.Resize):
            self._timer.start()
        return super().eventFilter(watched, event)

    def _watch(self, toast: QDialog) -> None:
        for watched in (toast, toast.parentWidget()):
            if watched is not None and id(watched) not in self._watched:
                self._watched.add(id(watched))
                watched.destroyed.connect(partial(self._forget, id(watched)))
                watched.installEventFilter(self)

    def _forget(self, key: int, *_: Any) -> None:
        self._watched.discard(key)

    def _on_notified(self, notification: Any) -> None:
        self._told.emit()


def _leave(told: Callable[[Any], None], *_: Any) -> None:
    notification_manager.notification_ready.disconnect(told)


def _words(toast: Any) -> str:
    return str(toast.message.text())


def _lay(toast: Any, bottom: int) -> int:
    """Give a notification the height that its sentence takes, above `bottom` px, and return its own top."""
    frame = toast.parentWidget()
    label = toast.message
    width = max(label.width(), _NARROWEST)
    flags = int(Qt.TextFlag.TextWordWrap | Qt.TextFlag.TextWrapAnywhere)
    text = label.fontMetrics().boundingRect(QRect(0, 0, width, 10_000), flags, _words(toast))
    lines = max(text.height(), label.fontMetrics().height()) + label.fontMetrics().height() // 2
    buttons = toast.row2_widget.sizeHint().height() if toast.row2_widget.isVisible() else 0
    height = max(toast.minimumHeight(), lines + _MARGINS + buttons)
    top: int = bottom + _GAP + height
    wanted = QRect(frame.width() - toast.width() - _GAP, frame.height() - top, toast.width(), height)
    if toast.geometry() != wanted or not toast.property("stemprior"):
        toast.geom_anim.stop()
        label.setMinimumHeight(lines)
        toast.setGeometry(wanted)
    if not toast.property("stemprior"):
        toast.setProperty("stemprior", True)
        toast.expand_button.hide()
        if toast.timer.isActive():
            toast.timer.start(max(toast.timer.interval(), _MS_A_LETTER * len(_words(toast))))
    return top
