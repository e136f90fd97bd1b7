"""A person who presses one thing after another at a real window, without any plan."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from desk_fakes import add_image, fake_operations
from napari.layers import Image
from napari.utils.notifications import ErrorNotification, notification_manager
from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QApplication

from napari_stemprior.qt.desk import StempriorDesk

#: The largest number of images at a time, and of the actions of a sequence.
_IMAGES, LENGTH = 3, 14


class Log(logging.Handler):
    """Keeps what is logged as an error."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(self.format(record))


@contextmanager
def listening() -> Iterator[Log]:
    """Listen to what is logged."""
    log = Log()
    logging.getLogger().addHandler(log)
    try:
        yield log
    finally:
        logging.getLogger().removeHandler(log)


class RandomDesk:
    """Does what a person can do at a desk; which is left to chance.

    Parameters
    ----------
    viewer : napari.Viewer
    seed : int
    """

    def __init__(self, viewer: Any, seed: int) -> None:
        self.viewer = viewer
        self.rng = np.random.default_rng(seed)
        self.desk: StempriorDesk | None = None
        self._dock: Any = None
        self.names = 0
        #: What was done, for the message of a failure.
        self.done: list[str] = []

    @property
    def actions(self) -> list[Callable[[], None]]:
        """What can be done, the frequent things several times."""
        if self.desk is None:
            return [self.open_desk, self.open_desk, self.open_image, self.delete_layer]
        return [
            self.open_image,
            self.delete_layer,
            self.rename,
            self.undo,
            self.redo,
            self.close_desk,
            *[self.segment] * 3,
            self.cancel,
            *[self.edit] * 3,
            self.switch_image,
            self.pick,
            self.fit,
            self.suggest,
            self.take_suggestion,
            self.simulate,
            self.review,
            self.quick_edit,
            self.rectangle,
            self.colour,
            self.overlay,
            *[self.wait] * 3,
        ]

    def run(self, length: int = LENGTH) -> None:
        """Do so many things, and then wait until nothing runs."""
        self.open_image()
        self.open_desk()
        for _ in range(length):
            action = self.actions[self.rng.integers(len(self.actions))]
            self.done.append(action.__name__)
            action()
            QApplication.processEvents()
        self.settle()

    def settle(self) -> None:
        """Let the work that runs come to its end."""
        while self.desk is not None and any(runner.busy for runner in self._runners):
            QApplication.processEvents()
        for _ in range(3):
            QApplication.processEvents()

    def clear(self) -> None:
        """Close the desk and every layer."""
        self.settle()
        if self.desk is not None:
            self.close_desk()
        self.viewer.layers.clear()
        for _ in range(3):
            QApplication.processEvents()
        QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)  # the closed desks

    @property
    def _runners(self) -> list[Any]:
        desk = self.desk
        assert desk is not None
        return [desk.runner, desk.reference_panel.background, desk.segment_panel._lister]

    @property
    def _editor(self) -> Any:
        return None if self.desk is None else self.desk.session.editor

    def _press(self, button: Any) -> None:
        if button.isEnabled():
            button.click()

    # --- what a person does ---------------------------------------------------------------------
    def open_desk(self) -> None:
        self.desk = StempriorDesk(self.viewer, fake_operations())
        self._dock = self.viewer.window.add_dock_widget(self.desk, area="right", name="desk")

    def close_desk(self) -> None:
        desk, self.desk = self.desk, None
        assert desk is not None
        self.viewer.window.remove_dock_widget(self._dock)
        desk.close()
        desk.deleteLater()

    def open_image(self) -> None:
        if sum(isinstance(layer, Image) for layer in self.viewer.layers) < _IMAGES:
            self.names += 1
            unknown = self.rng.random() < 0.2
            add_image(self.viewer, **({"pixel_size": None} if unknown else {}), name=f"image {self.names}")

    def delete_layer(self) -> None:
        if len(self.viewer.layers):
            layer = self.viewer.layers[int(self.rng.integers(len(self.viewer.layers)))]
            self.done[-1] = f"delete {layer.name}"
            self.viewer.layers.remove(layer)

    def rename(self) -> None:
        if len(self.viewer.layers):
            self.names += 1
            layer = self.viewer.layers[int(self.rng.integers(len(self.viewer.layers)))]
            layer.name = f"renamed {self.names}"

    def switch_image(self) -> None:
        images = self.desk.session.images
        if images:
            self.desk.image_panel.layers.activated.emit(int(self.rng.integers(len(images))))

    def pick(self) -> None:
        names = ("MoS2", "WS2", "SrTiO3 [001]", "graphene")
        self.desk.prior_panel.pick(names[int(self.rng.integers(len(names)))])

    def fit(self) -> None:
        self._press(self.desk.prior_panel.fit)

    def suggest(self) -> None:
        self._press(self.desk.prior_panel.suggest)

    def take_suggestion(self) -> None:
        shown = self.desk.prior_panel.suggestions
        if shown.rowCount():
            shown.cellClicked.emit(0, 0)

    def overlay(self) -> None:
        self._press(self.desk.prior_panel.overlay)

    def simulate(self) -> None:
        self._press(self.desk.reference_panel.simulate)

    def segment(self) -> None:
        if self.desk.session.prior is None:
            self.desk.prior_panel.pick("MoS2")
        self._press(self.desk.segment_panel.segment)

    def cancel(self) -> None:
        self._press(self.desk.segment_panel.cancel)

    def rectangle(self) -> None:
        panel = self.desk.segment_panel
        self._press(panel.part)
        if panel._rectangle is not None and self.rng.random() < 0.7:
            panel._rectangle.add_rectangles([[10.0, 10.0], [10.0, 40.0], [40.0, 40.0], [40.0, 10.0]])

    def edit(self) -> None:
        editor = self._editor
        if editor is None:
            return
        kind = int(self.rng.integers(5))
        rows = self.rng.integers(max(len(editor.rows), 1), size=2).tolist()
        if kind == 0 or not len(editor.rows):
            editor.layer.add(self.rng.uniform(5, 70, 2))
        elif kind == 1:
            editor.move(rows[:1], self.rng.uniform(5, 70, (1, 2)))
        elif kind == 2:
            editor.select(rows)
            self.desk.correct_panel.delete_selected()
        elif kind == 3:
            editor.select(rows)
            self.desk.correct_panel.accept_selected()
        else:
            editor.select(rows)
            editor.layer.remove_selected()

    def undo(self) -> None:
        self.desk.correct_panel.undo_edit()

    def redo(self) -> None:
        self.desk.correct_panel.redo_edit()

    def review(self) -> None:
        panel = self.desk.correct_panel
        self._press(panel.next)
        self._press((panel.accept, panel.reject, panel.fill)[int(self.rng.integers(3))])

    def quick_edit(self) -> None:
        self._press(self.desk.correct_panel.quick)

    def colour(self) -> None:
        self.desk.correct_panel.display.next_quantity()

    def wait(self) -> None:
        self.settle()


def errors() -> list[str]:
    """Return the exceptions that napari was told of; a sentence of ours to the person is none."""
    records = notification_manager.records
    return [str(note.message) for note in records if isinstance(note, ErrorNotification)]
