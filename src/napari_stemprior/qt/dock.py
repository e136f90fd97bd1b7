"""What napari docks: the desk, whose libraries are read beside the window so that the window goes on.

To read them takes a second and more. Until then a line says so; what the first micrograph needs follows.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from threading import Thread
from typing import TYPE_CHECKING

from napari.components import ViewerModel
from qtpy.QtCore import Qt, QTimer
from qtpy.QtGui import QCloseEvent
from qtpy.QtWidgets import QLabel, QSizePolicy, QVBoxLayout, QWidget

if TYPE_CHECKING:
    from napari_stemprior.qt.desk import StempriorDesk

_DESK = "napari_stemprior.qt.desk"
#: Reads the built-in crystals, once.
_LIBRARY = "napari_stemprior.workflow.prior_groups"
#: What the first file of an electron microscope, and its preparation, would wait for.
_AFTERWARDS = (
    "napari_stemprior.io.readers.signal_files",
    "rsciio.digitalmicrograph",
    "napari_stemprior.recording",
    "napari_stemprior.registration",
)
#: Milliseconds between two looks whether the libraries are there.
_LOOK = 30


class DeskDock(QWidget):
    """The dock widget of the plugin: holds the desk as soon as it can be made.

    Parameters
    ----------
    napari_viewer : napari.components.ViewerModel
        The viewer, or its model alone.
    """

    def __init__(self, napari_viewer: ViewerModel) -> None:
        super().__init__()
        self._viewer = napari_viewer
        self.desk: StempriorDesk | None = None
        self._label = QLabel("Opening the desk …")
        self._label.setAlignment(Qt.AlignmentFlag.AlignCenter)
        # napari fills what does not ask for all of the height with an empty stretch, above the desk
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._label)
        self._reader = _Reader([_DESK])
        self._reader.start()
        # a timer of this widget, so that nothing looks after it was closed
        self._timer = QTimer(self)
        self._timer.setInterval(_LOOK)
        self._timer.timeout.connect(self._look)
        self._timer.start()

    def opened(self) -> StempriorDesk:
        """Wait for the desk, and return it."""
        self._reader.join()
        self._look()
        assert self.desk is not None
        self.desk.complete()
        return self.desk

    def _look(self) -> None:
        if self._reader.is_alive() or self.desk is not None:
            return
        self._timer.stop()
        if self._reader.error is not None:
            self._label.setText(f"The desk cannot be opened: {self._reader.error}")
            raise self._reader.error
        self.desk = import_module(_DESK).StempriorDesk(self._viewer, at_once=False)
        self._label.hide()
        layout = self.layout()
        assert layout is not None
        layout.addWidget(self.desk)
        self.desk.completed.connect(self._on_completed)

    def _on_completed(self) -> None:
        _Reader(_AFTERWARDS).start()

    def closeEvent(self, event: QCloseEvent | None) -> None:  # noqa: N802
        """Close the desk."""
        self._timer.stop()
        if self.desk is not None:
            self.desk.close()
        super().closeEvent(event)


class _Reader(Thread):
    """Reads modules, and keeps the first error."""

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(name="napari-stemprior: reading libraries")
        self._names = names
        self.error: ImportError | None = None

    def run(self) -> None:
        """Import one after another."""
        try:
            for name in self._names:
                import_module(name)
            if _DESK in self._names:
                import_module(_LIBRARY).prior_groups()
        except ImportError as error:
            self.error = error
