"""The empty sites of the lattice: whether they are shown, and what becomes of one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from qtpy.QtWidgets import QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from napari_stemprior.qt.jobs.turns import in_turns
from napari_stemprior.qt.layers.empty_sites_layer import EmptySitesLayer, hint
from napari_stemprior.qt.panels.panel import allow
from napari_stemprior.qt.panels.section import small_label
from napari_stemprior.qt.widgets import shortcuts

_NO_LATTICE = "Fit the lattice in step 2 first; then its empty sites are known."


class EmptySitesBox(QWidget):
    """Shows the empty sites, and has the buttons that make one an atom or a vacancy.

    Parameters
    ----------
    layer : EmptySitesLayer
    """

    def __init__(self, layer: EmptySitesLayer) -> None:
        super().__init__()
        self.layer = layer
        #: To be laid out elsewhere.
        self.shown = QPushButton("Empty sites")
        self.shown.setCheckable(True)
        self.note = small_label()
        self.fill = QPushButton("+ Atom here")
        self.vacancy = QPushButton("◇ Vacancy")
        row = QHBoxLayout()
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(5)
        row.addWidget(self.fill, 1)
        row.addWidget(self.vacancy, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(5)
        layout.addWidget(self.note)
        layout.addLayout(row)
        self.shown.clicked.connect(self._on_shown)

    @property
    def missing(self) -> str:
        """Say why there are no empty sites to act on; empty if there may be some."""
        return "" if self.layer.sites is not None else _NO_LATTICE

    def allow(self, none: str) -> None:
        """Allow or forbid everything; `none` says why nothing can be done."""
        lattice = "" if none else self.missing
        allow(self.shown, "Show the lattice sites without an atom as faint diamonds.", none, lattice)
        allow(self.fill, shortcuts.tooltip("fill"), none, lattice)
        allow(self.vacancy, shortcuts.tooltip("vacancy"), none)

    def show_sites(self, *, at_once: bool = False) -> None:
        """Draw the empty sites, if they are not drawn already."""
        if not self.layer.wanted:
            self.shown.setChecked(True)
            turns = in_turns(self, self._showing(True))
            if at_once:
                turns.finish()

    def refresh_note(self, *_: Any) -> None:
        """Say how many empty sites are drawn."""
        visible = self.layer.wanted and self.layer.sites is not None and self.layer.editor is not None
        self.note.setVisible(visible)
        self.note.setText(hint(len(self.layer.index)) if visible else "")

    def _on_shown(self, on: bool) -> None:
        for _ in self._showing(on):
            pass

    def _showing(self, on: bool) -> Iterator[None]:
        self.layer.wanted = on
        yield from self.layer.updating()
        self.refresh_note()
