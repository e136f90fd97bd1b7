"""How a reference is compared with the micrograph: the choice, the flicker and the key that stops it."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QTimer, Signal
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QPushButton, QWidget

from napari_stemprior.qt.layers.comparison import Comparison, ComparisonMode
from napari_stemprior.qt.panels.panel import allow

#: ms for which each of micrograph and reference is shown when they flicker.
_FLICKER = 450
#: The key that turns from the micrograph to the reference and back.
TURN_KEY = "F"
_NO_REFERENCE = "Simulate a reference first."


class ComparisonBox(QWidget):
    """Chooses how reference and micrograph are shown.

    Parameters
    ----------
    comparison : Comparison
    """

    #: The difference is wanted, which takes a computation.
    difference_wanted = Signal()

    def __init__(self, comparison: Comparison) -> None:
        super().__init__()
        self.comparison = comparison
        self.mode = QComboBox()
        self.mode.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.mode.setMinimumContentsLength(9)
        for mode in ComparisonMode:
            self.mode.addItem(mode.value, mode)
        self.turn = QPushButton(f"Turn ({TURN_KEY})")
        self.save = QPushButton("Export…")
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.mode, 1)
        row.addWidget(self.turn)
        row.addWidget(self.save)
        self._timer = QTimer(self)
        self._timer.setInterval(_FLICKER)
        self._timer.timeout.connect(comparison.turn)
        self.mode.activated.connect(self._on_mode)
        self.turn.clicked.connect(self._on_turn)
        comparison.session.viewer.bind_key(TURN_KEY, self._on_key, overwrite=True)

    def close_views(self) -> None:
        """Stop the flicker and let go of the viewer."""
        self._timer.stop()
        self.comparison.close()
        self.comparison.session.viewer.bind_key(TURN_KEY, None)

    def refresh(self) -> None:
        """Show how reference and micrograph are shown, and what can be done."""
        none = "" if self.comparison.layer is not None else _NO_REFERENCE
        allow(
            self.mode,
            "Side by side with one zoom; in turn at the same place; or the difference after gain, "
            "offset and blur are fitted: blue where the micrograph is darker, as at a vacancy, and red where "
            "it is brighter.",
            none,
        )
        allow(
            self.turn,
            "Stop the flicker and turn by hand from the micrograph to the reference and back.",
            none,
        )
        allow(self.save, "Save the reference as a TIFF with the settings of its simulation.", none)
        self.mode.setCurrentIndex(self.mode.findData(self.comparison.mode))
        if self.comparison.mode is not ComparisonMode.FLICKER:
            self._timer.stop()

    def _on_mode(self, index: int) -> None:
        mode = self.mode.itemData(index)
        if mode is ComparisonMode.DIFFERENCE:
            self.difference_wanted.emit()
            return
        self.comparison.set_mode(mode)
        if mode is ComparisonMode.FLICKER:
            self._timer.start()

    def _on_turn(self, *_: Any) -> None:
        self._timer.stop()
        if self.comparison.mode is not ComparisonMode.FLICKER:
            self.comparison.set_mode(ComparisonMode.FLICKER)
        self.comparison.turn()

    def _on_key(self, viewer: Any) -> None:
        if self.comparison.layer is not None:
            self._on_turn()
