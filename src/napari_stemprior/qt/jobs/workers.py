"""One piece of long work at a time, in a napari worker that reports to the desk."""

from __future__ import annotations

import atexit
import logging
import warnings
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Any

from napari.qt.threading import GeneratorWorker
from napari.utils.notifications import notification_manager
from qtpy.QtCore import QObject, QThreadPool, Signal

from napari_stemprior.errors import StempriorError, out_of_memory
from napari_stemprior.progress import Progress
from napari_stemprior.qt.jobs.turns import Turns, in_turns

#: ms for which the end of the program waits for work that was told to stop.
_LAST_WAIT = 5000
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Result:
    """What a worker hands back: a value, or what went wrong."""

    value: Any = None
    error: Exception | None = None


Worker = GeneratorWorker[Progress, None, _Result]
#: Workers that have not ended yet.
_running: set[Worker] = set()


def guarded(work: Generator[Progress, None, Any]) -> Generator[Progress, None, _Result]:
    """Drive the work so that no failure of it gets lost.

    napari's generator workers swallow every ``RuntimeError``, torch's out-of-memory error included,
    and leave the worker running for ever; so every failure is handed back as a result.
    """
    # a warning inside a worker would become a notification: other packages' ones go to nobody
    warnings.simplefilter("ignore")
    warnings.filterwarnings("always", module=r"napari_stemprior\.")
    try:
        value = yield from work
    except Exception as error:
        told = out_of_memory(error)
        if told is not None:
            _log.warning("out of memory", exc_info=error)
        return _Result(error=told or error)
    return _Result(value)


@atexit.register
def _stop_all() -> None:
    """End what still runs: a thread that outlives the interpreter would abort the program."""
    if _running:
        for worker in list(_running):
            worker.quit()
        pool = QThreadPool.globalInstance()
        if pool is not None:
            pool.waitForDone(_LAST_WAIT)


class JobRunner(QObject):
    """Runs one generator of `Progress` at a time in a thread.

    A cancelled job ends at its next yield and calls nobody back.

    Parameters
    ----------
    parent : QObject, optional
    """

    #: Whether a job runs, after that has changed.
    busy_changed = Signal(bool)
    #: A `Progress`.
    progressed = Signal(object)
    #: A bar beside the button that started the job shows how far it is.
    followed = Signal()
    #: A `StempriorError`.
    failed = Signal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._worker: Worker | None = None
        self._work: Generator[Progress, None, Any] | None = None
        self._done: Callable[[Any], Any] | None = None
        self._cancelling = False
        self._finished = False
        self._arrival: Turns | None = None

    @property
    def busy(self) -> bool:
        """Whether a job runs."""
        return self._worker is not None

    @property
    def cancelling(self) -> bool:
        """Whether the job was asked to stop and has not yet come to its next yield."""
        return self._cancelling

    def start(self, work: Generator[Progress, None, Any], done: Callable[[Any], Any]) -> bool:
        """Start a job unless one runs, and say whether it was started.

        Parameters
        ----------
        work : generator of Progress
            Everything it needs from the viewer was taken before: it runs in another thread.
        done : callable
            Gets the result, in the main thread; not called after an error or a cancel. One that returns an
            iterator goes on step by step, a turn of the event loop each, and the job lasts until its end.
        """
        if self.busy:
            work.close()
            return False
        self._work, self._done, self._cancelling, self._finished = work, done, False, False
        worker = Worker(guarded, work)
        self._worker = worker
        _running.add(worker)
        worker.finished.connect(lambda *_: _running.discard(worker))
        worker.yielded.connect(self._on_yielded)
        worker.returned.connect(self._on_returned)
        worker.finished.connect(self._on_finished)
        self.busy_changed.emit(True)
        worker.start()
        return True

    def cancel(self) -> None:
        """Ask the job to stop at its next yield; a result that is arriving is taken to its end."""
        if self._arrival is not None:  # the work is done: half of its result would be worse than all
            self._arrival.finish()
        elif self._worker is not None:
            self._cancelling = True
            self._worker.quit()

    def _on_yielded(self, progress: Progress) -> None:
        if not self._cancelling:
            self.progressed.emit(progress)

    def _on_returned(self, result: _Result) -> None:
        done, self._done = self._done, None
        if isinstance(result.error, StempriorError):
            self.failed.emit(result.error)
        elif result.error is not None:  # a fault of the program: napari shows it with its traceback
            error = result.error
            notification_manager.receive_error(type(error), error, error.__traceback__)
        elif done is not None and not self._cancelling:
            rest = done(result.value)
            if isinstance(rest, Iterator):
                self._arrival = in_turns(self, rest, self._on_arrived)

    def _on_arrived(self) -> None:
        if self._finished:
            self._on_finished()

    def _on_finished(self, *_: Any) -> None:
        """Let go of everything: a kept worker would keep its images and tensors alive."""
        self._finished = True
        if self._arrival is not None and not self._arrival.over:
            return  # `_on_arrived` comes back here
        self._arrival = None
        work, self._work = self._work, None
        self._worker = self._done = None
        self._cancelling = False
        if work is not None:
            work.close()  # a cancelled generator never ran its `finally`
        self.busy_changed.emit(False)
