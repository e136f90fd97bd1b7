"""Step 1: which image, and how large a pixel is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from napari.utils.notifications import show_info, show_warning
from qtpy.QtWidgets import QCheckBox, QComboBox, QDoubleSpinBox, QHBoxLayout, QPushButton, QSizePolicy

from napari_stemprior.errors import StempriorError
from napari_stemprior.qt.jobs.workers import JobRunner
from napari_stemprior.qt.layers.atom_layers import layer_id
from napari_stemprior.qt.panels.panel import BUSY, NO_IMAGE, NO_PRIOR, Panel, allow, tell
from napari_stemprior.qt.panels.section import small_label
from napari_stemprior.qt.session import Session
from napari_stemprior.qt.widgets.recording_box import RecordingBox
from napari_stemprior.registration import LatticeFit, Pose
from napari_stemprior.registration.lattice_fit import doubts
from napari_stemprior.workflow.fit_lattice import fit_pixel_size
from napari_stemprior.workflow.read import read_pixel_size

_FIT = "Fit pixel size"
#: Å in each unit that a person may type a pixel size in.
_UNITS = {"Å/px": 1.0, "nm/px": 10.0, "pm/px": 0.01}


class ImagePanel(Panel):
    """Chooses the micrograph and calibrates it."""

    def __init__(self, session: Session, runner: JobRunner) -> None:
        super().__init__(session, runner)
        #: Looks into the file of an image that came without a pixel size; its failure is no news.
        self._file_reader = JobRunner(self)
        self._looked_into: set[str] = set()
        self._asked: str = ""
        self.layers = QComboBox()
        self.layers.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.layers.setMinimumContentsLength(12)
        self.pixel_size = QDoubleSpinBox()
        self.pixel_size.setRange(0.0, 10_000.0)
        self.pixel_size.setDecimals(5)
        self.pixel_size.setSpecialValueText("unknown")
        self.pixel_size.setKeyboardTracking(False)
        self.pixel_size.setButtonSymbols(QDoubleSpinBox.ButtonSymbols.NoButtons)
        self.pixel_size.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.unit = QComboBox()
        self.unit.addItems(list(_UNITS))
        self.unit.setToolTip("Unit of the pixel size")
        self.field = small_label()
        self.field.setToolTip("Width × height of the image")
        self.note = small_label()
        self.fit = QPushButton(_FIT)
        self.from_lattice = QCheckBox("Take the pixel size from the lattice")
        self.from_lattice.setToolTip(
            "<qt>A lattice that fits (step 2 or 4) also calibrates the image, as <b>Fit pixel size</b> does: "
            "lengths in Å then follow the lattice constant of the prior, not the file.</qt>"
        )
        self.recording = RecordingBox(session)

        size_row = QHBoxLayout()
        size_row.addWidget(self.pixel_size, 1)
        size_row.addWidget(self.unit)
        form = self.form()
        form.addRow("Layer", self.layers)
        form.addRow("Pixel size", size_row)
        form.addRow("Field of view", self.field)
        self.add(self.note)
        self.add(self.fit)
        self.add(self.from_lattice)
        self.add(self.recording)

        self.layers.activated.connect(self._on_layer)
        self.pixel_size.valueChanged.connect(self._on_size)
        self.unit.currentTextChanged.connect(self._show_size)
        self.fit.clicked.connect(self.start_fit)
        self.from_lattice.toggled.connect(self._on_from_lattice)
        self._file_reader.failed.connect(self._no_news)
        self.runner.busy_changed.connect(self.refresh)
        for signal in (session.image_changed, session.images_changed, session.prior_changed):
            signal.connect(self.refresh)
        self.refresh()

    def refresh(self, *_: Any) -> None:
        """Show the image layers, the pixel size and the field of view."""
        session = self.session
        self._show_layers()
        self._show_size()
        image = session.image
        has_image = "" if image is not None else NO_IMAGE
        name = "" if image is None else f"<b>{image.name}</b><br>"
        allow(
            self.layers,
            f"{name}The image layer to segment; a stack gives the frame that is shown.",
            has_image,
        )
        allow(
            self.pixel_size,
            "Side of one pixel on the specimen. Type it if the file does not give it.",
            has_image,
        )
        allow(
            self.fit,
            "Find the pixel size at which the lattice prior of step 2 fits the image.",
            has_image,
            "" if session.prior is not None else NO_PRIOR,
            BUSY if self.runner.busy else "",
        )
        note, field, state = "", "", ""
        if image is None:
            note = NO_IMAGE
        else:
            try:
                micrograph = session.micrograph()
            except StempriorError as error:
                note, state = str(error), "not usable"
            else:
                height, width = micrograph.image.shape
                field = f"{width} × {height} px"
                state = "pixel size unknown"
                if micrograph.field_of_view is not None:
                    high, wide = (0.1 * length for length in micrograph.field_of_view)
                    field = f"{wide:.2f} × {high:.2f} nm<br>{field}"
                    state = f"{session.pixel_size:.4g} Å/px"
                else:
                    note = (
                        "The file gives no pixel size. Type the pixel size above, "
                        "or pick a prior in step 2 and press <b>Fit pixel size</b>."
                    )
                    self._look_into_file()
        self.field.setText(field)
        self.note.setText(note)
        self.note.setVisible(bool(note))
        self.fit.setVisible(image is not None)
        self.state_changed.emit(state)
        if not self.runner.busy:
            self.fit.setText(_FIT)

    def start_fit(self) -> None:
        """Fit the pixel size in a worker."""
        prior = self.session.prior
        if prior is None:
            return
        try:  # at a lattice: of a stack at that of its entrance layer
            work = fit_pixel_size(self.session.operations, self.session.micrograph(), prior.layers[0])
        except StempriorError as error:
            tell(error)
            return
        if self.runner.start(work, self._on_fitted):
            self.fit.setText("Fitting…")

    def _on_fitted(self, result: tuple[float, Pose]) -> None:
        size, pose = result
        if not pose.is_fit:
            show_warning(
                "The prior fits this image at no pixel size, so the pixel size stays as it was; try another "
                "prior, or press Suggest in step 2."
            )
            return
        self.session.set_pixel_size(size, "lattice")
        prior = self.session.prior
        if prior is not None and prior.crystal is not None:
            self.session.set_fit(LatticeFit(prior, (pose,)))
        doubt = doubts(pose.reservations)
        show_info(f"The lattice fits at {size:.4g} Å/px{doubt}. Look at the overlay in step 2 to check it.")

    def _show_layers(self) -> None:
        images = self.session.images
        self.layers.blockSignals(True)
        self.layers.clear()
        self.layers.addItems([layer.name for layer in images])
        self.layers.setCurrentIndex(images.index(self.session.image) if self.session.image in images else -1)
        self.layers.blockSignals(False)

    def _show_size(self, *_: Any) -> None:
        factor = _UNITS[self.unit.currentText()]
        self.pixel_size.blockSignals(True)
        self.pixel_size.setDecimals({1.0: 5, 10.0: 6, 0.01: 3}[factor])
        self.pixel_size.setSingleStep(0.001 / factor)
        self.pixel_size.setValue((self.session.pixel_size or 0.0) / factor)
        self.pixel_size.blockSignals(False)

    def _on_from_lattice(self, on: bool) -> None:
        self.session.scale_from_lattice = on
        if on and self.session.known_fit is not None:
            self.session.take_scale(self.session.known_fit.pose)

    def _on_layer(self, index: int) -> None:
        self.session.choose_image(self.session.images[index])

    def _on_size(self, value: float) -> None:
        if value > 0:
            try:
                self.session.set_pixel_size(value * _UNITS[self.unit.currentText()])
            except StempriorError as error:
                tell(error)
        else:
            self.refresh()

    def _look_into_file(self) -> None:
        """Ask our own reader for the pixel size of a file that napari opened without it."""
        image = self.session.image
        if image is None or not image.source.path or layer_id(image) in self._looked_into:
            return
        path = Path(image.source.path)
        if self._file_reader.busy or not path.is_file():
            return
        self._asked = layer_id(image)
        self._looked_into.add(self._asked)
        self._file_reader.start(read_pixel_size(path), self._on_read)

    def _on_read(self, size: float | None) -> None:
        image = self.session.image
        if size is not None and image is not None and layer_id(image) == self._asked:
            self.session.set_pixel_size(size, "file")

    def _no_news(self, error: StempriorError) -> None:
        """Leave the note of the panel as it is: it asks for the pixel size already."""
