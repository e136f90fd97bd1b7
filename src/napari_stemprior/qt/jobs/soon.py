"""What may wait until the window has shown an edit."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import QObject, QTimer


class Soon(QObject):
    """Calls a function in a next turn of the event loop, once, however often it is asked for until then.

    Parameters
    ----------
    parent : QObject
        Nothing is called after it is gone.
    function : callable
    """

    def __init__(self, parent: QObject, function: Callable[[], object]) -> None:
        super().__init__(parent)
        self._function = function
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(0)
        self._timer.timeout.connect(self.now)

    def __call__(self, *_: object) -> None:
        """Call the function soon."""
        self._timer.start()

    def now(self) -> None:
        """Call it at once, and not again."""
        self._timer.stop()
        self._function()

    def stop(self) -> None:
        """Do not call it."""
        self._timer.stop()
