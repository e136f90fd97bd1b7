"""Work of the main thread in pieces, one for each turn of the event loop, so that the window goes on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from qtpy.QtCore import QObject, QTimer

#: ms from the end of one piece to the next, in which keys, mouse and paint events have their turn.
_PAUSE = 1
#: s after a piece of work in which a timer belongs to the same turn of the event loop.
_SAME = 0.001
_worked = 0.0


def worked() -> None:
    """Note that a piece of work was done, so that no other one comes in the same turn of the event loop."""
    global _worked
    _worked = time.perf_counter()


def just_worked() -> bool:
    """Whether that was in this turn, so that another piece had better wait for the next one."""
    return time.perf_counter() - _worked < _SAME


class Turns(QObject):
    """Drives a generator whose every step is short.

    Parameters
    ----------
    parent : QObject
        Nothing goes on after it is gone.
    pieces : iterator
        Each step of it is one piece of work.
    done : callable, optional
        Called after the last piece.
    """

    def __init__(
        self, parent: QObject, pieces: Iterator[None], done: Callable[[], None] | None = None
    ) -> None:
        super().__init__(parent)
        self._pieces: Iterator[None] | None = pieces
        self._done = done
        self._inside = False
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_PAUSE)
        self._timer.timeout.connect(self._on_timer)
        self._timer.start()

    @property
    def over(self) -> bool:
        """Whether nothing is left to do."""
        return self._pieces is None

    def finish(self) -> None:
        """Do all that is left now."""
        while self._pieces is not None and not self._inside:
            self._turn()

    def stop(self) -> None:
        """Leave out what is left, and call nobody back."""
        self._timer.stop()
        self._pieces = self._done = None

    def _on_timer(self) -> None:
        if just_worked():  # Qt fires all timers that are due, one after another
            self._timer.start()
        else:
            self._turn()
            worked()

    def _turn(self) -> None:
        pieces = self._pieces
        if pieces is None:
            return
        self._timer.stop()
        self._inside = True
        try:
            next(pieces)
        except StopIteration:
            done, self._pieces, self._done, self._inside = self._done, None, None, False
            if done is not None:
                done()
        except Exception:
            self.stop()
            raise
        else:
            if self._pieces is not None:
                self._timer.start()
        finally:
            self._inside = False


def in_turns(parent: QObject, pieces: Iterator[None], done: Callable[[], None] | None = None) -> Turns:
    """Start such work; see `Turns`."""
    return Turns(parent, pieces, done)
