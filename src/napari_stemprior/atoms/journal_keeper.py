"""Keeps the journal of one image, wherever it can be kept, and finds those of earlier sessions."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import lock_descriptor

from napari_stemprior.atoms.history import AtomHistory, Step
from napari_stemprior.atoms.journal import Frame, Journal, JournalHead, Ready, as_json, written_out
from napari_stemprior.atoms.journal_replay import count_edits, read_head
from napari_stemprior.atoms.table import AtomTable
from napari_stemprior.errors import JournalError

_MARK = ".stemprior-edits"
_SUFFIX = ".jsonl"


@dataclass(frozen=True)
class FrameState:
    """All that a journal keeps of one frame."""

    frame: Frame
    history: AtomHistory
    pixel_size: float
    provenance: dict[str, Any]

    @property
    def table(self) -> AtomTable:
        """Its atoms as they are now, the rejected ones included."""
        return AtomTable(self.history.rows, self.pixel_size, dict(self.provenance))


class JournalKeeper:
    """Writes every edit down; where a file fails, the next place takes over with all there is.

    The file is made at the first edit of a person: a segmentation alone can be run again.

    Parameters
    ----------
    image : dict
        `name`, `sha256`, `shape` and `path` of the image; plain values.
    stems : sequence of pathlib.Path
        Where the journal may lie, best first: a folder and the first part of a file name.
    states : callable
        Returns the present states of all frames.
    context : callable, optional
        Returns what the edits belong to (calibration, prior, fit) as plain values.
    """

    def __init__(
        self,
        image: dict[str, Any],
        stems: Sequence[Path],
        states: Callable[[], list[FrameState]],
        context: Callable[[], dict[str, Any]] = dict,
    ) -> None:
        self._context = context
        self._noted: dict[str, Any] = {}
        self._image = image
        self._stems = list(stems)
        self._states = states
        self._journal: Journal | None = None
        self._superseded: list[Path] = []
        #: The first rows of frames that nobody has edited, written out, and of which history they are.
        self._ready: dict[Frame, tuple[AtomHistory, int, Ready]] = {}
        #: What the edits belong to, written out before there is a journal.
        self._ready_context: tuple[dict[str, Any], Ready] | None = None
        #: What a person must know: where the edits are kept instead, or that they are not kept.
        self.problem = ""

    @property
    def path(self) -> Path | None:
        """The file of the journal, once there is one."""
        return None if self._journal is None else self._journal.path

    @property
    def failed(self) -> bool:
        """Whether edits are in memory only at this moment."""
        return bool(self.problem) and self._journal is None

    def began(self, frame: Frame) -> None:
        """Note that a frame began anew; it costs nothing before a person has edited."""
        state = self._state(frame)
        if self._journal is not None or any(step.who for step in state.history.steps):
            self._keep(lambda journal: self._write_state(journal, state))
        else:
            self.prepare(frame)

    def prepare(self, frame: Frame) -> None:
        """Write out in a thread what the first edit of a frame would wait for; no file is made.

        Parameters
        ----------
        frame : tuple of int
        """
        history = self._state(frame).history
        if self._journal is None and len(history) and not history.steps:
            begun, rows = history.generation[0], history.rows  # no edit changes this frame

            def write_out() -> None:
                self._ready[frame] = history, begun, written_out(rows)

            _in_thread(write_out)
            self._prepare_context()

    def recorded(self, frame: Frame, step: Step) -> None:
        """Write a step that was just done."""
        if self._journal is not None or step.who:
            self._keep(lambda journal: self._go_on(journal, frame, lambda: journal.record(frame, step)))

    def went(self, frame: Frame, position: int) -> None:
        """Write that a history went to another state."""
        if self._journal is not None:
            self._keep(lambda journal: self._go_on(journal, frame, lambda: journal.go(frame, position)))

    def context_changed(self) -> None:
        """Write what the edits belong to, if that is not what was written last."""
        now = self._context()
        if self._journal is None:
            self._prepare_context()
        elif now != self._noted:
            self._keep(lambda journal: self._note(journal, now))

    def retry(self) -> None:
        """Try again to write what is in memory only."""
        if self.failed:
            self._start_anew()

    def sync(self) -> None:
        """Force everything to the disk.

        Raises
        ------
        OSError
            If that fails, or nothing could be written.
        """
        if self._journal is None:
            raise OSError(self.problem or "there is no journal yet")
        self._journal.sync()

    def close(self) -> None:
        """Let go of the file, which stays for the next session."""
        if self._journal is not None:
            self._journal.close()
            self._journal = None

    # --- inside -------------------------------------------------------------------------------
    def _prepare_context(self) -> None:
        context = self._context()

        def write_out() -> None:
            self._ready_context = context, Ready(as_json(context))

        _in_thread(write_out)

    def _note(self, journal: Journal, context: dict[str, Any]) -> None:
        ready, self._ready_context = self._ready_context, None
        journal.note_context(ready[1] if ready is not None and ready[0] is context else context)
        self._noted = context

    def _state(self, frame: Frame) -> FrameState:
        return next(s for s in self._states() if s.frame == frame)

    def _go_on(self, journal: Journal, frame: Frame, write: Callable[[], None]) -> None:
        """Write a line about a frame, after its beginning."""
        if frame in journal.frames:
            write()
        else:
            self._write_state(journal, self._state(frame))

    def _write_state(self, journal: Journal, state: FrameState) -> None:
        history, begun, first = self._ready.pop(state.frame, (None, 0, None))
        if history is not state.history or begun != state.history.generation[0]:
            first = None
        journal.begin(state.frame, state.history, state.pixel_size, state.provenance, first)

    def _keep(self, write: Callable[[Journal], None]) -> None:
        if self._journal is None:
            self._start_anew()
            return
        try:
            write(self._journal)
        except OSError as error:
            reason = _reason(error)
            where = self._journal.path
            self._superseded.append(where)
            self._journal.close()
            self._journal = None
            self._start_anew(f"{where} can no longer be written ({reason})")

    def _start_anew(self, why: str = "") -> None:
        """Open a journal at the best place that takes everything that is there now."""
        reasons = [why] if why else []
        for stem in self._stems:
            journal = None
            try:
                stem.parent.mkdir(parents=True, exist_ok=True)
                journal = _new_journal(stem, JournalHead(self._image))
                self._noted = {}
                if context := self._context():
                    self._note(journal, context)
                for state in self._states():
                    self._write_state(journal, state)
                journal.sync()
            except OSError as error:
                reasons.append(f"{stem.parent}: {_reason(error)}")
                if journal is not None:
                    journal.close()
                    with contextlib.suppress(OSError):
                        journal.path.unlink()
                continue
            self._journal = journal
            told = f"Your edits are kept in {journal.path} now, because of {'; '.join(reasons)}."
            self.problem = told if reasons else ""
            for path in self._superseded:  # the new file has all that they had
                if path != journal.path:
                    with contextlib.suppress(OSError):
                        path.unlink()
            self._superseded.clear()
            return
        self.problem = (
            f"Your edits are in memory only: {'; '.join(reasons)}. Make room or give write access, or save "
            "the atoms elsewhere in step 6; it is tried again every few seconds."
        )


def earlier_journals(image: dict[str, Any], stems: Sequence[Path]) -> list[Path]:
    """Find the journals of an image that nobody writes to and that hold edits, newest first.

    Parameters
    ----------
    image : dict
        Its `sha256` tells whether a journal is about the same pixels.
    stems : sequence of pathlib.Path
        As for `JournalKeeper`.
    """
    found = []
    for stem in stems:
        with contextlib.suppress(OSError):  # a folder that vanished or may not be listed holds no journal
            for path in stem.parent.iterdir():
                if path.name.startswith(stem.name + _MARK) and path.suffix == _SUFFIX:
                    found.append(path)
    return sorted((p for p in set(found) if _is_about(p, image)), key=_modified, reverse=True)


def is_locked(path: Path) -> bool:
    """Tell whether a running process writes to a journal; never on a drive that knows no locks."""
    try:
        with open(path, "rb+") as file:
            return not lock_descriptor(file.fileno(), blocking=False)
    except OSError:
        return False  # read-only or gone: nobody writes there


def put_away(path: Path, mark: str = ".discarded") -> Path:
    """Rename a journal so that it is offered no more; it is not deleted, and nothing is replaced.

    Parameters
    ----------
    path : pathlib.Path
    mark : str
        What is added to its name: that nobody wants it restored, or that it is damaged.

    Raises
    ------
    JournalError
        If it cannot be renamed.
    """
    number = 1
    while os.path.lexists(target := path.with_name(f"{path.name}{mark}{f'-{number}' if number > 1 else ''}")):
        number += 1
    try:
        os.replace(path, target)
    except OSError as error:
        raise JournalError(f"{path}: the journal cannot be put away ({_reason(error)}).") from error
    return target


def _in_thread(task: Callable[[], None]) -> None:
    threading.Thread(target=task, name="stemprior-journal-ready", daemon=True).start()


def _is_about(path: Path, image: dict[str, Any]) -> bool:
    try:
        same = read_head(path).image.get("sha256") == image["sha256"]
    except JournalError:
        return False
    return same and not is_locked(path) and count_edits(path) > 0


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _new_journal(stem: Path, head: JournalHead) -> Journal:
    """Make a journal under the first name that is free, also where another desk makes one at the same time.

    Raises
    ------
    OSError
        If none can be made.
    """
    number = 1
    while True:
        path = stem.with_name(f"{stem.name}{_MARK}{f'-{number}' if number > 1 else ''}{_SUFFIX}")
        number += 1
        if not os.path.lexists(path):
            with contextlib.suppress(FileExistsError):  # another desk was quicker
                return Journal(path, head)


def _reason(error: OSError) -> str:
    return error.strerror or str(error)
