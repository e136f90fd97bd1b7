"""Progress and cancel of the work that a panel has started; hidden while there is none."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QHBoxLayout, QProgressBar, QPushButton, QVBoxLayout, QWidget

from napari_stemprior.progress import Progress
from napari_stemprior.qt.jobs.workers import JobRunner
from napari_stemprior.qt.panels.section import small_label

#: ms: work that is done sooner needs no bar, which would only flash.
_PATIENCE = 250


class JobBar(QWidget):
    """Follows one job of a runner.

    Parameters
    ----------
    runner : JobRunner
    """

    def __init__(self, runner: JobRunner) -> None:
        super().__init__()
        self._runner = runner
        self._ours = False
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setFixedHeight(10)
        self.cancel = QPushButton("Cancel")
        self.cancel.setToolTip("<qt>Stop this work after its present step.</qt>")
        self.stage = small_label()
        row = QHBoxLayout()
        row.addWidget(self.bar, 1)
        row.addWidget(self.cancel)
        rows = QVBoxLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.setSpacing(2)
        rows.addLayout(row)
        rows.addWidget(self.stage)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._appear)
        self.cancel.clicked.connect(self._on_cancel)
        runner.busy_changed.connect(self._on_busy)
        runner.progressed.connect(self._on_progress)
        self.hide()

    @property
    def ours(self) -> bool:
        """Whether the running job is followed."""
        return self._ours

    def follow(self) -> None:
        """Follow the job that was just started."""
        self._ours = True
        self.bar.setRange(0, 0)
        self.stage.setText("Starting…")
        self.cancel.setEnabled(True)
        self._timer.start(_PATIENCE)
        self._runner.followed.emit()

    def _appear(self) -> None:
        if self._ours:
            self.show()

    def _on_busy(self, busy: bool) -> None:
        if not busy:
            self._ours = False
            self._timer.stop()
            self.hide()

    def _on_progress(self, progress: Progress) -> None:
        if self._ours:
            self.bar.setRange(0, progress.total)
            self.bar.setValue(progress.done)
            self.stage.setText(stage_text(progress))

    def _on_cancel(self, *_: Any) -> None:
        self._runner.cancel()
        self.cancel.setEnabled(False)
        self.stage.setText("Stopping…")


def stage_text(progress: Progress) -> str:
    """Say what is being done and how far it is."""
    count = f" ({progress.done} of {progress.total})" if progress.total else ""
    stage = progress.stage
    if ": " not in stage:  # else it begins with the name of an image, which stays as it is
        stage = stage[:1].upper() + stage[1:]
    return f"{stage}{count}…"
