"""Step 2: the crystal that the image should show, and where it lies."""

from __future__ import annotations

from typing import Any

from napari.utils.notifications import show_info, show_warning
from qtpy.QtWidgets import (
    QAbstractItemView,
    QCheckBox,
    QFileDialog,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QLineEdit,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
)
from superqt import QSearchableComboBox

from napari_stemprior.errors import StempriorError
from napari_stemprior.qt import samples, tasks
from napari_stemprior.qt.cell_picture import CellPicture
from napari_stemprior.qt.panel import BUSY, NO_IMAGE, NO_PIXEL_SIZE, NO_PRIOR, Panel, allow, tell
from napari_stemprior.qt.section import small_label
from napari_stemprior.qt.session import Session
from napari_stemprior.qt.workers import JobRunner
from napari_stemprior.registration import Pose
from napari_stemprior.structure import StructurePrior

_FILES = "Structures (*.cif *.vasp POSCAR* CONTCAR* *.extxyz *.xyz *.json *.traj *.res *.pdb);;All files (*)"
_FIT = "Fit to image"
_ROWS_SHOWN = 4
#: A pixel size that differs from the image's by more than this part is worth a word.
_STRETCH = 0.02


class PriorPanel(Panel):
    """Chooses the prior, draws it and fits it to the image."""

    def __init__(self, session: Session, runner: JobRunner) -> None:
        super().__init__(session, runner)
        self._file = ""
        self.names = QSearchableComboBox()
        self._structures = samples.structures()
        self.names.addItems([*session.operations.prior_names(), *self._structures])
        self.names.setCurrentIndex(-1)
        self.names.lineEdit().setPlaceholderText("Type to search, such as MoS2")
        self.names.setToolTip("The crystal that the image should show. Type a part of its name to search.")
        self.names.setMinimumContentsLength(12)
        self.open = QPushButton("Own file…")
        self.axis = QLineEdit()
        self.axis.setPlaceholderText("as it lies")
        self.axis.setMaximumWidth(90)
        self.picture = CellPicture()
        self.facts = small_label()
        self.columns = QTableWidget(0, 4)
        self.columns.setHorizontalHeaderLabels(["Site", "Atoms", "Layer", "Depth (Å)"])
        self.columns.verticalHeader().setVisible(False)
        self.columns.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.columns.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.columns.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        self.columns.setToolTip("The atom columns of one projected cell; layer 0 is where the beam enters.")
        self.fit = QPushButton(_FIT)
        self.overlay = QCheckBox("Show the lattice")
        self.status = small_label()

        file_row = QHBoxLayout()
        file_row.addWidget(self.open, 1)
        file_row.addWidget(QLabel("Zone axis"))
        file_row.addWidget(self.axis)
        fit_row = QHBoxLayout()
        fit_row.addWidget(self.fit, 1)
        fit_row.addWidget(self.overlay)
        self.form().addRow("Prior", self.names)
        for item in (file_row, self.picture, self.facts, self.columns, fit_row, self.status):
            self.add(item)

        self.names.activated.connect(self._on_picked)
        self.names.lineEdit().returnPressed.connect(self._on_typed)
        self.open.clicked.connect(self.ask_file)
        self.axis.editingFinished.connect(self._on_axis)
        self.fit.clicked.connect(self.start_fit)
        self.overlay.clicked.connect(self._on_overlay)
        self.runner.busy_changed.connect(self.refresh)
        session.prior_changed.connect(self._show_prior)
        for signal in (
            session.image_changed,
            session.prior_changed,
            session.pose_changed,
            session.images_changed,
        ):
            signal.connect(self.refresh)
        self._show_prior()
        self.refresh()

    def refresh(self, *_: Any) -> None:
        """Show what can be done and how well the lattice fits."""
        session = self.session
        busy = BUSY if self.runner.busy else ""
        allow(
            self.open,
            "Take a crystal from a file: CIF, POSCAR, extxyz or any other that ASE reads.",
            busy,
        )
        allow(
            self.axis,
            "Beam direction [uvw] for your own file, such as 001 or 1-10; empty: the structure as it "
            "lies, beam along its z axis.",
            "" if self._file else "A built-in prior has its own zone axis; open a file to choose one.",
        )
        allow(
            self.fit,
            "Find rotation, mirror and origin of the lattice on the image.",
            "" if session.image is not None else NO_IMAGE,
            "" if session.prior is not None else NO_PRIOR,
            "" if session.pixel_size is not None else NO_PIXEL_SIZE,
            busy,
        )
        pose = session.pose
        self.overlay.setChecked(session.overlay is not None)
        allow(
            self.overlay,
            "Draw the columns of the fitted lattice over the image, in a layer of its own.",
            "" if pose is not None else "Fit the lattice to the image first.",
        )
        self.status.setText("" if pose is None else fit_text(pose, session.pixel_size))
        self.status.setVisible(pose is not None)
        name = "" if session.prior is None else session.prior.name
        mark = "" if pose is None else ("fitted: " if pose.is_fit else "no fit: ")
        self.state_changed.emit(mark + name)
        if not busy:
            self.fit.setText(_FIT)

    def pick(self, name: str) -> None:
        """Choose a built-in prior, or the structure of a sample, by its name."""
        if name in self._structures:
            self.axis.clear()
            self.load_file(str(self._structures[name]))
            return
        try:
            prior = self.session.operations.load_prior(name, "")
        except StempriorError as error:
            tell(error)
            self._show_prior()
            return
        self._file = ""
        self._take(prior)

    def load_file(self, path: str) -> None:
        """Take a prior from a structure file, with the zone axis that is typed."""
        work = tasks.load_prior(self.session.operations, path, self.axis.text())
        self._file = path
        self.runner.start(work, self._take)

    def ask_file(self) -> None:
        """Ask for a structure file."""
        path, _ = QFileDialog.getOpenFileName(self, "Open a crystal structure", "", _FILES)
        if path:
            self.load_file(path)

    def start_fit(self) -> None:
        """Fit the lattice in a worker."""
        if self.session.prior is None:
            return
        try:
            work = tasks.fit(self.session.operations, self.session.micrograph(), self.session.prior)
        except StempriorError as error:
            tell(error)
            return
        self._fitting = self.session.prior
        if self.runner.start(work, self._on_fitted):
            self.fit.setText("Fitting…")

    def _on_fitted(self, pose: Pose) -> None:
        self.session.set_pose(pose, self._fitting)
        if pose.is_fit:
            self.session.show_overlay(True)
            self.refresh()
            show_info(f"The lattice of {self._fitting.name} fits (score {pose.score:.2f}).")
        else:
            show_warning(
                f"The lattice of {self._fitting.name} does not fit (score {pose.score:.2f}); "
                "check the pixel size in step 1, or try another prior."
            )

    def _on_picked(self, index: int) -> None:
        self.pick(self.names.itemText(index))

    def _on_typed(self) -> None:
        text = self.names.lineEdit().text().strip()
        if text and (self.session.prior is None or text != self.session.prior.name):
            self.pick(text)

    def _on_axis(self) -> None:
        if self._file and not self.runner.busy and self.axis.isModified():
            self.axis.setModified(False)
            self.load_file(self._file)

    def _on_overlay(self, checked: bool) -> None:
        self.session.show_overlay(checked)
        self.refresh()

    def _take(self, prior: StructurePrior) -> None:
        self.session.set_prior(prior)
        self._show_prior()
        self.refresh()

    def _show_prior(self) -> None:
        prior = self.session.prior
        self.picture.set_prior(prior)
        self.columns.setVisible(prior is not None)
        self.facts.setVisible(prior is not None)
        if prior is None:
            return
        if self.names.findText(prior.name) < 0:
            self.names.addItem(prior.name)
        self.names.setCurrentIndex(self.names.findText(prior.name))
        a, b = ((prior.cell**2).sum(axis=1)) ** 0.5
        beam = "along z of the file" if prior.zone_axis == "as is" else prior.zone_axis
        self.facts.setText(
            f"Beam {beam} · cell {a:.3f} × {b:.3f} Å · {len(prior.columns)} columns, "
            f"nearest {prior.neighbour_distance:.2f} Å apart"
        )
        self.facts.setToolTip(prior.source or "")
        self.columns.setRowCount(len(prior.columns))
        for row, column in enumerate(prior.columns):
            for place, text in enumerate(
                (column.site, column.formula, str(column.layer), f"{column.height:.2f}")
            ):
                self.columns.setItem(row, place, QTableWidgetItem(text))
        self.columns.resizeRowsToContents()
        shown = min(len(prior.columns), _ROWS_SHOWN)
        height = self.columns.horizontalHeader().sizeHint().height() + 4
        self.columns.setFixedHeight(height + sum(self.columns.rowHeight(i) for i in range(shown)))


def fit_text(pose: Pose, pixel_size: float | None = None) -> str:
    """Say in words how well and how a lattice lies, and if it asks for another pixel size (Å/px)."""
    verdict = "Fits" if pose.is_fit else "<b>Does not fit</b>"
    mirrored = ", mirrored" if pose.mirrored else ""
    text = f"{verdict}: score {pose.score:.2f} of 1, rotated {pose.angle:.1f}°{mirrored}"
    stretch = 0.0 if pixel_size is None else pose.pixel_size / pixel_size - 1
    if pose.is_fit and abs(stretch) > _STRETCH:
        more = "more" if stretch > 0 else "less"
        text += (
            f". It asks for <nobr>{pose.pixel_size:.4f} Å/px</nobr>, {100 * abs(stretch):.1f} % {more} than "
            "step 1 says; check the calibration."
        )
    return text
