"""The question whether something is left out: what each button answers."""

from __future__ import annotations

import pytest
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QApplication, QMessageBox, QWidget

from napari_stemprior.qt.widgets.leave_out_box import ask_to_leave_out


@pytest.mark.parametrize(
    ("press", "answer"), [("Leave them out", False), ("Take them", True), ("Cancel", None), (None, False)]
)
def test_every_button_has_its_answer(qtbot, press: str | None, answer: bool | None) -> None:
    parent = QWidget()
    qtbot.addWidget(parent)

    def click() -> None:
        box = QApplication.activeModalWidget()
        assert isinstance(box, QMessageBox)
        names = {button.text().replace("&", ""): button for button in box.buttons()}
        (box.defaultButton() if press is None else names[press]).click()

    QTimer.singleShot(0, click)
    assert ask_to_leave_out(parent, "Title", "3 wait.", "They would be learned.", "Take them") is answer
