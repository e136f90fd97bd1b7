"""A question whose cautious answer leaves something out."""

from __future__ import annotations

from qtpy.QtWidgets import QMessageBox, QWidget


def ask_to_leave_out(
    parent: QWidget, title: str, text: str, consequences: str, otherwise: str
) -> bool | None:
    """Ask whether something is left out, which is the answer by default.

    Parameters
    ----------
    parent : QWidget
    title, text, consequences : str
        Of the window, the question, and what follows from either answer.
    otherwise : str
        What the other button says.

    Returns
    -------
    bool or None
        False leaves it out, True does not, None stops.
    """
    box = QMessageBox(parent)
    box.setIcon(QMessageBox.Icon.Question)
    box.setWindowTitle(title)
    box.setText(text)
    box.setInformativeText(consequences)
    out = box.addButton("Leave them out", QMessageBox.ButtonRole.AcceptRole)
    other = box.addButton(otherwise, QMessageBox.ButtonRole.DestructiveRole)
    box.addButton(QMessageBox.StandardButton.Cancel)
    box.setDefaultButton(out)
    box.exec()
    answer = box.clickedButton()
    return False if answer is out else True if answer is other else None
