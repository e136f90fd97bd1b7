"""Step 6: the atoms as files, and as training pairs for the network."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from napari.layers import Image
from napari.utils.notifications import show_info
from numpy.typing import NDArray
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QComboBox, QFileDialog, QHBoxLayout, QPushButton

from napari_stemprior.atoms import AtomTable
from napari_stemprior.atoms.history import user_name
from napari_stemprior.errors import StempriorError
from napari_stemprior.io import FORMATS, ExportFormat, export_atoms, pair_provenance
from napari_stemprior.io.micrograph import Micrograph
from napari_stemprior.progress import Progress
from napari_stemprior.qt.editing.review import Review
from napari_stemprior.qt.jobs.soon import Soon
from napari_stemprior.qt.jobs.workers import JobRunner
from napari_stemprior.qt.layers.atom_layers import layer_id, shape_of
from napari_stemprior.qt.panels.panel import BUSY, NO_ATOMS, Panel, allow, tell
from napari_stemprior.qt.panels.section import small_label
from napari_stemprior.qt.session import Session
from napari_stemprior.qt.widgets.reviewed_box import ReviewedBox
from napari_stemprior.structure import Prior
from napari_stemprior.workflow.save_pair import network_file, save_pair


class ExportPanel(Panel):
    """Saves atoms and training pairs."""

    #: The folder to which a training pair was saved.
    pair_saved = Signal(object)

    def __init__(self, session: Session, runner: JobRunner, review: Review | None = None) -> None:
        super().__init__(session, runner)
        #: What was saved last of each image.
        self._saved: dict[str, str] = {}
        self.format = QComboBox()
        self.format.addItems([f.name for f in FORMATS])
        self.shown_only = QCheckBox("Leave out hidden atoms")
        self.shown_only.setChecked(True)
        self.shown_only.setToolTip(
            "<qt>Atoms that the confidence threshold of step 5 hides are left out of files. Training pairs "
            "keep them; rejected atoms are always left out.</qt>"
        )
        self.save = QPushButton("Save…")
        self.reviewed = ReviewedBox(session, review)
        self.pair = QPushButton("Save as training pair…")
        self.done = small_label()
        format_row = QHBoxLayout()
        format_row.addWidget(self.format, 1)
        format_row.addWidget(self.save)
        form = self.form()
        form.addRow("Format", format_row)
        form.addRow("Reviewed", self.reviewed)
        self.add(self.shown_only)
        self.add(self.pair)
        self.add(self.done)
        self.format.currentIndexChanged.connect(self.refresh)
        self.save.clicked.connect(self.ask_file)
        self.pair.clicked.connect(self.ask_folder)
        runner.busy_changed.connect(self.refresh)
        session.image_changed.connect(self.refresh)
        self._soon = Soon(self, self.refresh)
        session.atoms_changed.connect(self._on_atoms)
        session.closing.connect(self._soon.stop)
        self.refresh()

    def _on_atoms(self) -> None:
        """Follow once the window has shown what was edited."""
        self._soon()

    def refresh(self, *_: Any) -> None:
        """Show what can be saved."""
        none = "" if self.session.editor is not None else NO_ATOMS
        busy = BUSY if self.runner.busy else ""
        self.format.setToolTip(f"<qt>{self._format.summary}</qt>")
        allow(self.save, f"Save the atoms: {self._format.summary}", none, busy)
        self.reviewed.refresh(none)
        allow(
            self.pair,
            "Add image and atoms to a folder of training pairs; nothing there is overwritten.",
            none,
            busy,
        )
        image = self.session.image
        last = "" if image is None else self._saved.get(layer_id(image), "")
        self.done.setVisible(bool(last))
        self.done.setText(last)
        self.state_changed.emit("saved" if last else "")

    def ask_file(self) -> None:
        """Ask where to save the atoms."""
        suffix = self._format.suffix
        image = self.session.image
        name = "atoms" if image is None else image.name.replace("/", "_")
        path, _ = QFileDialog.getSaveFileName(self, "Save the atoms", f"{name}{suffix}", f"*{suffix}")
        if path:
            self.write(Path(path))

    def ask_folder(self) -> None:
        """Say what is still open in the reviewed part, and ask for the folder of training pairs."""
        image = self.session.image
        if image is None:
            return
        try:
            mask = self.reviewed.reviewed(shape_of(image))
        except StempriorError as error:
            tell(error)
            return
        count = len(self.reviewed.open_places(mask))
        answer = self.reviewed.ask(count) if count else True
        if answer is None:
            return
        folder = QFileDialog.getExistingDirectory(self, "Folder of training pairs (new or existing)")
        if folder:
            self.write_pair(Path(folder), open_too=answer)

    def write(self, path: Path) -> None:
        """Save the atoms in a worker."""
        session, editor = self.session, self.session.editor
        if editor is None:
            return
        if not self._format.matches(path):
            path = path.with_name(path.name + self._format.suffix)
        try:
            micrograph = session.recording()
        except StempriorError as error:
            tell(error)
            return
        table = self._calibrated(editor.table(shown_only=self.shown_only.isChecked(), vacancies=True))
        image = session.image
        work = _writing(self._format, table, micrograph, path)
        self.runner.start(work, lambda path: self._tell_saved(image, f"Saved {path.name} in {path.parent}"))

    def write_pair(self, folder: Path, *, open_too: bool = True) -> None:
        """Save a training pair in a worker.

        Parameters
        ----------
        folder : Path
        open_too : bool
            Whether places that still wait for a review count as reviewed; else they count as unknown.
        """
        session, editor = self.session, self.session.editor
        if editor is None:
            return
        try:
            # all of them: a reviewed place without its atom would train the network that nothing is there
            table = self._calibrated(editor.table(vacancies=True))
            micrograph = _as_analysed(session, table)
            height, width = micrograph.image.shape
            reviewed = self.reviewed.reviewed((height, width))
            if not open_too:
                reviewed = self.reviewed.without(reviewed, self.reviewed.open_places(reviewed))
        except StempriorError as error:
            tell(error)
            return
        table.provenance["inverted"] = micrograph.is_inverted
        work = _saving(folder, micrograph, table, reviewed, session.prior)
        image = session.image
        self.runner.start(work, lambda key: self._on_saved(image, key, folder))

    @property
    def _format(self) -> ExportFormat:
        return FORMATS[self.format.currentIndex()]

    def _calibrated(self, table: AtomTable) -> AtomTable:
        """Note in the provenance where the pixel size comes from."""
        return replace(table, provenance=table.provenance | {"pixel_size_from": self.session.pixel_size_from})

    def _on_saved(self, image: Image | None, key: str, folder: Path) -> None:
        self._tell_saved(image, f"Saved training pair {key[:10]} in {folder}")
        self.pair_saved.emit(folder)

    def _tell_saved(self, image: Image | None, text: str) -> None:
        if image is not None:
            self._saved[layer_id(image)] = text
        show_info(text)
        self.refresh()


def _as_analysed(session: Session, table: AtomTable) -> Micrograph:
    """Return the image in the contrast in which its atoms were found: the network learns bright columns."""
    micrograph = session.recording()
    wanted = bool(table.provenance.get("inverted", session.micrograph().is_inverted))
    return micrograph if micrograph.is_inverted == wanted else micrograph.inverted()


def _writing(
    form: ExportFormat, table: AtomTable, micrograph: Micrograph, path: Path
) -> Generator[Progress, None, Path]:
    """Write atoms and marked vacancies to a file."""
    yield Progress(0, 0, f"Writing {path.name}")
    # the dialog has asked whether to replace a file; the micrograph itself is never replaced
    return export_atoms(
        table, path, image=micrograph.image, name=micrograph.name, key=form.key,
        inputs=[micrograph.source], overwrite=True,
    )  # fmt: skip


def _saving(
    folder: Path,
    micrograph: Micrograph,
    table: AtomTable,
    reviewed: NDArray[np.bool_],
    prior: Prior | None,
) -> Generator[Progress, None, str]:
    """Save a training pair that says where it comes from."""
    yield Progress(0, 0, "Saving the training pair")
    provenance = pair_provenance(
        table.provenance, prior, network_file=network_file(table), editor=user_name()
    )
    return (yield from save_pair(folder, micrograph, table, reviewed, prior, provenance))
