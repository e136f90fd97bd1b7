"""The intensities of a sublattice, linked with the atoms on the image in both ways."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from napari_stemprior.qt.editing.atom_editor import AtomEditor
from napari_stemprior.qt.panels.panel import allow
from napari_stemprior.qt.panels.section import small_label
from napari_stemprior.qt.session import Session
from napari_stemprior.qt.widgets.histogram import Histogram

if TYPE_CHECKING:  # it loads the fits, which are not needed before something is measured
    from napari_stemprior.measurement.measurements import Measurements

#: Share of a class that falls into another one from which on the classes mean little.
_MIXED = 0.2


class IntensityBox(QWidget):
    """Shows a histogram of each site; a range selects atoms, and selected atoms are marked in it.

    Parameters
    ----------
    session : Session
    """

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.session = session
        self._found: Measurements | None = None
        self._ids: NDArray[np.int64] = np.empty(0, np.int64)
        self._values: NDArray[np.float64] = np.empty(0)
        self._bound: AtomEditor | None = None
        self._choosing = False
        self.site, self.classes = QComboBox(), QComboBox()
        self.histogram = Histogram()
        self.note = small_label()
        self.species, self.set_species = QComboBox(), QPushButton("Set selected")
        self.vacancy = QPushButton("Mark vacant")
        row = QHBoxLayout()
        row.setSpacing(5)
        row.addWidget(self.site, 1)
        row.addWidget(self.classes, 1)
        edits = QHBoxLayout()
        edits.setSpacing(5)
        edits.addWidget(self.species, 1)
        edits.addWidget(self.set_species, 1)
        edits.addWidget(self.vacancy, 1)
        rows = QVBoxLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.setSpacing(4)
        rows.addLayout(row)
        rows.addWidget(self.histogram)
        rows.addWidget(self.note)
        rows.addLayout(edits)
        self.site.setToolTip("<qt>Site of the lattice whose columns are shown.</qt>")
        self.classes.setToolTip("<qt>Select the atoms of one class of the mixture.</qt>")
        self.site.currentIndexChanged.connect(self._on_site)
        self.classes.activated.connect(self._on_class)
        self.histogram.chosen.connect(self._on_range)
        self.set_species.clicked.connect(self._set_species)
        self.vacancy.clicked.connect(self._set_vacant)
        session.closing.connect(self._let_go)

    def show_measured(self, found: Measurements | None) -> None:
        """Show other measurements, or none."""
        self._found = found
        sites = [] if found is None or found.cells is None else list(dict.fromkeys(found.indices.site))
        sites = [str(site) for site in sites if site]
        self.setVisible(bool(sites))
        self._let_go()
        before = self.site.currentText()
        self.site.blockSignals(True)
        self.site.clear()
        self.site.addItems(sites)
        self.site.setCurrentIndex(max(self.site.findText(before), 0))
        self.site.blockSignals(False)
        if sites:
            assert found is not None
            self.species.clear()
            self.species.addItems(found.fit.prior.elements)
            for element in dict.fromkeys(found.atoms.rows["element"]):
                if self.species.findText(str(element)) < 0:
                    self.species.addItem(str(element))
            self._bind()
            self._on_site()

    @property
    def selected_in_range(self) -> NDArray[np.int64]:
        """Numbers of the atoms whose intensity lies in the chosen range."""
        if self.histogram.range is None:
            return np.empty(0, np.int64)
        low, high = self.histogram.range
        return self._ids[(self._values >= low) & (self._values <= high)]

    # --- inside -------------------------------------------------------------------------------
    def _bind(self) -> None:
        editor = self.session.editor
        if editor is not None:
            editor.layer.selected_data.events.items_changed.connect(self._on_selected)
            self._bound = editor

    def _let_go(self) -> None:
        if self._bound is not None:
            self._bound.layer.selected_data.events.items_changed.disconnect(self._on_selected)
            self._bound = None

    def _on_site(self, *_: Any) -> None:
        found = self._found
        if found is None or found.cells is None:
            return
        site = self.site.currentText()
        own = np.flatnonzero(found.indices.site == site)
        self._ids = found.atoms.rows["atom_id"].to_numpy(np.int64)[own]
        self._values = found.cells.value[own]
        mixture = found.mixtures.get(site)
        shape = None if mixture is None else (mixture.share, mixture.mean, mixture.deviation)
        self.histogram.show_values(self._values, shape)
        self.classes.clear()
        self.classes.addItem("Select a class…")
        known = int(np.isfinite(self._values).sum())
        text = f"{known} of {len(own)} columns of {site} have an intensity."
        if mixture is None:
            text += " " + found.reasons.get(f"intensities of {site}", "")
        elif len(mixture) > 1:
            counts = np.bincount(
                mixture.classify(self._values[np.isfinite(self._values)]), minlength=len(mixture)
            )
            rates = mixture.error_rate
            for number, (count, mean, rate) in enumerate(zip(counts, mixture.mean, rates, strict=True)):
                self.classes.addItem(f"{number + 1}: {mean:.3g} ({count}, {100 * rate:.0f} % err)")
            text += f" BIC takes {len(mixture)} classes."
            if rates.max() > _MIXED:
                text += " They overlap, so that a class is no species."
        else:
            text += " BIC takes one class."
        self.note.setText(text)
        self.refresh()

    def _on_range(self, low: float, high: float) -> None:
        self._select(self.selected_in_range)

    def _on_class(self, index: int) -> None:
        found = self._found
        mixture = None if found is None else found.mixtures.get(self.site.currentText())
        if index <= 0 or mixture is None:
            return
        self.histogram.range = None
        self._select(self._ids[mixture.classify(self._values) == index - 1])

    def _select(self, ids: NDArray[np.int64]) -> None:
        editor = self.session.editor
        if editor is None:
            return
        self._choosing = True
        try:
            self.session.activate_atoms()
            editor.select(np.flatnonzero(np.isin(editor.history.ids, ids)).tolist())
        finally:
            self._choosing = False
        self._on_selected()

    def _on_selected(self, *_: Any) -> None:
        editor = self.session.editor
        if editor is None or self._choosing:
            return
        chosen = np.asarray(editor.history.ids)[editor.selected_rows]
        self.histogram.mark(self._values[np.isin(self._ids, chosen)])
        self.refresh()

    def refresh(self) -> None:
        """Allow what can be done with the selected atoms."""
        editor = self.session.editor
        none = (
            "" if editor is not None and editor.selected_rows else "Select atoms first, here or on the image."
        )
        self.species.setToolTip("<qt>Element of <b>Set selected</b>.</qt>")
        allow(self.set_species, "Give the selected atoms this element.", none)
        allow(self.vacancy, "Mark the sites of the selected atoms as vacancies.", none)

    def _set_species(self, *_: Any) -> None:
        editor = self.session.editor
        if editor is not None and editor.selected_rows:
            editor.set_element(editor.selected_rows, self.species.currentText())

    def _set_vacant(self, *_: Any) -> None:
        editor = self.session.editor
        if editor is not None and editor.selected_rows:
            editor.set_status(editor.selected_rows, "vacancy")
