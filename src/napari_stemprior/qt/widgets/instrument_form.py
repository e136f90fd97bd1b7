"""The microscope: a preset, and every number of it to change."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QStandardItemModel
from qtpy.QtWidgets import QComboBox, QDoubleSpinBox, QFormLayout, QVBoxLayout, QWidget

from napari_stemprior.errors import StempriorError
from napari_stemprior.optics import PRESETS, Instrument
from napari_stemprior.qt.panels.section import Fold, small_label

_DEFAULT = "80 kV HAADF"
_CUSTOM = "own settings"
#: Stands above the presets that the fast engine cannot do.
_OFFERED, _REFUSED = "Bright field", "Bright field: needs Multislice"


@dataclass(frozen=True)
class _Field:
    key: str
    label: str
    unit: str
    low: float
    high: float
    decimals: int
    step: float
    tip: str


_FIELDS = (
    _Field("beam_energy", "Beam energy", "keV", 20, 1500, 1, 10, "Acceleration of the electrons."),
    _Field("convergence_semi_angle", "Convergence", "mrad", 1, 80, 1, 1, "Semi-angle of the probe."),
    _Field("detector_inner", "Detector inner", "mrad", 0, 400, 1, 5, "Smallest collected angle; 0 for BF."),
    _Field("detector_outer", "Detector outer", "mrad", 1, 500, 1, 5, "Largest collected angle."),
    _Field(
        "defocus",
        "Defocus",
        "Å",
        -5000,
        5000,
        1,
        10,
        "0 focuses the entrance surface; positive is underfocus.",
    ),
    _Field("spherical_aberration", "Cs", "mm", -5, 5, 4, 0.001, "Spherical aberration."),
    _Field("source_size", "Source size", "Å", 0, 5, 2, 0.05, "Full width at half maximum of the source."),
)


class InstrumentForm(QWidget):
    """Chooses an `Instrument`; the fields are folded away."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._filling = False
        self.preset = QComboBox()
        self.preset.addItems([name for name, preset in PRESETS.items() if not preset.is_coherent])
        self.preset.addItem(_REFUSED)
        self._heading = self.preset.count() - 1
        self.preset.addItems([name for name, preset in PRESETS.items() if preset.is_coherent])
        self.preset.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.preset.setMinimumContentsLength(12)
        self.offer_coherent(False)
        self.preset.setToolTip("<qt>Beam energy and detector of the microscope that took the image.</qt>")
        self.summary = small_label()
        self.boxes: dict[str, QDoubleSpinBox] = {}
        form = QFormLayout()
        form.setContentsMargins(0, 0, 0, 0)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        for field in _FIELDS:
            box = QDoubleSpinBox()
            box.setRange(field.low, field.high)
            box.setDecimals(field.decimals)
            box.setSingleStep(field.step)
            box.setSuffix(f" {field.unit}")
            box.setKeyboardTracking(False)
            box.setToolTip(f"<qt>{field.tip}</qt>")
            box.valueChanged.connect(self._on_value)
            self.boxes[field.key] = box
            form.addRow(field.label, box)
        holder = QWidget()
        holder.setLayout(form)
        self.fold = Fold("Microscope settings", holder, "Every number of the microscope.")
        top = QFormLayout()
        top.setContentsMargins(0, 0, 0, 0)
        top.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        top.addRow("Instrument", self.preset)
        rows = QVBoxLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.setSpacing(4)
        rows.addLayout(top)
        rows.addWidget(self.summary)
        rows.addWidget(self.fold)
        self.preset.currentTextChanged.connect(self._on_preset)
        self.preset.setCurrentText(_DEFAULT)
        self._on_preset(self.preset.currentText())

    @property
    def instrument(self) -> Instrument:
        """The chosen microscope; the dose is chosen elsewhere.

        Raises
        ------
        InstrumentError
            If no microscope can have these numbers.
        """
        base = PRESETS.get(self.preset.currentText(), Instrument())
        known = {field.name for field in fields(base)}
        values = {key: box.value() for key, box in self.boxes.items() if key in known}
        same = all(abs(getattr(base, key) - value) < 1e-6 for key, value in values.items())
        return base if same else replace(base, name=_CUSTOM, **values)

    @property
    def trouble(self) -> str:
        """Why no image can be simulated with these numbers, or nothing."""
        try:
            _ = self.instrument
        except StempriorError as error:
            return str(error)
        return ""

    @property
    def is_coherent(self) -> bool:
        """Whether the detector collects the direct beam, which the fast engine cannot do."""
        return not self.trouble and self.instrument.is_coherent

    def offer_coherent(self, offered: bool) -> bool:
        """Let bright field be chosen, or not, and say whether the choice had to change for that.

        Parameters
        ----------
        offered : bool
            Without it a chosen bright-field preset gives way to the dark field of the same microscope.
        """
        model = self.preset.model()
        assert isinstance(model, QStandardItemModel)
        self.preset.setItemText(self._heading, _OFFERED if offered else _REFUSED)
        for index in range(self._heading, self.preset.count()):
            tip = "" if offered else "<qt>Choose the engine <b>Multislice</b> first: see below.</qt>"
            self.preset.setItemData(index, tip, Qt.ItemDataRole.ToolTipRole)
            item = model.item(index)
            assert item is not None
            item.setEnabled(offered and index != self._heading)
        if offered or self.preset.currentIndex() <= self._heading:
            return False
        energy = self.preset.currentText().rpartition(" ")[0]
        self.preset.setCurrentText(f"{energy} HAADF")
        return True

    def suit(self, metadata: dict[str, Any]) -> None:
        """Choose the preset of the beam energy that a micrograph's file tells, with the same detector."""
        energy = metadata.get("beam_energy_kev")
        if not isinstance(energy, int | float) or not np.isfinite(energy):
            return
        detector = self.preset.currentText().rpartition(" ")[2]
        for name, preset in PRESETS.items():
            if abs(preset.beam_energy - energy) < 1 and name.endswith(f" {detector}"):
                self.preset.setCurrentText(name)
                return

    def _on_preset(self, name: str) -> None:
        base = PRESETS.get(name)
        if base is None:
            return
        self._filling = True
        for key, box in self.boxes.items():
            box.setValue(getattr(base, key))
        self._filling = False
        self._refresh()

    def _on_value(self, *_: Any) -> None:
        if not self._filling:
            self._refresh()

    def _refresh(self) -> None:
        trouble = self.trouble
        if trouble:
            self.summary.setText(f"<b>{trouble}</b>")
            self.changed.emit()
            return
        i = self.instrument
        text = (
            f"{i.beam_energy:g} keV, convergence {i.convergence_semi_angle:g} mrad, "
            f"detector {i.detector_inner:g}–{i.detector_outer:g} mrad"
        )
        if i.defocus:
            text += f", defocus {i.defocus:g} Å"
        if i.name == _CUSTOM:
            text += " (changed)"
        self.summary.setText(text)
        self.changed.emit()
