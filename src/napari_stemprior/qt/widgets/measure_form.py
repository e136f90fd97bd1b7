"""What is asked of the atoms: the questions that ``stemprior measure`` knows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QFormLayout,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from napari_stemprior.qt.panels.section import Fold, small_label
from napari_stemprior.structure import Prior

Corners = tuple[tuple[float, float], ...]
Line = tuple[tuple[float, float], tuple[float, float]]

NONE = "–"
_KINDS = {
    "intensities": ("Intensities", "Integrated intensity, width and ellipticity of each column."),
    "strain": ("Strain", "Strain and rotation, of the atoms and of the fringes (GPA)."),
    "defects": ("Defects", "Vacancies, substitutions, interstitials, and their concentrations."),
    "layers": ("Layers", "Twist, shift, strain and moiré of the layers of a stack."),
    "scan_errors": ("Scan errors", "What the rows of the scan have in common."),
    "boundaries": ("Boundaries", "Grain and antiphase boundaries, and their misorientation."),
}


class MeasureForm(QWidget):
    """Chooses what is measured. What lies on the image, such as a drawn line, is asked elsewhere."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._sites: tuple[str, ...] = ()
        self.kinds: dict[str, QCheckBox] = {}
        grid = QGridLayout()
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setVerticalSpacing(2)
        for number, (key, (text, tip)) in enumerate(_KINDS.items()):
            box = self.kinds[key] = _check(text, tip, checked=key != "boundaries")
            box.toggled.connect(self.changed)
            grid.addWidget(box, number // 2, number % 2)
        self.centre, self.cage = (
            _sites("Whose off-centring is measured, such as Ti."),
            _sites("In the cage of these neighbours, such as Sr."),
        )
        self.tilted, self.corner = (
            _sites("Centre of the octahedra, such as Ti."),
            _sites("Corners of the octahedra, such as O; also gives the bond angles."),
        )
        form = _form()
        form.addRow("Off-centring", _row(self.centre, QLabel("in"), self.cage))
        form.addRow("Tilts", _row(self.tilted, QLabel("corners"), self.corner))
        rows = QVBoxLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.setSpacing(4)
        rows.addLayout(grid)
        rows.addLayout(form)
        rows.addWidget(Fold("More questions", self._more(), "Numbers of atoms, planes, lines, picked atoms."))
        for combo in self._combos:
            combo.currentIndexChanged.connect(self.changed)

    def _more(self) -> QWidget:
        self.count = _sites("Atoms in the columns of this site or element, by steps of the intensity.")
        self.first = QSpinBox()
        self.first.setRange(0, 999)
        self.first.setSpecialValueText("extrapolate")
        self.first.setToolTip("<qt>Atoms in the faintest of these columns, where you know it.</qt>")
        self.h, self.k = _miller(), _miller()
        self.planes = _sites("Of this site; – takes the one that is seen best.")
        self.profiles = _check(
            "Profiles along drawn lines",
            "Intensity along each line of the layer <b>measure here</b> (button <b>Draw</b>).",
        )
        self.profile_width = _number(0.0, 100.0, 0.0, "Lines across are averaged over this width.", " Å")
        self.picked = _check(
            "Selected atoms: distance or angle",
            "Distance of two selected atoms, or the angle at the second of three.",
        )
        self.statistics = _check(
            "Statistics in the drawn region", "Mean and scatter of all numbers inside the drawn region."
        )
        self.planes_inside = _check("Planes in the drawn region only", "Elsewhere planes are left out.")
        self.axis = _number(
            -180.0, 180.0, 0.0, "First axis of strain, from the image's x towards its y.", "°"
        )
        self.power = _number(
            0.01, 1.0, 1.0, "Share of the true vacancies that are found at this dose, where it is known."
        )
        self.power.setSingleStep(0.05)
        self.remove_scan = _check(
            "Take scan errors out", "Out of displacements and strain: what the rows of the scan share."
        )
        content = QWidget()
        form = QFormLayout(content)
        form.setContentsMargins(0, 0, 0, 0)
        form.setSpacing(4)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("Count atoms", self.count)
        form.addRow("Faintest has", self.first)
        form.addRow("Planes h, k", _row(self.h, self.k))
        form.addRow("Planes of", self.planes)
        form.addRow(self.planes_inside)
        form.addRow(self.profiles)
        form.addRow("Width", self.profile_width)
        form.addRow(self.picked)
        form.addRow(self.statistics)
        form.addRow("Strain axis", self.axis)
        form.addRow("Power of test", self.power)
        form.addRow(self.remove_scan)
        note = small_label("Planes are measured where h or k is not 0.")
        form.addRow(note)
        return content

    @property
    def _combos(self) -> tuple[QComboBox, ...]:
        return (self.centre, self.cage, self.tilted, self.corner, self.count, self.planes)

    @property
    def wants_lines(self) -> bool:
        """Whether lines must be drawn."""
        return self.profiles.isChecked()

    @property
    def wants_region(self) -> bool:
        """Whether a region must be drawn."""
        return self.statistics.isChecked() or (self.planes_inside.isChecked() and self._miller != (0, 0))

    @property
    def wants_picked(self) -> bool:
        """Whether atoms must be selected."""
        return self.picked.isChecked()

    @property
    def trouble(self) -> str:
        """Say what of the questions is incomplete; empty if nothing is."""
        pairs = ((self.centre, self.cage, "off-centring"), (self.tilted, self.corner, "tilts"))
        for one, other, name in pairs:
            if (one.currentIndex() > 0) != (other.currentIndex() > 0):
                return f"Choose both sites of the {name}, or neither."
        return ""

    def offer(self, prior: Prior | None) -> None:
        """List the sites and elements of a prior."""
        columns = [] if prior is None else [c for layer in prior.layers for c in layer.columns]
        names = tuple(dict.fromkeys([c.element for c in columns] + [c.site for c in columns]))
        if names == self._sites:
            return
        self._sites = names
        for combo in self._combos:
            chosen = combo.currentText()
            combo.blockSignals(True)
            combo.clear()
            combo.addItems([NONE, *names])
            combo.setCurrentIndex(max(combo.findText(chosen), 0))
            combo.blockSignals(False)
        several = prior is not None and len(prior.layers) > 1
        self.kinds["layers"].setEnabled(several)
        self.changed.emit()

    def settings(
        self,
        *,
        region: Corners | None = None,
        part: int = 0,
        drawn: Corners | None = None,
        lines: Iterable[Line] = (),
        picked: Iterable[int] = (),
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the fields of `MeasureSettings` and of `Questions`, which load too much to be made here.

        Parameters
        ----------
        region : tuple of (float, float), optional
            Reference region, pixels (y, x).
        part : int
            Grain that is the reference.
        drawn : tuple of (float, float), optional
            The drawn region.
        lines : iterable of (start, end)
        picked : iterable of int
            Numbers of the selected atoms.
        """
        asked: dict[str, Any] = {
            "tilts": _pair(self.tilted, self.corner),
            "count": _chosen(self.count),
            "first_count": self.first.value() or None,
            "boundaries": self.kinds["boundaries"].isChecked(),
            "planes": self._miller if self._miller != (0, 0) else None,
            "planes_site": _chosen(self.planes),
            "planes_region": drawn if self.planes_inside.isChecked() else None,
            "statistics_in": drawn if self.statistics.isChecked() else None,
            "lines": tuple(lines) if self.wants_lines else (),
            "line_width": self.profile_width.value(),
            "picked": (tuple(picked),) if self.wants_picked else (),
        }
        wanted: dict[str, Any] = {
            key: box.isChecked() for key, box in self.kinds.items() if key != "boundaries"
        }
        wanted |= {
            "polarisation": _pair(self.centre, self.cage), "region": region, "part": part,
            "remove_scan_errors": self.remove_scan.isChecked(), "axis": self.axis.value(),
            "power": self.power.value(),
        }  # fmt: skip
        return wanted, asked

    @property
    def _miller(self) -> tuple[int, int]:
        return self.h.value(), self.k.value()


def _chosen(combo: QComboBox) -> str | None:
    return combo.currentText() if combo.currentIndex() > 0 else None


def _pair(one: QComboBox, other: QComboBox) -> tuple[str, str] | None:
    first, second = _chosen(one), _chosen(other)
    return (first, second) if first is not None and second is not None else None


def _check(text: str, tip: str, *, checked: bool = False) -> QCheckBox:
    box = QCheckBox(text)
    box.setChecked(checked)
    box.setToolTip(f"<qt>{tip}</qt>")
    return box


def _sites(tip: str) -> QComboBox:
    combo = QComboBox()
    combo.addItem(NONE)
    combo.setToolTip(f"<qt>{tip}</qt>")
    return combo


def _miller() -> QSpinBox:
    box = QSpinBox()
    box.setRange(-20, 20)
    box.setToolTip("<qt>Miller index of lattice planes whose spacings are measured; 0, 0 for none.</qt>")
    return box


def _number(low: float, high: float, value: float, tip: str, unit: str = "") -> QDoubleSpinBox:
    box = QDoubleSpinBox()
    box.setRange(low, high)
    box.setDecimals(2)
    box.setValue(value)
    box.setSuffix(unit)
    box.setToolTip(f"<qt>{tip}</qt>")
    return box


def _form() -> QFormLayout:
    form = QFormLayout()
    form.setContentsMargins(0, 0, 0, 0)
    form.setSpacing(4)
    form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
    return form


def _row(*widgets: QWidget) -> QHBoxLayout:
    row = QHBoxLayout()
    row.setContentsMargins(0, 0, 0, 0)
    row.setSpacing(4)
    for widget in widgets:
        row.addWidget(widget, 0 if isinstance(widget, QLabel) else 1)
    return row
