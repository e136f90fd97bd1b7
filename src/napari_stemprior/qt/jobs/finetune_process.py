"""``stemprior finetune`` in a process of its own, as the desk sees it.

Training neither slows the window down nor outlives it: the process is killed when the desk closes, and if
the program dies without closing anything, the process ends at its next word to a reader that is gone.
"""

from __future__ import annotations

import atexit
import json
import sys
import weakref
from collections.abc import Sequence
from typing import Any

from qtpy.QtCore import QObject, QProcess, QTimer, Signal

#: ms for a process that was asked to stop before it is killed.
_PATIENCE = 3000
#: The same where a person waits for it: together with its end it is less than 2 s.
STOP_PATIENCE = 1300

_alive: weakref.WeakSet[FinetuneProcess] = weakref.WeakSet()


class FinetuneProcess(QObject):
    """One run at a time of ``stemprior finetune``.

    Parameters
    ----------
    parent : QObject, optional
    command : sequence of str, optional
        Program and its first arguments; for tests.
    """

    #: A dict with stage, done, total and, while it trains, loss.
    progressed = Signal(dict)
    #: A dict with path, before, after and worse.
    done = Signal(dict)
    #: A sentence; empty where a person stopped it.
    stopped = Signal(str)
    busy_changed = Signal(bool)

    def __init__(self, parent: QObject | None = None, command: Sequence[str] = ()) -> None:
        super().__init__(parent)
        self.command = tuple(command) or (sys.executable, "-m", "napari_stemprior", "finetune")
        self._process: QProcess | None = None
        self._buffer = b""
        self._result: dict[str, Any] | None = None
        self._cancelled = False
        _alive.add(self)

    @property
    def busy(self) -> bool:
        """Whether a run is going on."""
        return self._process is not None

    def start(self, arguments: Sequence[str]) -> None:
        """Start a run unless there is one."""
        if self.busy:
            return
        process = QProcess(self)
        self._process, self._buffer, self._result, self._cancelled = process, b"", None, False
        process.readyReadStandardOutput.connect(self._read)
        process.finished.connect(self._on_finished)
        process.errorOccurred.connect(self._on_error)
        self.busy_changed.emit(True)
        process.start(self.command[0], [*self.command[1:], *arguments, "--json-progress"])

    def cancel(self) -> None:
        """Ask the run to stop after its present step, and end it where that takes more than a second.

        What it learned up to its last saved state, at most 20 steps ago, is kept to be resumed.
        """
        process = self._process
        if process is not None and not self._cancelled:
            self._cancelled = True
            process.terminate()
            QTimer.singleShot(STOP_PATIENCE, lambda: self._kill(process))

    def close(self) -> None:
        """End the run now, within a few seconds, and tell nobody."""
        process, self._process = self._process, None
        if process is None:
            return
        for signal in (process.readyReadStandardOutput, process.finished, process.errorOccurred):
            signal.disconnect()
        process.terminate()
        if not process.waitForFinished(_PATIENCE):
            process.kill()
            process.waitForFinished(_PATIENCE)
        process.deleteLater()

    def _kill(self, process: QProcess) -> None:
        """End a run that does not heed the word; its files are written whole or not at all."""
        if self._process is process:
            process.kill()

    def _read(self) -> None:
        if self._process is None:
            return
        self._buffer += bytes(self._process.readAllStandardOutput().data())
        *lines, self._buffer = self._buffer.split(b"\n")
        for line in lines:
            try:
                values = json.loads(line)
            except ValueError:  # a library that prints
                continue
            if "path" in values:
                self._result = values
            else:
                self.progressed.emit(values)

    def _on_error(self, error: QProcess.ProcessError) -> None:
        if error == QProcess.ProcessError.FailedToStart:  # then it never finishes
            self._end("The training could not be started; reinstall the plugin.")

    def _on_finished(self, code: int, *_: Any) -> None:
        process = self._process
        if process is None:
            return
        self._read()
        words = bytes(process.readAllStandardError().data()).decode(errors="replace").strip().splitlines()
        result = self._result
        if result is not None and code == 0:
            self._end(None)
            self.done.emit(result)
        elif self._cancelled:
            self._end("")
        else:
            last = words[-1].removeprefix("stemprior: ") if words else f"it ended with code {code}"
            self._end(f"The fine-tuning stopped: {last}")

    def _end(self, sentence: str | None) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.deleteLater()
        self.busy_changed.emit(False)
        if sentence is not None:
            self.stopped.emit(sentence)


@atexit.register
def _close_all() -> None:
    """End what still runs when the program ends without closing its window."""
    for process in list(_alive):
        try:
            process.close()
        except RuntimeError:  # Qt has deleted it, and its process with it
            continue
