"""Saving all that a desk has, and going on with it later: the row above the steps."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from napari.layers import Image, Layer
from napari.utils.notifications import show_info, show_warning
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QMessageBox, QPushButton

from napari_stemprior.progress import Progress
from napari_stemprior.qt.jobs.job_bar import JobBar
from napari_stemprior.qt.jobs.turns import in_turns
from napari_stemprior.qt.jobs.workers import JobRunner
from napari_stemprior.qt.layers.atom_layers import LayerData
from napari_stemprior.qt.layers.session_layers import image_layers, layers_beside
from napari_stemprior.qt.panels.panel import BUSY, NO_IMAGE, Panel, allow
from napari_stemprior.qt.panels.section import small_label
from napari_stemprior.qt.saved_desk import SavedDesk
from napari_stemprior.qt.session import Session
from napari_stemprior.workflow.open_session import (
    OpenedImage,
    OpenedSession,
    missing_sentence,
    open_session,
)
from napari_stemprior.workflow.save_session import save_session
from napari_stemprior.workflow.session_file import SUFFIX

_OPENING_DESK = "The desk is being opened."
_FILTER = f"Session (*{SUFFIX})"
#: What is opened: the session, and its images as plain layer data.
_Opened = tuple[OpenedSession, list[tuple[OpenedImage, LayerData]]]


class SessionBar(Panel):
    """Opens and saves session files.

    Parameters
    ----------
    session : Session
    runner : JobRunner
    """

    def __init__(self, session: Session, runner: JobRunner) -> None:
        super().__init__(session, runner)
        self._desk: SavedDesk | None = None
        #: The session file that was opened or saved last.
        self.path: Path | None = None
        #: Whether layers of a session are being added.
        self._adding = False
        #: What is to be opened again, with more folders, once the runner is free.
        self._again: tuple[Path, tuple[Path, ...]] | None = None
        self.rows.setContentsMargins(8, 6, 8, 2)
        self.open_button = QPushButton("Open session…")
        self.save_button = QPushButton("Save session…")
        self.job = JobBar(runner)
        self.said = small_label()
        row = QHBoxLayout()
        row.addWidget(self.open_button, 1)
        row.addWidget(self.save_button, 1)
        self.add(row)
        self.add(self.job)
        self.add(self.said)
        self.open_button.clicked.connect(self.ask_open)
        self.save_button.clicked.connect(self.ask_save)
        runner.busy_changed.connect(self._on_busy)
        session.images_changed.connect(self._on_images)
        self._look = QTimer(self)
        self._look.setSingleShot(True)
        self._look.setInterval(0)
        self._look.timeout.connect(self._take_waiting)
        session.closing.connect(self._on_closing)
        self.refresh()

    def take_desk(self, desk: SavedDesk) -> None:
        """Take the steps whose state is saved, now that they are all there."""
        self._desk = desk
        self._on_images()

    def refresh(self, *_: Any) -> None:
        """Show what can be done."""
        waiting = "" if self._desk is not None else _OPENING_DESK
        busy = BUSY if self.runner.busy else ""
        allow(
            self.open_button,
            "Go on where a session was left: its images with their priors, fits, atoms and edits are added "
            "to what is open. They are looked for beside the session file as well.",
            waiting,
            busy,
        )
        allow(
            self.save_button,
            "Keep all that is open and listed in one file: where the images are, their pixel sizes, priors, "
            "fits, atoms, every edit with its undo, reviewed regions, and the settings of step 4.",
            waiting,
            "" if self.session.images else NO_IMAGE,
            busy,
        )
        self.said.setVisible(bool(self.said.text()))

    # --- what a person does -------------------------------------------------------------------
    def ask_save(self) -> None:
        """Ask where to save the session."""
        image = self.session.image
        name = "session" if image is None else image.name.replace("/", "_")
        dialog = QFileDialog(self, "Save the session", str(self.path or f"{name}{SUFFIX}"), _FILTER)
        dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        dialog.setDefaultSuffix(SUFFIX[1:])
        if dialog.exec():
            self.write(Path(dialog.selectedFiles()[0]), overwrite=True)  # the dialog has asked

    def write(self, path: Path, *, overwrite: bool = False) -> None:
        """Save the session in a worker.

        Parameters
        ----------
        path : Path
        overwrite : bool
            Whether a file that is no session may be replaced.
        """
        if self._desk is None:
            return
        session, images = self._desk.gather()
        work = save_session(session, images, path, overwrite=overwrite)
        self._start(work, lambda saved: self._on_saved(saved, len(images)))

    def ask_open(self) -> None:
        """Ask for a session file."""
        folder = "" if self.path is None else str(self.path.parent)
        path, _ = QFileDialog.getOpenFileName(self, "Open a session", folder, _FILTER)
        if path:
            self.open(Path(path))

    def open(self, path: Path, folders: Sequence[Path] = ()) -> None:
        """Open a session in a worker and add its layers.

        Parameters
        ----------
        path : Path
        folders : sequence of Path
            Where its images are looked for as well.
        """
        self._start(_opening(path, folders), lambda opened: self._on_opened(opened, tuple(folders)))

    def ask_missing(self, opened: OpenedSession) -> bool | None:
        """Say which images are missing: True looks in another folder, False goes without, None stops."""
        box = QMessageBox(self)
        box.setIcon(QMessageBox.Icon.Question)
        box.setWindowTitle("Images of the session are missing")
        box.setText(missing_sentence(opened.path, opened.missing))
        box.setInformativeText("Without them, their atoms stay in this session file and are not opened.")
        look = box.addButton("Look in a folder…", QMessageBox.ButtonRole.AcceptRole)
        without = box.addButton("Open without", QMessageBox.ButtonRole.DestructiveRole)
        box.addButton(QMessageBox.StandardButton.Cancel)
        box.setDefaultButton(look)
        if not opened.images and without is not None:
            without.setEnabled(False)
        box.exec()
        answer = box.clickedButton()
        return True if answer is look else False if answer is without else None

    def ask_images_folder(self) -> Path | None:
        """Ask for a folder in which images may be."""
        folder = QFileDialog.getExistingDirectory(self, "Folder of the images")
        return Path(folder) if folder else None

    # --- inside -------------------------------------------------------------------------------
    def _start(self, work: Generator[Progress, None, Any], done: Any) -> None:
        if self.runner.start(work, done):
            self.job.follow()
        self.refresh()

    def _on_busy(self, busy: bool) -> None:
        again, self._again = self._again, None
        if not busy and again is not None:
            self.open(*again)
        self.refresh()

    def _on_saved(self, path: Path, count: int) -> None:
        self.path = path
        self._tell(f"Saved {path.name} with {count} image{'s' * (count != 1)} in {path.parent}")

    def _on_opened(self, found: _Opened, folders: tuple[Path, ...]) -> Iterator[None] | None:
        opened, layers = found
        if opened.missing:
            answer = self.ask_missing(opened)
            folder = self.ask_images_folder() if answer else None
            if folder is not None:
                self._again = opened.path, (*folders, folder)
            if answer is not False:
                return None
        return self._add_layers(opened, layers)

    def _add_layers(
        self, opened: OpenedSession, layers: list[tuple[OpenedImage, LayerData]]
    ) -> Iterator[None]:
        viewer, desk = self.session.viewer, self._desk
        assert desk is not None
        self._adding = True
        try:
            for one, data in layers:
                image = Layer.create(*data)
                assert isinstance(image, Image)
                yield
                viewer.add_layer(image)
                yield
                for layer in layers_beside(image, one):
                    viewer.add_layer(layer)
                    yield
        finally:
            self._adding = False
        yield from desk.taking_up(opened)
        self._on_taken_up(opened)
        for remark in opened.remarks:
            show_warning(remark)

    def _on_closing(self) -> None:
        self._look.stop()
        self._again = None

    def _on_images(self, *_: Any) -> None:
        """Look, once all layers of a reader are there, whether they are those of a session."""
        if self._desk is not None and not self._adding:
            self._look.start()
        self.refresh()

    def _take_waiting(self) -> None:
        if self._desk is None or self._adding:
            return
        for opened in self._desk.waiting():
            in_turns(self, self._desk.taking_up(opened), partial(self._on_taken_up, opened))

    def _on_taken_up(self, opened: OpenedSession) -> None:
        # one of which a part is missing is not offered to be saved over
        self.path = None if opened.missing else opened.path
        count = len(opened.images)
        self._tell(f"Opened {opened.path.name} with {count} image{'s' * (count != 1)}")

    def _tell(self, text: str) -> None:
        self.said.setText(text)
        show_info(text)
        self.refresh()


def _opening(path: Path, folders: Sequence[Path]) -> Generator[Progress, None, _Opened]:
    opened = yield from open_session(os.fspath(path), folders, all_needed=False)
    return opened, image_layers(opened)
