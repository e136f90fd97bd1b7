"""The review: how far it is, why the present place is doubtful, and the buttons that judge it."""

from __future__ import annotations

from typing import Any

from qtpy.QtWidgets import QGridLayout, QPushButton, QVBoxLayout, QWidget

from napari_stemprior.qt.editing.review import Review
from napari_stemprior.qt.layers.empty_sites_layer import EmptySitesLayer
from napari_stemprior.qt.panels.panel import allow
from napari_stemprior.qt.panels.section import small_label
from napari_stemprior.qt.widgets import shortcuts
from napari_stemprior.qt.widgets.doubt_kinds_box import DoubtKindsBox
from napari_stemprior.qt.widgets.inferred_box import InferredBox

NOTHING_WAITS = "Nothing waits for a review."


class ReviewBox(QWidget):
    """Shows the queue of a review; what its buttons do is connected where they are laid out.

    Parameters
    ----------
    review : Review
    empty_sites : EmptySitesLayer
    """

    def __init__(self, review: Review, empty_sites: EmptySitesLayer) -> None:
        super().__init__()
        self.review = review
        self.queue = small_label()
        self.inferred = InferredBox(review)
        self.kinds = DoubtKindsBox(review, empty_sites)
        self.previous = QPushButton("◀ Previous")
        self.next = QPushButton("Next ▶")
        self.accept = QPushButton("✓ Accept")
        self.reject = QPushButton("✗ Reject")
        buttons = QGridLayout()
        buttons.setContentsMargins(0, 0, 0, 0)
        buttons.setSpacing(5)
        for number, button in enumerate((self.previous, self.next, self.accept, self.reject)):
            buttons.addWidget(button, number // 2, number % 2)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(5)
        layout.addWidget(self.queue)
        layout.addWidget(self.inferred)
        layout.addWidget(self.kinds)
        layout.addLayout(buttons)

    def allow(self, none: str) -> None:
        """Allow or forbid everything; `none` says why nothing can be done."""
        no_queue = "" if self.review.waiting() else NOTHING_WAITS
        for button, action in ((self.previous, "previous"), (self.next, "next")):
            allow(button, shortcuts.tooltip(action), none, no_queue)
        for button, action in ((self.accept, "accept"), (self.reject, "reject")):
            allow(button, shortcuts.tooltip(action), none)

    def show_queue(self, *_: Any) -> None:
        """Show how far the review is, and why the present place is in it."""
        there = self.review.editor is not None
        progress = self.review.progress() if there else ""
        here = self.review.here if there else None
        there = there and self.review.editor is not None and not self.review.editor.untouched
        text = NOTHING_WAITS if there else ""
        if progress:
            text = f"Review: <b>{progress}</b>"
            text += f"<br>{'; '.join(here.reasons)}" if here is not None and here.reasons else ""
            text += " Accept or reject all of them." if here is not None and here.group else ""
        self.queue.setText(text)
        self.kinds.refresh()
        self.queue.setVisible(there)
