"""The element of atoms that are added, and of the selected ones."""

from __future__ import annotations

from typing import Any

from qtpy.QtWidgets import QComboBox, QHBoxLayout, QPushButton, QWidget

from napari_stemprior.atoms import UNKNOWN_ELEMENT
from napari_stemprior.qt.panels.panel import allow
from napari_stemprior.qt.session import Session


class SpeciesBox(QWidget):
    """Chooses an element among those of the prior and of the atoms; any other may be typed.

    Parameters
    ----------
    session : Session
    """

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.session = session
        self.species = QComboBox()
        self.species.setEditable(True)
        self.species.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        self.species.setMinimumContentsLength(4)
        self.set_selected = QPushButton("Set selected")
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(5)
        row.addWidget(self.species, 1)
        row.addWidget(self.set_selected, 1)
        self.species.currentTextChanged.connect(self._on_species)
        session.prior_changed.connect(self.fill)

    def allow(self, none: str) -> None:
        """Allow or forbid everything; `none` says why nothing can be done."""
        allow(self.species, "Element of atoms that you add, and of <b>Set selected</b>.", none)
        allow(self.set_selected, "Give the selected atoms this element; that also accepts them.", none)

    def fill(self, *_: Any) -> None:
        """List the elements of the present prior and atoms."""
        editor, prior = self.session.editor, self.session.prior
        elements = list(prior.elements) if prior is not None else []
        if editor is not None:
            elements += [e for e in editor.rows["element"].unique() if e not in elements]
        elements = elements or [UNKNOWN_ELEMENT]
        chosen = self.species.currentText()
        self.species.blockSignals(True)
        self.species.clear()
        self.species.addItems(elements)
        self.species.setCurrentText(chosen if chosen in elements else elements[0])
        self.species.blockSignals(False)
        self._on_species(self.species.currentText())

    def following(self, element: str) -> str:
        """Return the element after this one in the list, the first one after the last."""
        names = [self.species.itemText(i) for i in range(self.species.count())]
        return names[(names.index(element) + 1) % len(names)] if element in names else names[0]

    def _on_species(self, text: str) -> None:
        if self.session.editor is not None:
            self.session.editor.new_element = text.strip() or UNKNOWN_ELEMENT
