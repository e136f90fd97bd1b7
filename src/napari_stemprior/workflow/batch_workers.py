"""Who segments the frames of a batch: this process, processes beside it, or the workers of a Dask cluster.

All three take jobs while they have room and hand back each result once.
"""

from __future__ import annotations

import os
import queue
import threading
import time
import uuid
from collections.abc import Generator
from typing import Any, Protocol

from napari_stemprior.cluster import connected, unforeseen
from napari_stemprior.errors import ClusterError, StempriorError
from napari_stemprior.progress import Progress, drain
from napari_stemprior.workflow.operations import Operations
from napari_stemprior.workflow.segment_frame import FrameJob, FrameResult, segment_frame


class Workers(Protocol):
    """Takes jobs and hands back their results."""

    #: How far the frame is, where only one is at work; otherwise None.
    progress: Progress | None

    def has_room(self) -> bool:
        """Whether another job can be taken now."""

    def submit(self, job: FrameJob) -> None:
        """Take a job."""

    def finished(self, seconds: float) -> list[FrameResult]:
        """Return the results that are there, after `seconds` at most where there is none."""

    def close(self) -> None:
        """End; what is at work is given up."""


class HereWorker:
    """Work in this process: one frame at a time, each call of `finished` a step of it."""

    def __init__(self, operations: Operations) -> None:
        self.progress: Progress | None = None
        self._operations = operations
        self._work: Generator[Progress, None, FrameResult] | None = None

    def has_room(self) -> bool:
        """Whether no frame is at work."""
        return self._work is None

    def submit(self, job: FrameJob) -> None:
        """Begin with a frame."""
        self._work = segment_frame(self._operations, job)

    def finished(self, seconds: float) -> list[FrameResult]:
        """Do one step."""
        if self._work is None:
            return []
        try:
            self.progress = next(self._work)
        except StopIteration as stop:
            self._work = self.progress = None
            return [stop.value]
        return []

    def close(self) -> None:
        """Give up the frame."""
        if self._work is not None:
            self._work.close()


class ClusterWorkers:
    """The workers of a Dask cluster. Frames travel with their jobs, so a worker that ends takes none along.

    Parameters
    ----------
    address : str
        Of the scheduler.

    Raises
    ------
    ClusterError
        If it does not answer.
    """

    #: Frames for each thread of the cluster: one at work, one on its way.
    _AHEAD = 2
    #: Seconds that the question how many threads there are may be old.
    _FRESH = 2.0

    def __init__(self, address: str) -> None:
        self.progress: Progress | None = None
        self._address = address
        self._client = connected(address)
        self._jobs: dict[str, tuple[Any, FrameJob]] = {}
        self._done: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._room, self._asked = 0, -self._FRESH
        self._word = uuid.uuid4().hex

    def has_room(self) -> bool:
        """Whether fewer frames are there than the cluster has at work and on the way."""
        if time.monotonic() - self._asked > self._FRESH:
            self._room = max(self._AHEAD, self._AHEAD * sum(self._client.nthreads().values()))
            self._asked = time.monotonic()
        return len(self._jobs) < self._room

    def submit(self, job: FrameJob) -> None:
        """Send a frame; it is done anew where its worker ends."""
        import dask

        key = f"stemprior-{self._word}-{job.number}"
        with dask.config.set({"distributed.admin.large-graph-warning-threshold": "1 TB"}):
            future = self._client.submit(segment_there, job, key=key, pure=False)
        self._jobs[key] = future, job
        future.add_done_callback(lambda done: self._done.put(done.key))

    def finished(self, seconds: float) -> list[FrameResult]:
        """Return what came back.

        Raises
        ------
        ClusterError
            If the scheduler is gone or the workers cannot run this package.
        """
        if self._client.status not in ("running", "connecting"):
            raise ClusterError(
                f"The Dask scheduler {self._address} is gone; --resume goes on where it ended."
            )
        results = []
        try:
            results.append(self._result(self._done.get(timeout=seconds)))
            while True:
                results.append(self._result(self._done.get_nowait()))
        except queue.Empty:
            return results

    def close(self) -> None:
        """Give up what is at work, and leave the cluster."""
        if self._client.status == "running":
            self._client.cancel([future for future, _ in self._jobs.values()])
        self._client.close()

    def _result(self, key: str) -> FrameResult:
        from distributed import KilledWorker

        future, job = self._jobs.pop(key)
        try:
            found: FrameResult = future.result()
        except StempriorError:
            raise
        except KilledWorker:
            return killed(job, "each worker of the cluster that had it ended")
        except Exception as error:  # whatever went wrong on the other machine
            raise unforeseen(job.recorded.name, error) from error
        return found


#: What a thread of a worker of Dask keeps: a segmenter holds one image at a time.
_kept = threading.local()


def segment_there(job: FrameJob) -> FrameResult:
    """Segment a frame on a worker of a cluster; its network is loaded once for each thread."""
    operations: Operations | None = getattr(_kept, "operations", None)
    if operations is None:
        operations = _kept.operations = Operations()
    return drain(segment_frame(operations, job))


def killed(job: FrameJob, how: str) -> FrameResult:
    """Return the result of a frame that ended its workers.

    Parameters
    ----------
    job : FrameJob
    how : str
        What happened, for the sentence.
    """
    name = job.recorded.name
    return FrameResult(
        job.number, None, error=f"{name}: {how}, as happens where memory lacks; segment a smaller part of it."
    )


def usable_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
