"""The list of crystals that would explain the image, best first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem

if TYPE_CHECKING:
    from napari_stemprior.registration.ranking import Suggestion

_ROWS_SHOWN = 5
_MOST = 12
#: Shown where nothing fits, to see what was tried.
_NEAR_MISSES = 3
#: Behind the score of a fit with a reservation.
_DOUBT = " ?"
#: Header of each column and its tooltip.
_HEADERS = (
    ("Prior", ""),
    ("Fit", "Geometry: from 0 to 1; above 0.5 the lattice fits. A ? marks a fit with a reservation"),
    (
        "Pattern",
        "How much of the periodic pattern of the image the crystal explains, the brightness of its columns "
        "included; the list goes by it",
    ),
    ("Å/px", "Pixel size at which the lattice fits"),
    ("Size", "By how much that differs from the pixel size of the image"),
)


class SuggestionList(QTableWidget):
    """Shows what `registration.ranking.rank_priors` found; a click chooses one."""

    #: A `Suggestion`.
    chosen = Signal(object)

    def __init__(self) -> None:
        super().__init__(0, len(_HEADERS))
        self._suggestions: list[Suggestion] = []
        for number, (text, tip) in enumerate(_HEADERS):
            item = QTableWidgetItem(text)
            item.setToolTip(tip)
            self.setHorizontalHeaderItem(number, item)
        header, rows = self.horizontalHeader(), self.verticalHeader()
        assert header is not None
        assert rows is not None
        rows.setVisible(False)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self.cellClicked.connect(self._on_row)
        self.cellActivated.connect(self._on_row)
        self.hide()

    def show_suggestions(self, suggestions: Sequence[Suggestion], stated: float | None = None) -> None:
        """Show the first of a ranking; an empty one hides the list.

        Parameters
        ----------
        suggestions : sequence of Suggestion
        stated : float, optional
            Pixel size of the image when they were found, Å/px.
        """
        fitting = [s for s in suggestions if s.is_fit]
        self._suggestions = fitting[:_MOST] or list(suggestions[:_NEAR_MISSES])
        self.clearSelection()
        self.setRowCount(len(self._suggestions))
        for row, suggestion in enumerate(self._suggestions):
            doubted = suggestion.is_fit and bool(suggestion.pose.reservations)
            alike = row > 0 and suggestion.is_fit and suggestion.tie == self._suggestions[row - 1].tie
            texts = (
                f"≈ {suggestion.name}" if alike else suggestion.name,
                f"{suggestion.score:.2f}{_DOUBT if doubted else ''}",
                f"{100 * suggestion.merit:.0f} %",
                f"{suggestion.pixel_size:.4f}",
                "" if not stated else f"{100 * (suggestion.pixel_size / stated - 1):+.1f} %",
            )
            for place, text in enumerate(texts):
                item = QTableWidgetItem(text)
                item.setToolTip(tooltip_of(suggestion, alike=alike))
                if place:
                    item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
                if not suggestion.is_fit:
                    item.setForeground(self.palette().placeholderText())
                self.setItem(row, place, item)
        self.resizeRowsToContents()
        shown = min(len(self._suggestions), _ROWS_SHOWN)
        header = self.horizontalHeader()
        assert header is not None
        height = header.sizeHint().height() + 4
        self.setFixedHeight(height + sum(self.rowHeight(i) for i in range(shown)))
        self.setVisible(bool(self._suggestions))

    def _on_row(self, row: int, *_: Any) -> None:
        if row < len(self._suggestions):
            self.chosen.emit(self._suggestions[row])


def tooltip_of(suggestion: Suggestion, *, alike: bool) -> str:
    """Say in words how a suggestion fits; `alike`: the image does not tell it from the one above it."""
    fits = "fits with a reservation" if suggestion.pose.reservations else "fits"
    text = (
        f"{suggestion.name} {fits if suggestion.is_fit else 'does not fit'}: score {suggestion.score:.2f}, "
        f"rotated {suggestion.pose.angle:.1f}°. It explains {100 * suggestion.merit:.0f} % of the pattern."
    )
    if suggestion.is_fit and suggestion.pose.reservations:
        text += " " + " ".join(suggestion.pose.reservations)
    if alike:
        text += " The image alone does not tell it from the line above."
    return f"<qt>{text} Click to take it as the prior and show its lattice.</qt>"
