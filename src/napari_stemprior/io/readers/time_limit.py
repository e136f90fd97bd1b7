"""A limit on the time that a library takes to read a file, whatever its header says."""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from napari_stemprior.io.readers.folder_entries import stored_bytes

#: Seconds for any file, and bytes a second beyond that. They count by the clock and by the work of the
#: processor, so that neither a slow drive nor a busy computer is taken for a loop without end.
_LEAST, _RATE = 15.0, 5e6
#: Seconds between two looks at them.
_LOOK = 0.1


class TookTooLongError(Exception):
    """The time is over."""


@contextmanager
def time_limit(path: Path) -> Iterator[None]:
    """End the reading of a file that takes longer than its size explains.

    A loop in Python is ended from another thread; code in C ends by itself first.

    Parameters
    ----------
    path : pathlib.Path

    Raises
    ------
    TookTooLongError
        If the time is over.
    """
    reading = threading.get_ident()
    lock, done = threading.Lock(), threading.Event()
    limit, clock, work = _LEAST + stored_bytes(path) / _RATE, time.monotonic(), time.process_time()

    def watch() -> None:
        while min(time.monotonic() - clock, time.process_time() - work) < limit:
            if done.wait(_LOOK):
                return
        with lock:
            if not done.is_set():
                ctypes.pythonapi.PyThreadState_SetAsyncExc(
                    ctypes.c_ulong(reading), ctypes.py_object(TookTooLongError)
                )

    watcher = threading.Thread(target=watch, name="stemprior-time-limit", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        with lock:
            done.set()
