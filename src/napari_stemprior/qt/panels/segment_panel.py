"""Step 4: let the network find the atoms."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from napari.layers import Image, Shapes
from napari.utils.notifications import show_info, show_warning
from numpy.typing import ArrayLike
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QCheckBox, QComboBox, QHBoxLayout, QProgressBar, QPushButton
from superqt import QLabeledDoubleSlider

from napari_stemprior.atoms.inferred import inferred_sentence
from napari_stemprior.errors import StempriorError
from napari_stemprior.progress import Progress
from napari_stemprior.qt.jobs.turns import in_turns
from napari_stemprior.qt.jobs.workers import JobRunner
from napari_stemprior.qt.layers.atom_layers import layer_id
from napari_stemprior.qt.layers.insertion import insert_beside, reveal
from napari_stemprior.qt.layers.rectangle_layer import rectangle_layer
from napari_stemprior.qt.layers.removal import remove_layer
from napari_stemprior.qt.panels.panel import BUSY, NO_ATOMS, NO_IMAGE, NO_PIXEL_SIZE, Panel, allow, tell
from napari_stemprior.qt.panels.section import small_label
from napari_stemprior.qt.session import Session
from napari_stemprior.registration.lattice_fit import doubts
from napari_stemprior.workflow.count_doubts import DOUBTS, doubts_in_words
from napari_stemprior.workflow.fit_lattice import known_pixel_size
from napari_stemprior.workflow.image_lattice import image_lattice_sentence, segmented_how
from napari_stemprior.workflow.segment import Segmentation, SegmentSettings, list_models, segment
from napari_stemprior.workflow.segment_box import Box, segment_box

_DEFAULT_MODEL = "small"
DEVICES = ("auto", "cpu", "cuda", "mps")


class SegmentPanel(Panel):
    """Runs the network, and shows and cancels whatever work runs."""

    def __init__(self, session: Session, runner: JobRunner) -> None:
        super().__init__(session, runner)
        #: For each image the state of the step, and what stands below the bar while nothing runs.
        self._said: dict[str, tuple[str, str]] = {}
        #: Why there is no network.
        self._problem = ""
        #: What other steps want to know of new atoms, done in a thread before they are told.
        self.beside: Callable[[], None] | None = None
        #: Lists the networks while the person is at steps 1 and 2; torch is loaded by then.
        self._lister = JobRunner(self)
        #: The network to choose when the list comes.
        self._wanted = ""
        self.segment = QPushButton("Segment with prior")
        self.segment.setMinimumHeight(36)
        self.segment.setStyleSheet("font-weight: bold;")
        self.alone = QCheckBox("Image alone, without the prior")
        self.alone.setToolTip(
            "<qt>Segment with what the image shows and nothing else; a lattice that it shows itself is "
            "used, without elements. Compare both answers where you doubt.</qt>"
        )
        self.model = QComboBox()
        self.model.addItem(_DEFAULT_MODEL, _DEFAULT_MODEL)
        self.model.setToolTip("The network. 'small' comes with the plugin; step 7 adds more.")
        self.device = QComboBox()
        self.device.addItems(DEVICES)
        self.device.setToolTip(
            "<qt>Where the network runs: <b>auto</b> takes a graphics card if there is one.</qt>"
        )
        self.trust = QLabeledDoubleSlider(Qt.Orientation.Horizontal)
        self.trust.setRange(0.0, 1.0)
        self.trust.setDecimals(2)
        self.trust.setSingleStep(0.05)  # type: ignore[arg-type]  # superqt types it as of an int slider
        self.trust.setValue(1.0)
        self.part = QPushButton("Segment a rectangle again")
        self.part.setCheckable(True)
        self._rectangle: Shapes | None = None
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setFixedHeight(10)
        kept = self.bar.sizePolicy()
        kept.setRetainSizeWhenHidden(True)
        self.bar.setSizePolicy(kept)
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
        self.add(self.part)
        self.add(bar_row)
        self.add(self.stage)

        self.segment.clicked.connect(self.start)
        self.alone.toggled.connect(self.refresh)
        self.cancel.clicked.connect(self._on_cancel)
        self.part.clicked.connect(self._on_part)
        session.image_changed.connect(self._on_image)
        session.atoms_changed.connect(self.refresh)
        runner.busy_changed.connect(self._on_busy)
        runner.progressed.connect(self._on_progress)
        runner.followed.connect(self.bar.hide)  # one bar for one job
        runner.failed.connect(self._on_failed)
        for signal in (session.image_changed, session.prior_changed, session.pose_changed):
            signal.connect(self.refresh)
        self._on_busy(False)
        self._lister.failed.connect(self._on_no_models)
        self.list_models()

    @property
    def chosen_model(self) -> str:
        """The name of the chosen network."""
        return str(self.model.currentData() or "")

    @property
    def settings(self) -> SegmentSettings:
        """How a person wants images to be segmented."""
        return SegmentSettings(
            self.chosen_model,
            self.device.currentText(),
            self.trust.value(),
            not self.alone.isChecked(),
        )

    def take_settings(self, settings: SegmentSettings) -> None:
        """Set the step as an earlier session was; a network that is not installed is said."""
        self.alone.setChecked(not settings.with_prior)
        self.trust.setValue(settings.trust)
        self.device.setCurrentIndex(max(self.device.findText(settings.device), 0))
        at = self.model.findData(settings.model)
        if at >= 0:
            self.model.setCurrentIndex(at)
        elif self.model.count():
            show_warning(f"The session's network {settings.model} is not installed here; choose another.")
        else:
            self._wanted = settings.model  # they are being listed

    def list_models(self, choose: str = "") -> None:
        """List the networks anew and choose one of them."""
        self._wanted = choose
        self._lister.start(list_models(self.session.operations), self._fill_models)

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
            self.part,
            "Draw a rectangle; the network finds the atoms in it anew, with the settings above. Atoms "
            "outside it, and those that you placed, moved, accepted or rejected, stay as they are.",
            "" if session.editor is not None else NO_ATOMS,
            "" if self.segment.isEnabled() else "Segmenting is not possible; see above.",
        )
        allow(
            self.trust,
            "Weight of the prior: 1 takes it fully, 0 takes the image alone, and between them "
            "the two answers are mixed. Lower it where the crystal may differ from the prior.",
            "The image is segmented without the prior." if alone else "",
        )
        allow(
            self.cancel,
            "Stop the running work.",
            "" if self.runner.busy else "Nothing is running.",
            "It stops after the present step." if self.runner.cancelling else "",
        )
        self.state_changed.emit("running…" if self.runner.busy else self._of_image[0])

    @property
    def _of_image(self) -> tuple[str, str]:
        """What was found on the chosen image, in short and in full."""
        image = self.session.image
        return ("", "") if image is None else self._said.get(layer_id(image), ("", ""))

    def _tell(self, image: Image, short: str, message: str) -> None:
        self._said[layer_id(image)] = short, message

    def start(self) -> None:
        """Segment in a worker."""
        self._start(None)

    def start_part(self, corners: ArrayLike) -> None:
        """Segment a rectangle of the image again in a worker; atoms outside it stay as they are.

        Parameters
        ----------
        corners : (N, 2) array-like
            Pixels of the image.
        """
        self._start(corners)

    def _start(self, corners: ArrayLike | None) -> None:
        session = self.session
        settings = self.settings
        prior = session.prior if settings.with_prior else None
        fit = session.known_fit if settings.with_prior else None
        box = None
        try:
            micrograph = session.micrograph()
            size = known_pixel_size(micrograph)
            if corners is not None:
                height, width = micrograph.image.shape
                box = Box.around(corners, (height, width), size)
        except StempriorError as error:
            tell(error)
            return
        image, frame = session.image, session.frame
        assert image is not None  # it has a micrograph
        self._tell(image, "", "")
        if box is None:
            work = segment(session.operations, micrograph, prior, fit, settings)
        else:
            work = segment_box(session.operations, micrograph, prior, fit, settings, box)
        self.runner.start(work, lambda result: self._on_segmented(result, image, frame, box))

    def _on_segmented(
        self, result: Segmentation, image: Image, frame: tuple[int, ...], box: Box | None
    ) -> Iterator[None]:
        inside = None if box is None else box.contains
        yield from self.session.taking(image, result, frame=frame, inside=inside, beside=self.beside)
        reservations = [] if box is not None else result.table.provenance.get("reservations", [])
        editor = self.session.specimen(image).editor
        known = None if editor is None else editor.provenance_of(frame).get(DOUBTS)
        found = f"{len(result.table)} atoms" + ("" if box is None else " in the rectangle")
        message = f"Found {found}."
        if known:
            message += f" The image has {doubts_in_words(known)}; step 5 goes through them."
        together = inferred_sentence(result.table.rows)
        if reservations:
            message += f" The lattice fits{doubts(reservations)}."
        message += f" {together}" if together else ""
        own = image_lattice_sentence(result.table.provenance, result.table.pixel_size)
        message += f" {own}" if own else ""
        self._tell(image, found, message)
        only = result.only_layer
        if only is not None and result.prior is not None:
            show_warning(
                f"Of {result.prior.name} only a layer of {only.name} is seen in this image, so only its "
                "atoms are named; check the twist in step 2, or take it as the prior."
            )
        elif result.prior is not None and result.fit is None:
            show_warning(
                f"The lattice of {result.prior.name} does not fit this image, so it was segmented "
                f"{segmented_how(result.table.provenance)}; check the pixel size in step 1, or try another "
                "prior."
            )
        if not len(result.table) and box is None:
            noise = result.table.provenance.get("only_noise")
            why = "The image shows nothing but noise" if noise else "The network found no atom"
            show_info(f"{why}; check the pixel size in step 1 and the prior in step 2.")

    def _on_part(self, on: bool) -> None:
        """Let a person draw the rectangle; it is segmented as soon as it is drawn."""
        image = self.session.image
        if not on or image is None:
            self._drop_rectangle()
            return
        self._rectangle = layer = rectangle_layer(image)
        layer.events.data.connect(self._on_drawn)
        layer.visible = False  # to draw a layer for the first time is a piece of work of its own
        insert_beside(self.session.viewer, len(self.session.viewer.layers), layer)
        in_turns(self, self._showing_rectangle(layer))

    def _showing_rectangle(self, layer: Shapes) -> Iterator[None]:
        if layer is self._rectangle:
            reveal(self.session.viewer, layer)
            yield
        if layer is self._rectangle:
            self.session.activate(layer)
            show_info("Draw a rectangle around what is to be segmented again.")

    def _on_drawn(self, event: Any) -> None:
        if getattr(event.action, "value", "") == "added":  # the mouse is still in the middle of its event
            QTimer.singleShot(0, self._take_rectangle)

    def _take_rectangle(self) -> None:
        layer = self._rectangle
        if layer is None or not layer.nshapes:
            return
        corners = np.array(layer.data[-1])
        self._drop_rectangle()
        self.session.activate_atoms()
        self.start_part(corners)

    def _on_image(self, *_: Any) -> None:
        self._drop_rectangle()
        if not self.runner.busy:
            self._on_busy(False)

    def _drop_rectangle(self, *_: Any) -> None:
        layer, self._rectangle = self._rectangle, None
        self.part.setChecked(False)
        if layer is not None:
            layer.events.data.disconnect(self._on_drawn)
            remove_layer(self.session.viewer, layer)

    def _fill_models(self, labels: dict[str, str]) -> None:
        chosen = self._wanted or self.chosen_model
        self._wanted = ""
        self.model.clear()
        for name, label in labels.items():
            self.model.addItem(label, name)
        self.model.setCurrentIndex(max(self.model.findData(chosen), 0) if labels else -1)
        self.refresh()

    def _on_no_models(self, error: StempriorError) -> None:
        self.model.clear()
        self._problem = str(error)
        self._on_busy(self.runner.busy)

    def _on_busy(self, busy: bool) -> None:
        self.bar.show()
        self.bar.setRange(0, 0 if busy else 1)
        self.bar.setValue(0)
        if busy:
            self.stage.setText("Starting…")
        else:
            self.stage.setText(self._problem or self._of_image[1])
        self.stage.setVisible(bool(self.stage.text()))
        self.refresh()

    def _on_progress(self, progress: Progress) -> None:
        self.bar.setRange(0, progress.total)
        self.bar.setValue(progress.done)
        count = f" ({progress.done} of {progress.total})" if progress.total else ""
        self.stage.setText(f"{progress.stage[:1].upper()}{progress.stage[1:]}{count}…")

    def _on_failed(self, error: StempriorError) -> None:
        if self.session.image is not None:
            self._tell(self.session.image, "", str(error))
        tell(error)

    def _on_cancel(self) -> None:
        self.runner.cancel()
        self.stage.setText("Stopping…")
        self.refresh()
