"""What is fuzzed: a reader, its valid files, how they are damaged, and what a right answer is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Seed:
    """A valid file or folder, with the right answer of its reader.

    `payload` are the bytes of the file that hold pixels and nothing else; `fields` the ranges of bytes that
    are worth damaging most.
    """

    path: Path
    expected: Any = None
    payload: tuple[int, int] | None = None
    fields: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class Change:
    """What was done to a copy of a seed.

    `harmless` says that the answer must be the seed's; `flips` counts the bytes of the payload that differ.
    """

    kind: str
    harmless: bool = False
    flips: int = 0
    note: str = ""


@dataclass(frozen=True)
class Subject:
    """One reader.

    `make` writes valid files into a folder. `damage` writes a damaged copy of a seed beside nothing else in a
    folder and returns its path. `judge` reads it through the library and returns why the answer is wrong, or
    ""; a refusal is an exception of ours. `words` are those of a command that reads it.
    """

    name: str
    make: Callable[[Path], list[Seed]]
    damage: Callable[[Seed, Path, np.random.Generator], tuple[Path, Change]]
    judge: Callable[[Path, Seed, Change], str]
    words: Callable[[Path, Seed, Path], list[list[str]]] | None = None
    #: Part of the cases that go through the command line.
    spoken: float = 0.1
    weight: float = field(default=1.0)
    #: Whether the commands end with a refusal by another thing, after they have read the file.
    ends_refused: bool = False
