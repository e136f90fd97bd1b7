"""What a reference is simulated with: the microscope, the engine, the thickness and the dose."""

from __future__ import annotations

from typing import Any, Literal

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QFormLayout,
    QHBoxLayout,
    QVBoxLayout,
    QWidget,
)

from napari_stemprior.qt.widgets.instrument_form import InstrumentForm

_FAST, _MULTISLICE = "Fast", "Multislice (abTEM)"
_COHERENT = "Bright field needs the multislice engine: the fast one neglects interference."


class SimulationForm(QWidget):
    """An `InstrumentForm`, the engine, the thickness of the crystal and the dose of the noise."""

    #: The microscope or the engine is another one.
    changed = Signal()
    #: The noise was switched, or its dose is another one.
    dose_changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.instrument_form = InstrumentForm()
        self.engine = QComboBox()
        self.engine.addItems([_FAST, _MULTISLICE])
        self.engine.setToolTip(
            "<qt><b>Fast</b>: incoherent, below a second, good for thin specimens and dark-field detectors."
            "<br><b>Multislice</b>: exact, for bright field and thick crystals; it runs in the background, a "
            "preview first.</qt>"
        )
        self.thickness = QDoubleSpinBox()
        self.thickness.setRange(1, 2000)
        self.thickness.setDecimals(0)
        self.thickness.setValue(100)
        self.thickness.setSuffix(" Å")
        self.thickness.setKeyboardTracking(False)
        self.noise = QCheckBox("Noise at")
        self.noise.setToolTip("<qt>Add the shot noise of this dose to the reference.</qt>")
        self.dose_box = QDoubleSpinBox()
        self.dose_box.setRange(1, 1e8)
        self.dose_box.setDecimals(0)
        self.dose_box.setValue(1e4)
        self.dose_box.setSuffix(" e/Å²")
        self.dose_box.setGroupSeparatorShown(True)
        self.dose_box.setKeyboardTracking(False)
        self.dose_box.setToolTip(
            "<qt>Electrons per area of the specimen. They do not follow from the scale of the image.</qt>"
        )
        noise_row = QHBoxLayout()
        noise_row.addWidget(self.noise)
        noise_row.addWidget(self.dose_box, 1)
        form = QFormLayout()
        form.setContentsMargins(0, 0, 0, 0)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("Engine", self.engine)
        form.addRow("Thickness", self.thickness)
        rows = QVBoxLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.setSpacing(5)
        rows.addWidget(self.instrument_form)
        rows.addLayout(form)
        rows.addLayout(noise_row)
        self.instrument_form.changed.connect(self.changed)
        self.engine.currentTextChanged.connect(self.changed)
        self.noise.toggled.connect(self._on_dose)
        self.dose_box.valueChanged.connect(self._on_dose)

    @property
    def engine_name(self) -> Literal["fast", "multislice"]:
        """The engine as `workflow.reference` calls it."""
        return "fast" if self.engine.currentText() == _FAST else "multislice"

    @property
    def dose(self) -> float | None:
        """Dose of the noise in e/Å², or None for a reference without noise."""
        return self.dose_box.value() if self.noise.isChecked() else None

    @property
    def obstacle(self) -> str:
        """Say why the fast engine cannot take this microscope; empty if the engine can."""
        return _COHERENT if self.instrument_form.is_coherent and self.engine_name == "fast" else ""

    def offer_coherent(self) -> str:
        """Offer bright field with multislice alone, and say if another detector had to be chosen."""
        if self.instrument_form.offer_coherent(self.engine_name == "multislice"):
            return f"{_COHERENT} The detector is now {self.instrument_form.preset.currentText()}."
        return ""

    def _on_dose(self, *_: Any) -> None:
        self.dose_changed.emit()
