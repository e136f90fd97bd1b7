"""Which thicknesses and defoci a montage shows."""

from __future__ import annotations

import re

from qtpy.QtWidgets import QFormLayout, QLineEdit, QPushButton, QVBoxLayout, QWidget

from napari_stemprior.errors import StempriorError
from napari_stemprior.qt.panels.section import small_label

#: Pictures in a montage; more cannot be told apart.
_MOST = 64


class MontageForm(QWidget):
    """Two lists of numbers and a button."""

    def __init__(self) -> None:
        super().__init__()
        self.thicknesses = QLineEdit("50, 100, 200, 400")
        self.thicknesses.setToolTip(
            "<qt>Thicknesses in Å, separated by commas; a prior that is a layer has its own.</qt>"
        )
        self.defoci = QLineEdit("-50, 0, 50, 100")
        self.defoci.setToolTip("<qt>Defoci in Å, separated by commas; positive is underfocus.</qt>")
        self.simulate = QPushButton("Simulate montage")
        form = QFormLayout()
        form.setContentsMargins(0, 0, 0, 0)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("Thickness (Å)", self.thicknesses)
        form.addRow("Defocus (Å)", self.defoci)
        rows = QVBoxLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.addLayout(form)
        rows.addWidget(self.simulate)
        self.said = small_label()
        self.said.setToolTip(
            "<qt>Correlation (Pearson) of each picture with the mean cell of the image, 1 at most. The "
            "source size of the microscope settings counts, too.</qt>"
        )
        self.said.hide()
        rows.addWidget(self.said)

    def tell(self, text: str) -> None:
        """Say below the button what was found."""
        self.said.setText(text)
        self.said.setVisible(bool(text))

    def values(self) -> tuple[list[float], list[float]]:
        """Return thicknesses and defoci in Å.

        Raises
        ------
        StempriorError
            If a list is empty or holds what is no number, or there are too many pictures.
        """
        thicknesses = numbers(self.thicknesses.text(), "Thickness")
        defoci = numbers(self.defoci.text(), "Defocus")
        if min(thicknesses) <= 0:
            raise StempriorError("Thickness: every thickness of the montage must be above 0 Å.")
        if len(thicknesses) * len(defoci) > _MOST:
            raise StempriorError(
                f"The montage would have {len(thicknesses) * len(defoci)} pictures; give at most {_MOST}."
            )
        return thicknesses, defoci


def numbers(text: str, name: str) -> list[float]:
    """Read numbers that commas or spaces separate.

    Raises
    ------
    StempriorError
        If there is none, or a part is no number.
    """
    parts = [part for part in re.split(r"[,;\s]+", text.replace("−", "-").strip()) if part]
    try:
        values = [float(part) for part in parts]
    except ValueError as error:
        raise StempriorError(f"{name}: {text!r} is no list of numbers; write it as 50, 100, 200.") from error
    if not values:
        raise StempriorError(f"{name}: the list is empty; write it as 50, 100, 200.")
    return values
