"""As which files the figures of a measurement are saved."""

from __future__ import annotations

from qtpy.QtWidgets import QComboBox

_FORMATS = {
    "PNG": ("png",),
    "SVG": ("svg",),
    "PDF": ("pdf",),
    "PNG and SVG": ("png", "svg"),
    "no figures": (),
}


class FigureFormats(QComboBox):
    """Chooses the formats of figures that are written beside a report."""

    def __init__(self) -> None:
        super().__init__()
        self.addItems(list(_FORMATS))
        self.setToolTip("<qt>Figures of the report, beside those inside its page.</qt>")

    @property
    def chosen(self) -> tuple[str, ...]:
        """The formats, such as ``("png", "svg")``; empty for no figures."""
        return _FORMATS[self.currentText()]
