"""Step 4: let the network find the atoms."""

from __future__ import annotations

from typing import Any

from napari.layers import Image
from napari.utils.notifications import show_info, show_warning
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QCheckBox, QComboBox, QHBoxLayout, QProgressBar, QPushButton
from superqt import QLabeledDoubleSlider

from napari_stemprior.errors import StempriorError
from napari_stemprior.progress import Progress
from napari_stemprior.qt import tasks
from napari_stemprior.qt.panel import BUSY, NO_IMAGE, NO_PIXEL_SIZE, Panel, allow, tell
from napari_stemprior.qt.section import small_label
from napari_stemprior.qt.session import Session
from napari_stemprior.qt.workers import JobRunner

_DEFAULT_MODEL = "small"
DEVICES = ("auto", "cpu", "cuda", "mps")


class SegmentPanel(Panel):
    """Runs the network, and shows and cancels whatever work runs."""

    def __init__(self, session: Session, runner: JobRunner) -> None:
        super().__init__(session, runner)
        self._for_image: Image | None = None
        self._last = ""
        #: What stands below the bar while nothing runs.
        self._message = ""
        #: Lists the networks while the person is at steps 1 and 2; torch is loaded by then.
        self._lister = JobRunner(self)
        self.segment = QPushButton("Segment with prior")
        self.segment.setMinimumHeight(36)
        self.segment.setStyleSheet("font-weight: bold;")
        self.alone = QCheckBox("Image alone, without the prior")
        self.alone.setToolTip(
            "<qt>Segment with what the image shows and nothing else. Compare both answers where you "
            "doubt.</qt>"
        )
        self.model = QComboBox()
        self.model.addItem(_DEFAULT_MODEL)
        self.model.setToolTip("The network. 'small' comes with the plugin.")
        self.device = QComboBox()
        self.device.addItems(DEVICES)
        self.device.setToolTip(
            "<qt>Where the network runs: <b>auto</b> takes a graphics card if there is one.</qt>"
        )
        self.trust = QLabeledDoubleSlider(Qt.Orientation.Horizontal)
        self.trust.setRange(0.0, 1.0)
        self.trust.setDecimals(2)
        self.trust.setSingleStep(0.05)
        self.trust.setValue(1.0)
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setFixedHeight(10)
        self.stage = small_label()
        self.cancel = QPushButton("Cancel")
        bar_row = QHBoxLayout()
        bar_row.addWidget(self.bar, 1)
        bar_row.addWidget(self.cancel)

        self.add(self.segment)
        self.add(self.alone)
        form = self.form()
        form.addRow("Trust in prior", self.trust)
        form.addRow("Model", self.model)
        form.addRow("Device", self.device)
        self.add(bar_row)
        self.add(self.stage)

        self.segment.clicked.connect(self.start)
        self.alone.toggled.connect(self.refresh)
        self.cancel.clicked.connect(self._on_cancel)
        runner.busy_changed.connect(self._on_busy)
        runner.progressed.connect(self._on_progress)
        runner.failed.connect(self._on_failed)
        for signal in (session.image_changed, session.prior_changed, session.pose_changed):
            signal.connect(self.refresh)
        self._on_busy(False)
        self._lister.failed.connect(self._on_no_models)
        self._lister.start(tasks.list_models(session.operations), self._fill_models)

    def refresh(self, *_: Any) -> None:
        """Show whether the network can run."""
        session = self.session
        alone = self.alone.isChecked()
        self.segment.setText("Segment the image alone" if alone else "Segment with prior")
        no_prior = "Pick a lattice prior in step 2, or tick 'Image alone'."
        allow(
            self.segment,
            "Find the atoms. Atoms that you placed, moved, accepted or rejected stay as they are.",
            "" if session.image is not None else NO_IMAGE,
            "" if session.pixel_size is not None else NO_PIXEL_SIZE,
            "" if alone or session.prior is not None else no_prior,
            "" if self.model.count() else "No network is installed; reinstall the plugin.",
            BUSY if self.runner.busy else "",
        )
        allow(
            self.trust,
            "How much the prior may say: 1 lets it speak fully, 0 leaves the image alone, and between them "
            "the two answers are mixed. Lower it where the crystal may differ from the prior.",
            "The image speaks alone." if alone else "",
        )
        allow(
            self.cancel,
            "Stop the running work.",
            "" if self.runner.busy else "Nothing is running.",
            "It stops after the present step." if self.runner.cancelling else "",
        )
        self.state_changed.emit("running…" if self.runner.busy else self._last)

    def start(self) -> None:
        """Segment in a worker."""
        session = self.session
        settings = tasks.SegmentSettings(
            self.model.currentText(),
            self.device.currentText(),
            self.trust.value(),
            not self.alone.isChecked(),
        )
        try:
            micrograph = session.micrograph()
            tasks.known_pixel_size(micrograph)
        except StempriorError as error:
            tell(error)
            return
        prior = session.prior if settings.with_prior else None
        pose = session.fitted_pose if settings.with_prior else None
        self._for_image = session.image
        self._last = self._message = ""
        work = tasks.segment(session.operations, micrograph, prior, pose, settings)
        self.runner.start(work, self._on_segmented)

    def _on_segmented(self, result: tasks.Segmented) -> None:
        image, self._for_image = self._for_image, None
        if image is None:
            return
        self.session.take_segmentation(image, result)
        waiting = int((result.table.rows["status"] == "review").sum())
        self._last = f"{len(result.table)} atoms"
        self._message = f"Found {len(result.table)} atoms, {waiting} of them to review in step 5."
        if result.prior is not None and result.pose is None:
            show_warning(
                f"The lattice of {result.prior.name} does not fit this image, so the atoms come from the "
                "image alone; check the pixel size in step 1, or try another prior."
            )
        if not len(result.table):
            show_info("The network found no atom; check the pixel size in step 1 and the prior in step 2.")

    def _fill_models(self, names: list[str]) -> None:
        chosen = self.model.currentText()
        self.model.clear()
        self.model.addItems(names)
        self.model.setCurrentIndex(max(self.model.findText(chosen), 0) if names else -1)
        self.refresh()

    def _on_no_models(self, error: StempriorError) -> None:
        self.model.clear()
        self._message = str(error)
        self._on_busy(self.runner.busy)

    def _on_busy(self, busy: bool) -> None:
        self.bar.setRange(0, 0 if busy else 1)
        self.bar.setValue(0)
        if busy:
            self.stage.setText("Starting…")
        else:
            self.stage.setText(self._message)
        self.stage.setVisible(bool(self.stage.text()))
        self.refresh()

    def _on_progress(self, progress: Progress) -> None:
        self.bar.setRange(0, progress.total)
        self.bar.setValue(progress.done)
        count = f" ({progress.done} of {progress.total})" if progress.total else ""
        self.stage.setText(f"{progress.stage[:1].upper()}{progress.stage[1:]}{count}…")

    def _on_failed(self, error: StempriorError) -> None:
        self._for_image = None
        self._message = str(error)
        tell(error)

    def _on_cancel(self) -> None:
        self.runner.cancel()
        self.stage.setText("Stopping…")
        self.refresh()
