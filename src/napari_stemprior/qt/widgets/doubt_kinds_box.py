"""Doubts of one kind together: gone through by themselves, or settled at once as one edit."""

from __future__ import annotations

from typing import Any

from qtpy.QtWidgets import QComboBox, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from napari_stemprior.qt.editing.review import Review
from napari_stemprior.qt.layers.empty_sites_layer import EmptySitesLayer


class DoubtKindsBox(QWidget):
    """Chooses a kind of doubt; each answer for all of a kind is one edit, or two where sites are bare too.

    Parameters
    ----------
    review : Review
    empty_sites : EmptySitesLayer
    """

    def __init__(self, review: Review, empty_sites: EmptySitesLayer) -> None:
        super().__init__()
        self.review = review
        self.empty_sites = empty_sites
        self._shown: tuple[dict[str, int], int, str] | None = None
        self.kinds = QComboBox()
        self.kinds.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.kinds.setMinimumContentsLength(12)
        self.kinds.setToolTip(
            "<qt>The doubts by their kind, with their number. <b>Next</b> then goes through those of the "
            "chosen kind alone.</qt>"
        )
        self.accept = QPushButton()
        self.reject = QPushButton()
        row = QHBoxLayout()
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(5)
        row.addWidget(self.accept, 1)
        row.addWidget(self.reject, 1)
        rows = QVBoxLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.setSpacing(5)
        rows.addWidget(self.kinds)
        rows.addLayout(row)
        self.kinds.activated.connect(self._on_kind)
        self.accept.clicked.connect(lambda: self.judge(accept=True))
        self.reject.clicked.connect(lambda: self.judge(accept=False))
        self.refresh()

    def refresh(self, *_: Any) -> None:
        """Show the kinds that wait, and what can be done with the chosen one."""
        counts = self.review.kinds()
        every = self.review.open_count
        now = (counts, every, self.review.kind)
        if now == self._shown:
            return
        self._shown = now
        self.setVisible(bool(counts))
        self.kinds.clear()
        self.kinds.addItem(f"All kinds of doubt ({every})", "")
        for kind, count in counts.items():
            self.kinds.addItem(f"{kind} ({count})", kind)
        self.kinds.setCurrentIndex(max(self.kinds.findData(self.review.kind), 0))
        rows, sites = self.review.of_kind(self.review.kind)
        for button in (self.accept, self.reject):
            button.setVisible(bool(rows or sites))
        count = len(rows or sites)
        many = {1: "it", 2: "both"}.get(count, f"all {count}")
        if sites:
            self.accept.setText("Vacancy" if count == 1 else f"Vacancies: {many}")
            self.accept.setToolTip("<qt>Mark all of these empty sites as vacancies. Undo takes it back.</qt>")
            self.reject.setText("Atom on it" if count == 1 else f"Atoms on {many}")
            self.reject.setToolTip("<qt>Put an atom on each of these sites. Undo takes it back.</qt>")
        else:
            self.accept.setText(f"Accept {many}")
            self.accept.setToolTip("<qt>Accept all atoms with this doubt. Undo takes it back.</qt>")
            self.reject.setText(f"Leave {many} out")
            self.reject.setToolTip(
                "<qt>Reject all atoms with this doubt: they are in no export, and a later segmentation "
                "leaves their places empty. Undo brings them back.</qt>"
            )

    def judge(self, *, accept: bool) -> None:
        """Settle all places of the chosen kind, and go on with the review."""
        editor = self.review.editor
        rows, sites = self.review.of_kind(self.review.kind)
        if editor is None:
            return
        if rows:
            editor.layer.selected_data = set()
            editor.set_status(rows, "accepted" if accept else "rejected")
        if sites:
            label, status = ("vacancy", "vacancy") if accept else ("add", "accepted")
            self.empty_sites.settle(sites, label, status=status)
        self.review.judged(self.review.context.session.viewer)
        self.refresh()

    def _on_kind(self, index: int) -> None:
        self.review.choose_kind(str(self.kinds.itemData(index) or ""))
        self.refresh()
