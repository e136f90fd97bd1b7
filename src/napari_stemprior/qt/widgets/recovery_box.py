"""What the desk says about the journals: what can be restored, and where edits are kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qtpy.QtWidgets import QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from napari_stemprior.errors import JournalError
from napari_stemprior.qt.jobs.journal_service import JournalService
from napari_stemprior.qt.panels.panel import allow, tell
from napari_stemprior.qt.panels.section import small_label


class RecoveryBox(QWidget):
    """The offer of an earlier session, shown while there is one.

    Parameters
    ----------
    journal_service : JournalService
    """

    def __init__(self, journal_service: JournalService) -> None:
        super().__init__()
        self.journal_service = journal_service
        self.offer = small_label()
        self.restore = QPushButton("Restore")
        self.discard = QPushButton("Discard")
        #: Where the edits are kept, or why they are not; to be laid out elsewhere.
        self.kept = small_label()
        row = QHBoxLayout()
        row.addWidget(self.restore, 1)
        row.addWidget(self.discard, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.offer)
        layout.addLayout(row)
        self.restore.clicked.connect(self._on_restore)
        self.discard.clicked.connect(self._on_discard)
        journal_service.changed.connect(self.refresh)
        allow(self.restore, "Take these edits up, with their history; they replace the present atoms.")
        allow(self.discard, "Put these edits away; the file is renamed and stays.")
        self.refresh()

    def refresh(self, *_: Any) -> None:
        """Show the offer and the place of the journal."""
        offer, path = self.journal_service.offer, self.journal_service.path
        self.offer.setText(offer)
        self.setVisible(bool(offer))
        kept = "" if path is None else f"Edits are kept in {path.name}."
        self.kept.setText(self.journal_service.problem or kept)
        self.kept.setToolTip("" if path is None else str(path))
        self.kept.setVisible(bool(self.kept.text()))

    def _on_restore(self) -> None:
        _telling(self.journal_service.restore)

    def _on_discard(self) -> None:
        _telling(self.journal_service.discard)


def _telling(action: Callable[[], None]) -> None:
    try:
        action()
    except JournalError as error:
        tell(error)
