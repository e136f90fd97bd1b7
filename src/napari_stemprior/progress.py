"""Progress of long work.

Long work is a generator that yields `Progress` and returns its result. The command line, the
napari worker and tests all drive the same generator; closing it between two yields cancels it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Progress:
    """How far the work is: `done` of `total` steps, and what is being done."""

    done: int
    total: int
    stage: str = ""


def result_of(work: T | Generator[Progress, None, T]) -> Generator[Progress, None, T]:
    """Run work of which each step tells progress; what is a result already is returned as it is."""
    return (yield from work) if isinstance(work, Generator) else work


def told_as(told: Progress, work: Generator[Progress, None, T]) -> Generator[Progress, None, T]:
    """Run work as a part of other work: at each of its steps that work's progress is told."""
    while True:
        try:
            next(work)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]
        yield told


def told_of(
    name: str, done: int, total: int, work: Generator[Progress, None, T]
) -> Generator[Progress, None, T]:
    """Run the work on one of several things: each of its stages is told with the thing's name and place.

    Parameters
    ----------
    name : str
    done, total : int
        How many things are done, and how many there are.
    work : generator of Progress
        Is closed at the end, also where this one is closed.
    """
    try:
        while True:
            try:
                step = next(work)
            except StopIteration as stop:
                return stop.value  # type: ignore[no-any-return]
            yield Progress(done, total, f"{name}: {step.stage}")
    finally:
        work.close()


def drain(work: Generator[Progress, None, T], report: Callable[[Progress], None] | None = None) -> T:
    """Run the work to its end, pass each progress on, and return its result."""
    while True:
        try:
            progress = next(work)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]
        if report is not None:
            report(progress)
