"""Ctrl+C and SIGTERM: long work ends between two steps, everything else at once; both with a sentence."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any


class TerminatedError(KeyboardInterrupt):
    """SIGTERM arrived; like Ctrl+C, but it has its own exit code."""


@contextmanager
def terminating() -> Iterator[None]:
    """Let SIGTERM unwind the work inside as Ctrl+C does, so that nothing is left half done."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise TerminatedError

    with _handling(stop, signal.SIGTERM):
        yield


@contextmanager
def stop_between_steps() -> Iterator[list[int]]:
    """Note the signals to stop, so that no step is cut in two; the list is empty until there is one."""
    noted: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        noted.append(number)

    with _handling(note, signal.SIGINT, signal.SIGTERM):
        yield noted


def exit_code(number: int) -> int:
    """Return the exit code of a command that a signal stopped: 130 for Ctrl+C, 143 for SIGTERM."""
    return 128 + int(number)


@contextmanager
def _handling(handler: Any, *numbers: int) -> Iterator[None]:
    old: dict[int, Any] = {}
    for number in numbers:
        with suppress(ValueError):  # only the main thread may
            old[number] = signal.signal(number, handler)
    try:
        yield
    finally:
        for number, before in old.items():
            signal.signal(number, before)
