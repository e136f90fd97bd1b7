"""Atoms that the image cannot show, as one question: believe them, hide them, or leave them out."""

from __future__ import annotations

from typing import Any

import numpy as np
from qtpy.QtWidgets import QCheckBox, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from napari_stemprior.atoms.inferred import inferred, inferred_sentence
from napari_stemprior.qt.editing.review import Review
from napari_stemprior.qt.panels.section import small_label


class InferredBox(QWidget):
    """Judges all open atoms that stand on the prior alone together; each answer is one edit.

    Parameters
    ----------
    review : Review
    """

    def __init__(self, review: Review) -> None:
        super().__init__()
        self.review = review
        self._rows: object = None
        self.said = small_label()
        self.accept = QPushButton("Accept all")
        self.accept.setToolTip("<qt>Believe the prior: accept all of these atoms. Undo takes it back.</qt>")
        self.leave_out = QPushButton("Leave all out")
        self.leave_out.setToolTip(
            "<qt>Reject all of these atoms: they are in no export, and a later segmentation leaves their "
            "places empty. Undo brings them back.</qt>"
        )
        self.hide_all = QCheckBox("Hide")
        self.hide_all.setToolTip(
            "<qt>Hide these atoms without judging them. They stay in the table; step 6 leaves hidden atoms "
            "out of files.</qt>"
        )
        row = QHBoxLayout()
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.accept, 1)
        row.addWidget(self.leave_out, 1)
        row.addWidget(self.hide_all)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(5)
        layout.addWidget(self.said)
        layout.addLayout(row)
        self.accept.clicked.connect(lambda: self.judge("accepted"))
        self.leave_out.clicked.connect(lambda: self.judge("rejected"))
        self.hide_all.clicked.connect(self._on_hide)
        self.refresh()

    def refresh(self, *_: Any) -> None:
        """Show how many there are; nothing where there are none."""
        editor = self.review.editor
        if editor is None:
            self._rows = None
            self.hide()
            return
        if self._rows is not editor.rows:
            self._rows = editor.rows
            sentence = inferred_sentence(editor.rows)
            self.said.setText(sentence)
            self.setVisible(bool(sentence))
        self.hide_all.setChecked(editor.hide_inferred)

    @property
    def is_here(self) -> bool:
        """Whether the group is under review, and no atom is selected that could be meant instead."""
        here, editor = self.review.here, self.review.editor
        return here is not None and bool(here.group) and editor is not None and not editor.selected_rows

    def judge(self, status: str) -> None:
        """Give all of them a status, as one edit, and go on with the review."""
        editor = self.review.editor
        if editor is None:
            return
        editor.set_status(np.flatnonzero(inferred(editor.rows)).tolist(), status)
        self.review.judged(self.review.context.session.viewer)

    def _on_hide(self, on: bool) -> None:
        editor = self.review.editor
        if editor is not None:
            editor.hide_inferred = on
            editor.update_shown()
