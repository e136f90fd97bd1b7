"""What became of every image of a batch: a journal that survives a kill, and the table made from it.

The journal ``results.jsonl`` has a line for each image that is done, written after its atoms are in place; a
line that was cut off or is damaged counts as not there, and its image is done anew. ``results.csv`` is made
from it. One process at a time writes them.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import pandas as pd
from filelock import FileLock, Timeout

from napari_stemprior.atomic_write import replaced
from napari_stemprior.atoms import AtomTable
from napari_stemprior.errors import ExportError
from napari_stemprior.io.json_values import plain, printable
from napari_stemprior.io.writers.formats.tables import inert, prior_fit
from napari_stemprior.output_files import check_output
from napari_stemprior.workflow.count_doubts import DOUBTS
from napari_stemprior.workflow.image_sources import natural_order

#: Names of the two files in the folder of the results.
JOURNAL, TABLE = "results.jsonl", "results.csv"
_FORMAT = "stemprior batch 1"
#: Held by the process that writes them.
_LOCK = ".results.lock"


@dataclass(frozen=True)
class ImageRow:
    """What became of one image.

    Parameters
    ----------
    image : str
        Its name.
    file : str
        As it was given.
    frame : int or None
        Of a file with several, counted from 0; None where the file could not be read.
    output : str
        Name of the file of its atoms; empty where it failed.
    prior : str
    prior_fit : str
        ``clean``, ``reservation``, ``none`` (does not fit), or empty without a prior.
    reservations : str
        What is doubtful about the fit, in sentences.
    atoms : int or None
        Columns found.
    doubts : int or None
        What a person should look at, see `workflow.count_doubts`.
    vacancies : int or None
        Sites of the lattice without an atom.
    pixel_size_angstrom : float or None
    pixel_size_from : str
        ``file``, ``given`` or ``lattice``.
    seconds : float
        That it took, by the clock.
    error : str
        Why it failed, in a sentence.
    drift_x_angstrom, drift_y_angstrom : float or None
        By how far the specimen lies away from the first frame of its stack, where atoms were followed.
    """

    image: str
    file: str
    frame: int | None = None
    output: str = ""
    prior: str = ""
    prior_fit: str = ""
    reservations: str = ""
    atoms: int | None = None
    doubts: int | None = None
    vacancies: int | None = None
    pixel_size_angstrom: float | None = None
    pixel_size_from: str = ""
    seconds: float = 0.0
    error: str = ""
    drift_x_angstrom: float | None = None
    drift_y_angstrom: float | None = None


#: The first columns of a table: no other program's file begins like this.
_MARK = b"image,file,frame,output,prior,prior_fit,"
_WHOLE = {"frame", "atoms", "doubts", "vacancies"}
_REAL = {"pixel_size_angstrom", "seconds", "drift_x_angstrom", "drift_y_angstrom"}
#: Numbers that a row may lack.
_OPTIONAL = (_WHOLE | _REAL) - {"seconds"}


def stamp(path: Path) -> list[Any]:
    """Return what tells whether a file is still the same: its place, size and time of change."""
    try:
        status = path.stat()
    except OSError:
        return [printable(os.path.abspath(path)), -1, -1]
    return [printable(os.path.abspath(path)), status.st_size, status.st_mtime_ns]


def filled(row: ImageRow, table: AtomTable) -> ImageRow:
    """Return a row with what a table of atoms says.

    Parameters
    ----------
    row : ImageRow
    table : AtomTable
    """
    about = table.provenance
    return replace(
        row,
        prior_fit=prior_fit(about),
        reservations=" ".join(map(str, about.get("reservations") or ())),
        atoms=len(table.atoms),
        doubts=about.get(DOUBTS),
        vacancies=about.get("empty_sites"),
        pixel_size_angstrom=float(table.pixel_size),
        pixel_size_from=str(about.get("pixel_size_from", "")),
    )


class Journal:
    """The images of a folder of results that are done.

    Parameters
    ----------
    folder : pathlib.Path
    settings : dict
        How the images are segmented; results of other settings are not gone on with.
    resume : bool
        Go on with what is there; otherwise begin anew.
    overwrite : bool
        Whether a file that this program did not write is replaced.
    inputs : iterable of path-like
        Files that are never replaced.

    Raises
    ------
    ExportError
        If another file is in the way, another process writes results there, or the folder holds results of
        other settings.
    """

    def __init__(
        self,
        folder: Path,
        settings: dict[str, Any],
        *,
        resume: bool = False,
        overwrite: bool = False,
        inputs: Iterable[str | os.PathLike[str] | None] = (),
    ) -> None:
        self._path, self._table = folder / JOURNAL, folder / TABLE
        inputs = list(inputs)
        check_output(self._path, inputs, own_marks=[_FORMAT.encode()], overwrite=overwrite)
        check_output(self._table, inputs, own_marks=[_MARK], overwrite=overwrite)
        self._folder = folder
        self._head = {"format": _FORMAT, "settings": plain(settings)}
        self._rows: dict[tuple[Any, ...], ImageRow] = {}
        self._frames: dict[tuple[Any, ...], int] = {}
        self._sources: dict[str, list[Any]] = {}
        self._outputs: dict[tuple[str, int], str] = {}
        #: What a person should know of the journal that was there.
        self.remarks: list[str] = []
        self._lock = _locked(folder)
        try:
            found = self._read() if resume else []
            with replaced(self._path) as beside:
                beside.write_text("".join(_line(entry) for entry in (self._head, *found)), "utf-8")
            self._file = self._path.open("a", encoding="utf-8")
        except OSError as error:
            self._lock.release()
            raise ExportError(f"{self._path}: this cannot be written ({error.strerror}).") from error
        except BaseException:
            self._lock.release()
            raise

    @property
    def rows(self) -> list[ImageRow]:
        """The images that were done, or failed, in natural order."""
        return sorted(self._rows.values(), key=lambda row: (natural_order(row.file), row.frame or 0))

    @property
    def outputs(self) -> list[str]:
        """The names of the files of atoms, also of images that have changed since."""
        return list(self._outputs.values())

    def known_output(self, source: list[Any], frame: int) -> str:
        """Return the name that the atoms of a frame have had, changed or not; empty where there is none."""
        return self._outputs.get((source[0], frame), "")

    def has(self, source: list[Any], frame: int) -> bool:
        """Whether a frame of a file is done, its atoms are there and the file has not changed."""
        row = self._rows.get((*source, frame))
        return row is not None and not row.error and (self._folder / row.output).exists()

    def has_all(self, source: list[Any]) -> int:
        """Return how many frames a file has where all of them are done; otherwise 0."""
        count = self._frames.get(tuple(source), 0)
        return count if all(self.has(source, frame) for frame in range(count)) else 0

    def add(self, source: list[Any], frames: int, row: ImageRow) -> None:
        """Note what became of an image, on the disk when this returns.

        Parameters
        ----------
        source : list
            The `stamp` of its file, taken before it was read.
        frames : int
            How many the file has.
        row : ImageRow
        """
        self._keep(source, frames, row)
        self._file.write(_line({"source": source, "frames": frames, "row": _stored(row)}))
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Write the table and close the journal; where nothing was done, there is neither."""
        try:
            self._file.close()
            if self._rows:
                self._write_table()
            else:
                self._path.unlink(missing_ok=True)
        finally:
            with suppress(OSError):  # Windows deletes no file that is open
                (self._folder / _LOCK).unlink()
            self._lock.release()

    def _write_table(self) -> None:
        names = [field.name for field in fields(ImageRow)]
        frame = pd.DataFrame([plain(asdict(row)) for row in self.rows], columns=names)
        for name in names:
            frame[name] = frame[name].astype("Int64" if name in _WHOLE else frame[name].dtype)
        with replaced(self._table) as beside:
            inert(frame).to_csv(beside, index=False, lineterminator="\n", float_format="%.6g")

    def _keep(self, source: list[Any], frames: int, row: ImageRow) -> None:
        if self._sources.setdefault(source[0], source) != source:  # the file has changed
            self._rows = {key: one for key, one in self._rows.items() if key[0] != source[0]}
            self._sources[source[0]] = source
        if row.frame is not None:
            if row.output:
                self._outputs[source[0], row.frame] = row.output
            self._rows.pop((*source, None), None)
            self._frames[tuple(source)] = frames
        self._rows[(*source, row.frame)] = row

    def _read(self) -> list[dict[str, Any]]:
        """Return the good lines below the first."""
        try:
            lines = self._path.read_text("utf-8", errors="replace").split("\n")
        except FileNotFoundError:
            return []
        except OSError as error:
            raise ExportError(f"{self._path}: this cannot be read ({error.strerror}).") from error
        if lines == [""]:
            return []
        head = _entry(lines[0]) or {}
        other = _difference(head.get("settings"), self._head["settings"])
        if other:
            raise ExportError(
                f"{self._path}: these results were made with {other}; give the same options, leave out "
                "--resume to begin anew, or choose another folder."
            )
        good, damaged = [], 0
        for number, line in enumerate(
            lines[1:], 2
        ):  # what follows the last line break was cut off, or is nothing
            entry = _entry(line)
            try:
                source, frames, row = _checked(entry or {})
            except (KeyError, TypeError, ValueError):
                damaged += number < len(lines) and bool(line.strip())
                continue
            self._keep(source, frames, row)
            good.append(entry or {})
        if damaged:
            lines_are = "line is" if damaged == 1 else "lines are"
            self.remarks.append(f"{self._path}: {damaged} {lines_are} damaged; those images are done anew.")
        return good


def _locked(folder: Path) -> FileLock:
    """Return the lock of a folder of results, which is free again when its process ends."""
    lock = FileLock(folder / _LOCK, fallback_to_soft=False, thread_local=False)
    try:
        lock.acquire(blocking=False)
    except Timeout as error:
        raise ExportError(
            f"{folder}: another stemprior is writing results there; wait until it is done, or choose another "
            "folder."
        ) from error
    except OSError:  # a drive without locks; what cannot be written is told by the journal
        pass
    return lock


def _checked(entry: dict[str, Any]) -> tuple[list[Any], int, ImageRow]:
    """Return the source, the frames and the row of a line.

    Raises
    ------
    KeyError, TypeError, ValueError
        If a value is missing, unknown or of another kind, or the output is not the plain name of a file.
    """
    place, size, time = entry["source"]
    row, frames = ImageRow(**entry["row"]), entry["frames"]
    if not isinstance(place, str) or not all(type(n) is int for n in (size, time, frames)):
        raise TypeError("the source or its frames are none")
    for name, value in asdict(row).items():
        kinds = (int,) if name in _WHOLE else (int, float) if name in _REAL else (str,)
        if value is None and name in _OPTIONAL:
            continue
        if type(value) not in kinds or (name in _REAL and not math.isfinite(value)):
            raise TypeError(f"{name} is none")
        if name in _WHOLE and not 0 <= value < 2**62:
            raise ValueError(f"{name} is none")
    name = row.output
    if name != os.path.basename(name) or name in (".", "..") or "\0" in name:
        raise ValueError("the output is no name")
    if bool(name) == bool(row.error) or (row.frame or 0) >= max(1, frames):
        raise ValueError("neither done nor failed")
    return [place, size, time], frames, row


def _stored(row: ImageRow) -> dict[str, Any]:
    """Return a row as JSON can hold it; names stay what they are, also those that are no UTF-8."""
    return {name: value if isinstance(value, str) else plain(value) for name, value in asdict(row).items()}


def _line(entry: dict[str, Any]) -> str:
    return json.dumps(entry, ensure_ascii=True) + "\n"


def _entry(line: str) -> dict[str, Any] | None:
    """Return what a line holds; None of one that was cut off."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _difference(before: Any, now: dict[str, Any]) -> str:
    """Name the first setting that is another; empty where none is."""
    if not isinstance(before, dict):
        return "another version of stemprior"
    for name in now:
        if before.get(name) != now[name]:
            return f"another {name.replace('_', ' ')} ({before.get(name)}, now {now[name]})"
    return ""
