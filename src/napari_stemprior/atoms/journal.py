"""The journal: every edit as one line of JSON in a file that only grows.

A line is handed to the system at once, so that a killed process loses nothing, and is forced to the
disk within a second, so that a power cut loses no more than that. Reading it back gives the same
history, undo included.

Every line ends with its number and a checksum of all before it. A torn last line is normal: it was being
written. Anything else that is damaged, missing or out of order ends the reading there and is said; what
stood after it does not follow from what is known, and the file stays. Journals of format 1 had neither number
nor checksum and are read as far as their lines follow from each other.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd
from filelock import lock_descriptor

from napari_stemprior.atoms.history import AtomHistory, Step, now
from napari_stemprior.atoms.table import COLUMNS

#: Version of the format. Format 1 had no numbers, no checksums and no context.
SCHEMA = 2
#: What stands between a line and its checksum.
CHECK = b',"crc":"'
#: How long a line may wait to be forced to the disk, s.
_SYNC_AFTER = 0.3
Frame = tuple[int, ...]


@dataclass(frozen=True)
class JournalHead:
    """The first line: what the journal is about.

    Parameters
    ----------
    image : dict
        `name`, `sha256`, `shape` and `path` of the image; plain values.
    created : str
        UTC, ISO 8601.
    host, pid
        Where and in which process it was written.
    program : str
    """

    image: dict[str, Any]
    created: str = field(default_factory=now)
    host: str = field(default_factory=socket.gethostname)
    pid: int = field(default_factory=os.getpid)
    program: str = field(default_factory=lambda: f"napari-stemprior {version('napari-stemprior')}")


class Journal:
    """Writes the edits of one image to a file.

    Parameters
    ----------
    path : pathlib.Path
        Must not exist.
    head : JournalHead

    Raises
    ------
    OSError
        If the file exists or cannot be made.
    """

    def __init__(self, path: Path, head: JournalHead) -> None:
        self.path = path
        self._file: IO[bytes] = open(path, "xb", buffering=0)  # noqa: SIM115
        self._identity = _identity(os.fstat(self._file.fileno()))
        with contextlib.suppress(OSError):  # a drive without locks; where there are, it ends with the process
            lock_descriptor(self._file.fileno(), blocking=False)
        #: The frames of which it has the beginning.
        self.frames: set[Frame] = set()
        self._torn = False
        self._lines = 0
        self._dirty = threading.Event()
        self._stop = threading.Event()
        self._sync_error: OSError | None = None
        try:
            self._write({"kind": "head", "schema": SCHEMA} | head.__dict__)
            _sync_folder(path.parent)
        except OSError:
            self._file.close()
            with contextlib.suppress(OSError):
                path.unlink()
            raise
        self._syncer = threading.Thread(target=self._sync_often, name="stemprior-journal", daemon=True)
        self._syncer.start()

    def begin(
        self,
        frame: Frame,
        history: AtomHistory,
        pixel_size: float,
        provenance: dict[str, Any],
        first: Ready | None = None,
    ) -> None:
        """Write all that a frame has: its first rows and the steps since.

        Parameters
        ----------
        frame, history, pixel_size, provenance
            See `state_entries`.
        first : Ready, optional
            Its first rows, if they are written out already (`written_out`).

        Raises
        ------
        OSError
            If the line cannot be written; the others likewise.
        """
        for entry in state_entries(frame, history, pixel_size, provenance, first):
            self._write(entry)
            self.frames.add(frame)

    def record(self, frame: Frame, step: Step) -> None:
        """Write one step."""
        self._write(step_line(frame, step))

    def go(self, frame: Frame, position: int) -> None:
        """Write that the history of a frame went to another state."""
        self._write(_go_entry(frame, position))

    def note_context(self, context: dict[str, Any] | Ready) -> None:
        """Write what the edits belong to: calibration, prior and fit, as plain values or as their JSON."""
        self._write({"kind": "context", "when": now(), "context": context})

    def sync(self) -> None:
        """Force what was written to the disk.

        Raises
        ------
        OSError
            If that fails now or has failed since the last call.
        """
        self._dirty.clear()
        error, self._sync_error = self._sync_error, None
        if error is not None:
            raise error
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Force what was written to the disk and let go of the file."""
        self._stop.set()
        self._dirty.set()
        if self._syncer.is_alive():
            self._syncer.join(timeout=5)
        with contextlib.suppress(OSError):  # a vanished disk; every line was told when it was written
            os.fsync(self._file.fileno())
        self._file.close()

    # --- inside -------------------------------------------------------------------------------
    def _write(self, entry: dict[str, Any]) -> None:
        self._write_line(encoded(entry, self._lines + 1))
        self._lines += 1

    def _write_line(self, line: bytes) -> None:
        if self._sync_error is not None:
            error, self._sync_error = self._sync_error, None
            raise error
        if _identity(os.stat(self.path)) != self._identity:
            raise FileNotFoundError(f"{self.path} is another file now")
        data = (b"\n" if self._torn else b"") + line
        self._torn = True
        done = 0
        while done < len(data):  # a raw file may take a part
            done += self._file.write(data[done:]) or 0
        self._torn = False
        self._dirty.set()

    def _sync_often(self) -> None:
        while not self._stop.is_set():
            self._dirty.wait()
            self._stop.wait(_SYNC_AFTER)
            self._dirty.clear()
            try:
                os.fsync(self._file.fileno())
            except (OSError, ValueError) as error:  # ValueError: the file was closed meanwhile
                if isinstance(error, OSError):
                    self._sync_error = error
                if self._file.closed:
                    return


class Ready(str):
    """A value that is written out as JSON already."""


def encoded(entry: dict[str, Any], number: int) -> bytes:
    """Return the line of an entry, with its number and checksum."""
    text = as_json(entry | {"n": number})[:-1].encode("ascii")
    return text + CHECK + checksum(text) + b'"}\n'


def written_out(rows: pd.DataFrame) -> Ready:
    """Return the rows of an atom table as a journal has them; of 4,000 atoms it takes 30 ms.

    Parameters
    ----------
    rows : pandas.DataFrame
        Of an atom table.
    """
    # column by column, so that in a thread it does not keep other threads waiting
    return Ready(as_json({name: Ready(as_json(values)) for name, values in _packed(rows).items()}))


def as_json(value: Any) -> str:
    """Return plain values as the text of a line."""
    # ASCII: the name of a file need not be text, and its escaped bytes must come back
    if isinstance(value, Ready):
        return value
    if isinstance(value, dict) and any(isinstance(one, Ready) for one in value.values()):
        return "{" + ",".join(f"{json.dumps(key)}:{as_json(one)}" for key, one in value.items()) + "}"
    return json.dumps(value, separators=(",", ":"), default=_plain)


def checksum(text: bytes) -> bytes:
    """Return the checksum of a line up to it: CRC-32 as eight hexadecimal digits."""
    return b"%08x" % zlib.crc32(text)


def state_entries(
    frame: Frame,
    history: AtomHistory,
    pixel_size: float,
    provenance: dict[str, Any],
    first: Ready | None = None,
) -> Iterator[dict[str, Any]]:
    """Describe all that a frame has, as plain values: its first rows, the steps since, and where it stands.

    Parameters
    ----------
    frame : tuple of int
    history : AtomHistory
        It stays as it is.
    pixel_size : float
        Å/px.
    provenance : dict
    first : Ready, optional
        Its first rows, if they are written out already.

    Yields
    ------
    dict
        One entry a line of a journal; `journal_replay.Replay` takes them again.
    """
    at = history.position
    if first is None:
        history = history.copy()
        history.go_to(0)
    yield {
        "kind": "begin",
        "frame": list(frame),
        "when": now(),
        "pixel_size": pixel_size,
        "provenance": {k: v for k, v in provenance.items() if k != "edits"},
        "rows": _packed(history.rows) if first is None else first,
    }
    for step in history.steps:
        yield step_line(frame, step)
    if at != len(history.steps):
        yield _go_entry(frame, at)


def _go_entry(frame: Frame, position: int) -> dict[str, Any]:
    return {"kind": "go", "frame": list(frame), "when": now(), "to": position}


def step_line(frame: Frame, step: Step) -> dict[str, Any]:
    """Return a step as plain values: only what it changed."""
    line: dict[str, Any] = {
        "kind": "step",
        "frame": list(frame),
        "label": step.label,
        "who": step.who,
        "when": step.when,
    }
    gone, come = step.before["atom_id"].to_numpy(), step.after["atom_id"].to_numpy()
    if np.array_equal(gone, come):
        changed = [name for name in COLUMNS if not step.before[name].equals(step.after[name])]
        return line | {"ids": gone.tolist(), "set": _packed(step.after[changed])}
    return line | {"gone": gone.tolist(), "come": _packed(step.after)}


def _packed(rows: pd.DataFrame) -> dict[str, Any]:
    """Return columns as lists; one value where all rows have the same, except for ids and no rows."""
    packed: dict[str, Any] = {}
    for name in rows:
        values = rows[name].tolist()
        same = name != "atom_id" and len(values) > 1 and all(v == values[0] for v in values)
        packed[str(name)] = values[0] if same else values
    return packed


def _plain(value: Any) -> Any:
    """Turn numpy values, which provenance may hold, into plain ones."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    return str(value)


def _identity(stat: os.stat_result) -> tuple[int, int]:
    return stat.st_dev, stat.st_ino


def _sync_folder(folder: Path) -> None:
    """Force the name of a new file to the disk, where the system can do that."""
    with contextlib.suppress(OSError), _opened(folder) as descriptor:
        os.fsync(descriptor)


@contextlib.contextmanager
def _opened(folder: Path) -> Iterator[int]:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
