"""Notifications after the desk is gone."""

from napari.utils.notifications import show_info
from qtpy.QtCore import QCoreApplication, QEvent
from qtpy.QtWidgets import QWidget

from napari_stemprior.qt.widgets.toasts import Toasts


def test_what_is_said_after_the_desk_is_gone_raises_nothing(qtbot):
    desk = QWidget()
    kept = Toasts(desk)  # as PySide6 keeps the object in Python
    desk.deleteLater()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    show_info("Saved the atoms.")
    qtbot.wait(50)
    assert isinstance(kept, Toasts)
