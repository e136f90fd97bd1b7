"""The help of the desk: its keys, and what the mouse does in quick edit."""

from __future__ import annotations

from itertools import groupby

from qtpy.QtWidgets import QDialog, QDialogButtonBox, QLabel, QVBoxLayout, QWidget

from napari_stemprior.qt.widgets.shortcuts import HELP_KEY, MOUSE, SHORTCUTS


class HelpDialog(QDialog):
    """Lists every key; it stays beside the window while a person works on."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Keys of the desk")
        self.text = QLabel(help_text())
        self.text.setWordWrap(True)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.rejected.connect(self.close)
        layout = QVBoxLayout(self)
        layout.addWidget(self.text)
        layout.addWidget(buttons)
        self.setMinimumWidth(460)


def help_text() -> str:
    """Return the help as rich text, made from the table of shortcuts."""
    parts = []
    for group, keys in groupby(SHORTCUTS, key=lambda s: s.group):
        parts.append((group, [(s.shown, s.text) for s in keys]))
    parts.append(("Mouse, in quick edit", list(MOUSE)))
    rows = []
    for group, lines in parts:
        rows.append(f"<tr><td colspan='2'><br><b>{group}</b></td></tr>")
        rows += [f"<tr><td><b>{key}</b>&nbsp;&nbsp;&nbsp;</td><td>{text}</td></tr>" for key, text in lines]
    return (
        f"The keys work while the atoms layer is the active one; <b>{HELP_KEY}</b> opens this help always."
        f"<table cellpadding='2'>{''.join(rows)}</table>"
    )
