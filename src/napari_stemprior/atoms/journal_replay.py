"""Reading a journal back: the states to which its lines lead, as far as they are whole."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from napari_stemprior.atoms.history import AtomHistory
from napari_stemprior.atoms.journal import CHECK, SCHEMA, Frame, JournalHead, checksum
from napari_stemprior.atoms.table import COLUMNS, AtomTable
from napari_stemprior.errors import JournalError
from napari_stemprior.regular_files import refuse_pipe


@dataclass(frozen=True)
class Recovered:
    """What a journal gives back.

    Parameters
    ----------
    head : JournalHead
    histories : dict
        The history of each frame; a single image has the frame ``()``.
    provenance : dict
        Of each frame.
    pixel_size : float
        Å/px.
    edits : int
        Steps of persons that were read.
    last : str
        When the last of them was, UTC.
    torn : int
        Lines that could not be read: a last one that was being written.
    damage : str
        Where the reading ended before the end of the file, in a sentence; empty where it did not.
    context : dict
        What the edits belong to, as `Journal.note_context` was given it last; empty where nothing was.
    """

    head: JournalHead
    histories: dict[Frame, AtomHistory]
    provenance: dict[Frame, dict[str, Any]]
    pixel_size: float
    edits: int
    last: str
    torn: int
    damage: str = ""
    context: dict[str, Any] = field(default_factory=dict)


def read_head(path: Path) -> JournalHead:
    """Read the first line of a journal.

    Raises
    ------
    JournalError
        If it is no journal, or one of a newer version.
    """
    try:
        refuse_pipe(path)
        with open(path, "rb") as file:
            return _head(path, file.readline())
    except OSError as error:
        raise JournalError(f"{path}: the journal cannot be read ({error.strerror}).") from error


def count_edits(path: Path) -> int:
    """Count the edits of persons in a journal without reading it in full; 0 if it cannot be read."""
    try:
        refuse_pipe(path)
        with open(path, "rb") as file:
            return sum(line.startswith(b'{"kind":"step"') and b'"who":""' not in line[:4000] for line in file)
    except OSError:
        return 0


def read_journal(path: Path) -> Recovered:
    """Read a journal back, as far as its lines are whole and follow from each other.

    Raises
    ------
    JournalError
        If it is no journal, one of a newer version, or nothing of it can be restored.
    """
    try:
        refuse_pipe(path)
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise JournalError(f"{path}: the journal cannot be read ({error.strerror}).") from error
    head = _head(path, lines[0])
    numbered = _schema(lines[0]) > 1
    replay = Replay()
    torn, damage, expected = 0, "", 2
    filled = [(number, line) for number, line in enumerate(lines[1:], 2) if line.strip()]
    for number, line in filled:
        entry = _checked(line) if numbered else _entry(line)
        unfinished = number == len(lines)  # what follows the last line break
        if entry is None and (unfinished or (numbered and _comes_again(lines[number:], expected))):
            torn += 1
            continue
        if entry is not None and entry.get("n", expected) == expected and replay.take(entry):
            expected += 1
            continue
        rest = sum(other > number for other, _ in filled)
        what = "is damaged" if entry is None else "does not follow from the lines before it"
        after = (
            f" and the {rest} after it are" if rest > 1 else " and the one after it are" if rest else " is"
        )
        damage = f"line {number} {what}, so it{after} not restored"
        break
    if damage and not replay.histories:
        raise JournalError(f"{path}: {damage}; keep the file, nothing of it can be restored.")
    return Recovered(
        head, replay.histories, replay.provenance, replay.pixel_size, replay.edits, replay.last,
        torn, damage, replay.context,
    )  # fmt: skip


class Replay:
    """The states to which the lines of a journal lead.

    Attributes
    ----------
    histories, provenance : dict
        Of each frame.
    context : dict
        What the edits belong to, as it was noted last.
    pixel_size : float
        Å/px.
    edits : int
        Steps of persons.
    last : str
        When the last of them was, UTC.
    """

    def __init__(self) -> None:
        self.histories: dict[Frame, AtomHistory] = {}
        self.provenance: dict[Frame, dict[str, Any]] = {}
        self.context: dict[str, Any] = {}
        self.pixel_size, self.edits, self.last = 1.0, 0, ""

    def take(self, entry: dict[str, Any]) -> bool:
        """Do what a line says; False where it does not follow from the lines before, and nothing is done."""
        try:
            self._take(entry)
        except (KeyError, ValueError, IndexError, TypeError, AttributeError, OverflowError):
            return False
        return True

    def _take(self, entry: dict[str, Any]) -> None:
        if entry["kind"] == "context":
            self.context = dict(entry["context"])
            return
        frame = tuple(int(i) for i in entry["frame"])
        if entry["kind"] == "begin":
            history, provenance = AtomHistory(_unpacked(entry["rows"])), dict(entry["provenance"])
            self.pixel_size = float(entry["pixel_size"])
            self.histories[frame], self.provenance[frame] = history, provenance
        elif entry["kind"] == "step":
            _replay(self.histories[frame], entry)
            self.edits += bool(entry["who"])
            self.last = str(entry["when"]) if entry["who"] else self.last
        elif entry["kind"] == "go":
            self.histories[frame].go_to(int(entry["to"]))


def _checked(line: bytes) -> dict[str, Any] | None:
    """Return the entry of a line whose checksum is right."""
    text, mark, check = line.strip().rpartition(CHECK)
    if not mark or check != checksum(text) + b'"}':
        return None
    return _entry(line)


def _comes_again(following: list[bytes], number: int) -> bool:
    """Tell whether a line that a full disk cut off was written anew after it: its number comes again."""
    line = next((line for line in following if line.strip()), b"")
    return (_checked(line) or {}).get("n") == number


def _head(path: Path, line: bytes) -> JournalHead:
    entry = _entry(line)
    if entry is None or entry.get("kind") != "head":
        raise JournalError(f"{path}: this is no journal of atom edits; move it away.")
    schema = entry.pop("schema", None)
    if not isinstance(schema, int) or isinstance(schema, bool) or schema > SCHEMA:
        raise JournalError(
            f"{path}: the journal has version {schema} of its format and this program knows {SCHEMA}; "
            "update napari-stemprior to read it."
        )
    if schema > 1 and _checked(line) is None:
        raise JournalError(f"{path}: the first line of the journal is damaged; keep the file.")
    if not isinstance(entry.get("image"), dict):
        raise JournalError(f"{path}: this is no journal of atom edits; move it away.")
    known: dict[str, Any] = {k: str(entry[k]) for k in ("created", "host", "program") if k in entry}
    known |= {k: entry[k] for k in ("pid",) if isinstance(entry.get(k), int)}
    return JournalHead(entry["image"], **known)


def _schema(line: bytes) -> int:
    return int((_entry(line) or {}).get("schema", 0))


def _entry(line: bytes) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):  # torn: the process or the disk ended within this line
        return None
    return entry if isinstance(entry, dict) else None


def _replay(history: AtomHistory, entry: dict[str, Any]) -> None:
    rows = history.rows
    if "ids" in entry:
        before = rows.iloc[_found(history, entry["ids"])]
        values = {
            name: pd.Series(value if isinstance(value, list) else [value] * len(before), before.index)
            for name, value in entry["set"].items()
        }
        after = before.assign(**values).astype(COLUMNS)
    else:
        before, after = rows.iloc[_found(history, entry["gone"])], _unpacked(entry["come"])
    history.record(entry["label"], before, after, who=entry["who"], when=entry["when"])


def _found(history: AtomHistory, ids: list[int]) -> Any:
    wanted = np.asarray(ids, np.int64)
    at = history.rows_of(wanted)
    if len(wanted) and (at.max() >= len(history) or (history.ids[at] != wanted).any()):
        raise KeyError("unknown atom_id")
    return at


def _unpacked(packed: dict[str, Any]) -> pd.DataFrame:
    n = len(packed["atom_id"])
    full = {k: v if isinstance(v, list) else [v] * n for k, v in packed.items()}
    return AtomTable(pd.DataFrame(full, columns=list(COLUMNS)).astype(COLUMNS), 1.0).rows
