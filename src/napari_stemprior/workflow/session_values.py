"""The values of a session file, looked at before anything is made of them: the file may be damaged."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from napari_stemprior.atoms import STATUSES, AtomTable
from napari_stemprior.atoms.journal import Frame
from napari_stemprior.atoms.journal_keeper import FrameState
from napari_stemprior.atoms.journal_replay import Replay
from napari_stemprior.io.writers.formats.tables import checked_table

T = TypeVar("T")
#: napari's types of shapes that have an area.
SHAPES = ("rectangle", "ellipse", "polygon")
#: Most corners of an outline.
_CORNERS = 100_000
#: px beyond which a corner lies on no image.
_FARTHEST = 1e7
_TEXTS = ("element", "site", "source", "status")


def of_type(value: Any, kind: type[T]) -> T:
    """Return a value if it is of a type; a whole number is a float as well, a truth value no number.

    Raises
    ------
    TypeError
        If it is of another one.
    """
    if kind is float and type(value) is int:
        value = float(value)
    if type(value) is not kind:
        raise TypeError(f"a value of the kind {type(value).__name__} in the place of {kind.__name__}")
    return value


def whole_number(value: Any, low: int, high: int = 2**31) -> int:
    """Return a whole number in a range.

    Raises
    ------
    TypeError, ValueError
        If it is none, or lies outside.
    """
    number = of_type(value, int)
    if not low <= number <= high:
        raise ValueError(f"the number {str(number)[:40]} lies outside {low} to {high}")
    return number


def frame_of(value: Any) -> Frame:
    """Return the place of a frame in a stack, or a shape: a few whole numbers that are not negative.

    Raises
    ------
    TypeError, ValueError
        If it is none.
    """
    numbers = of_type(value, list)
    if len(numbers) > 8:
        raise ValueError(f"{len(numbers)} axes are more than an image has")
    return tuple(whole_number(number, 0) for number in numbers)


def view_of(value: Any) -> tuple[float, float, float]:
    """Return what was seen: y and x of the middle, and screen pixels per length.

    Raises
    ------
    TypeError, ValueError
        If it is none.
    """
    y, x, zoom = (of_type(number, float) for number in of_type(value, list))
    if not all(math.isfinite(v) and abs(v) <= _FARTHEST for v in (y, x, zoom)) or zoom < 1 / _FARTHEST:
        raise ValueError("the view is none")
    return y, x, zoom


def texts(values: Mapping[str, Any], *keys: str) -> dict[str, str]:
    """Return fields that are texts.

    Raises
    ------
    KeyError, TypeError
        If one is missing or is none.
    """
    return {key: of_type(values[key], str) for key in keys}


def outlines(values: Any) -> tuple[tuple[str, list[list[float]]], ...]:
    """Return the outlines of a reviewed region: the type of shape, and (N, 2) pixels (y, x).

    Raises
    ------
    TypeError, ValueError
        If one is none.
    """
    found = []
    for kind, corners in of_type(values, list):
        points = [[of_type(v, float) for v in of_type(corner, list)] for corner in of_type(corners, list)]
        right = all(
            len(point) == 2 and all(math.isfinite(v) and abs(v) <= _FARTHEST for v in point)
            for point in points
        )
        if kind not in SHAPES or not right or not 3 <= len(points) <= _CORNERS:
            raise ValueError("an outline of the reviewed region is none")
        if kind != "polygon" and len(points) != 4:
            raise ValueError(f"a {kind} of the reviewed region has {len(points)} corners")
        found.append((str(kind), points))
    return tuple(found)


def checked_states(entries: Sequence[Any]) -> tuple[FrameState, ...]:
    """Return the atoms and edits to which the entries of journals lead.

    Parameters
    ----------
    entries : sequence
        As `atoms.journal.state_entries` makes them.

    Raises
    ------
    TypeError, ValueError
        If an entry is damaged or does not follow from those before it, or an atom has a value that none has.
    """
    replay = Replay()
    sizes: dict[Frame, float] = {}
    for number, entry in enumerate(entries, 1):
        values = of_type(entry, dict)
        texts(values, "kind", "when")
        if values["kind"] == "step":
            texts(values, "label", "who")
        if values["kind"] not in ("begin", "step", "go") or not replay.take(values):
            raise ValueError(f"edit {number} of {len(entries)} does not follow from those before it")
        sizes.setdefault(frame_of(values["frame"]), replay.pixel_size)
    for frame, history in replay.histories.items():
        steps = [rows for step in history.steps for rows in (step.before, step.after)]
        _check_rows(pd.concat([history.rows, *steps], ignore_index=True), sizes[frame])
    return tuple(
        FrameState(frame, history, sizes[frame], replay.provenance[frame])
        for frame, history in replay.histories.items()
    )


def _check_rows(rows: pd.DataFrame, pixel_size: float) -> None:
    """See that the rows of all states of a table are such as atoms can have."""
    numbered = rows.assign(atom_id=np.arange(len(rows)))  # an atom stands in several states
    checked_table(AtomTable(numbered, pixel_size))
    if not all(isinstance(value, str) for name in _TEXTS for value in rows[name]):
        raise ValueError("an element, a site or a status is no text")
    if not set(rows["status"]) <= set(STATUSES):
        raise ValueError("a status is none")
