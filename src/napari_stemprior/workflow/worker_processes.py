"""Processes beside this one that each keep a network and segment one frame at a time on one core."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from typing import Any

from napari_stemprior.errors import DeviceError, StempriorError
from napari_stemprior.kept_memory import keep_freed_memory
from napari_stemprior.progress import Progress, drain
from napari_stemprior.workflow.batch_workers import killed
from napari_stemprior.workflow.operations import Operations
from napari_stemprior.workflow.segment_frame import FrameJob, FrameResult, segment_frame

#: How often a frame is given to a process: one that ends with it may have ended for another reason.
_TRIES = 2
#: Seconds that a process has to end by itself.
_PATIENCE = 5.0
#: What the libraries read when they start: one image a core is faster than one image on all cores.
_ONE_THREAD = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


@dataclass(eq=False)
class _Worker:
    process: Any
    connection: Connection
    ready: bool = False
    job: FrameJob | None = None


class WorkerProcesses:
    """Processes that take a frame each. They are spawned, not forked: torch does not survive a fork.

    Parameters
    ----------
    count : int
        How many there are.
    """

    def __init__(self, count: int) -> None:
        self.progress: Progress | None = None
        self._tries: dict[int, int] = {}
        self._again: list[FrameJob] = []
        self._lost: list[FrameResult] = []
        self._workers: list[_Worker] = []
        try:
            for _ in range(count):
                self._workers.append(_started())
        except BaseException:
            self.close()
            raise

    def has_room(self) -> bool:
        """Whether a process has nothing to do."""
        return sum(worker.job is None for worker in self._workers) > len(self._again)

    def submit(self, job: FrameJob) -> None:
        """Give a frame to a process that has nothing to do."""
        self._again.append(job)
        self._give()

    def finished(self, seconds: float) -> list[FrameResult]:
        """Return the results that are there; a process that ended is replaced, and its frame done anew.

        Raises
        ------
        StempriorError
            If no process can start, or there is no such network or device.
        """
        results, self._lost = self._lost, []
        self._give()
        ready = wait([worker.connection for worker in self._workers], 0.0 if results else seconds)
        for worker in [worker for worker in self._workers if worker.connection in ready]:
            try:
                message = worker.connection.recv()
            except (EOFError, OSError):
                self._replace(worker)
                continue
            if isinstance(message, StempriorError):
                raise message
            worker.ready = True
            if isinstance(message, FrameResult):
                worker.job = None
                results.append(message)
        self._give()
        return results + self._taken_lost()

    def close(self) -> None:
        """End the processes."""
        for worker in self._workers:
            worker.process.terminate()
        for worker in self._workers:
            worker.process.join(_PATIENCE)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
            worker.connection.close()
        self._workers.clear()

    def _taken_lost(self) -> list[FrameResult]:
        lost, self._lost = self._lost, []
        return lost

    def _give(self) -> None:
        for worker in self._workers:
            while self._again and worker.ready and worker.job is None:
                worker.job = self._again.pop(0)
                try:
                    worker.connection.send(worker.job)
                except OSError:  # it has ended; `finished` sees so
                    break

    def _replace(self, worker: _Worker) -> None:
        """Start another process in the place of one that ended, and give its frame to the next."""
        worker.process.join(_PATIENCE)
        code, job = worker.process.exitcode, worker.job
        worker.connection.close()
        self._workers.remove(worker)
        if not worker.ready:
            raise DeviceError(
                f"A process for segmenting could not start, or was ended while it did (exit code {code}); "
                "give --workers 1, and in a script start it below if __name__ == '__main__'."
            )
        self._workers.append(_started())
        if job is None:
            return
        self._tries[job.number] = self._tries.get(job.number, 0) + 1
        if self._tries[job.number] < _TRIES:
            self._again.append(job)
        else:
            self._lost.append(
                killed(job, f"the process that segmented it was ended twice (exit code {code})")
            )


def _started() -> _Worker:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs,), name="stemprior-worker", daemon=True)
    with _one_thread(), _no_interrupt():
        process.start()
    theirs.close()  # else its end would not be seen
    return _Worker(process, ours)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Let the processes that start inside use one thread each."""
    before = {name: os.environ.get(name) for name in _ONE_THREAD}
    os.environ.update(dict.fromkeys(_ONE_THREAD, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def _no_interrupt() -> Iterator[None]:
    """Let the processes that start inside not hear Ctrl+C, which goes to all; this one ends them."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # when it starts it lets the signal through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _work(connection: Connection) -> None:
    """Segment the frames that come until none does: the life of a worker process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    keep_freed_memory()
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    operations = Operations()
    _end_with(multiprocessing.parent_process())
    with suppress(EOFError, OSError):  # the one who asked is gone
        connection.send("ready")
        while True:
            job: FrameJob = connection.recv()
            try:
                message: object = drain(segment_frame(operations, job))
            except StempriorError as error:
                message = error
            connection.send(message)


def _end_with(parent: Any) -> None:
    """End this process as soon as the one that started it has ended, however that came."""

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)

    if parent is not None:
        threading.Thread(target=watch, name="stemprior-parent", daemon=True).start()
