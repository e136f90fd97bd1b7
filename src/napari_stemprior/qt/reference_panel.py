"""Step 3: what the prior would look like in the microscope."""

from __future__ import annotations

from typing import Any

import numpy as np
from qtpy.QtWidgets import QComboBox, QPushButton

from napari_stemprior.errors import StempriorError
from napari_stemprior.optics import PRESETS
from napari_stemprior.qt import tasks
from napari_stemprior.qt.panel import BUSY, NO_IMAGE, NO_PIXEL_SIZE, NO_PRIOR, Panel, allow, tell
from napari_stemprior.qt.section import small_label
from napari_stemprior.qt.session import Session
from napari_stemprior.qt.workers import JobRunner

_SIMULATE = "Simulate reference"
#: Side in px beyond which a reference shows nothing new.
_LARGEST = 1024


class ReferencePanel(Panel):
    """Simulates the prior with the settings of an instrument."""

    def __init__(self, session: Session, runner: JobRunner) -> None:
        super().__init__(session, runner)
        self._shown = ""
        self.instrument = QComboBox()
        self.instrument.addItems(list(PRESETS))
        self.instrument.setCurrentText("80 kV HAADF")
        self.settings = small_label()
        self.simulate = QPushButton(_SIMULATE)
        self.form().addRow("Instrument", self.instrument)
        self.add(self.settings)
        self.add(self.simulate)
        self.instrument.currentTextChanged.connect(self._show_settings)
        self.simulate.clicked.connect(self.start)
        self.runner.busy_changed.connect(self.refresh)
        for signal in (session.image_changed, session.prior_changed, session.pose_changed):
            signal.connect(self.refresh)
        self._show_settings()
        self.refresh()

    def refresh(self, *_: Any) -> None:
        """Show whether a reference can be simulated."""
        session = self.session
        self.instrument.setToolTip("Beam energy and detector of the microscope that took the image.")
        allow(
            self.simulate,
            "Add a simulated image of the prior beside the micrograph, at the same scale, turned "
            "as it was fitted.",
            "" if session.image is not None else NO_IMAGE,
            "" if session.prior is not None else NO_PRIOR,
            "" if session.pixel_size is not None else NO_PIXEL_SIZE,
            BUSY if self.runner.busy else "",
        )
        self.state_changed.emit(self._shown)
        if not self.runner.busy:
            self.simulate.setText(_SIMULATE)

    def start(self) -> None:
        """Simulate in a worker."""
        session = self.session
        try:
            micrograph = session.micrograph()
            pixel_size = tasks.known_pixel_size(micrograph)
        except StempriorError as error:
            tell(error)
            return
        height, width = (min(n, _LARGEST) for n in micrograph.image.shape)
        work = tasks.reference(
            session.operations,
            session.prior,
            PRESETS[self.instrument.currentText()],
            pixel_size,
            (height, width),
            session.fitted_pose,
        )
        self._shown = self.instrument.currentText()
        if self.runner.start(work, self._on_simulated):
            self.simulate.setText("Simulating…")

    def _on_simulated(self, picture: np.ndarray) -> None:
        self.session.show_reference(picture)
        self.refresh()

    def _show_settings(self, *_: Any) -> None:
        i = PRESETS[self.instrument.currentText()]
        self.settings.setText(
            f"{i.beam_energy:g} keV, convergence {i.convergence_semi_angle:g} mrad, "
            f"detector {i.detector_inner:g}–{i.detector_outer:g} mrad"
        )
