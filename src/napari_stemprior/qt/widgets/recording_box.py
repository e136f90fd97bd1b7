"""What the scan did to the recording, what was set right, and whether its columns are dark."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.layers import Labels
from qtpy.QtWidgets import QCheckBox, QVBoxLayout, QWidget

from napari_stemprior.errors import StempriorError
from napari_stemprior.qt.jobs.workers import JobRunner
from napari_stemprior.qt.layers.atom_layers import left_out_layer, of_role
from napari_stemprior.qt.layers.insertion import insert_beside
from napari_stemprior.qt.layers.removal import remove_layer
from napari_stemprior.qt.panels.panel import NO_IMAGE, allow
from napari_stemprior.qt.panels.section import small_label
from napari_stemprior.qt.session import Session
from napari_stemprior.workflow.inspect_recording import Recorded, inspect_recording

INVERT = "Columns are dark (ABF, BF): invert"
_TICK, _UNTICK = "tick the box below to invert the image", "untick the box below"


class RecordingBox(QWidget):
    """Says what was set right in the chosen image, shows what was left out, and inverts it.

    Parameters
    ----------
    session : Session
    """

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.session = session
        #: Looks at the recording beside all other work; that it cannot is said by the panel already.
        self.runner = JobRunner(self)
        self.recorded: Recorded | None = None
        #: Layer, frame, pixels, inversion and mask that were looked at.
        self._of: tuple[Any, ...] = ()
        self.said = small_label()
        self.said.setToolTip(
            "<qt>What holds no signal is left out of the analysis: no atom is reported there. The pixels of "
            "the layer stay as they were recorded.</qt>"
        )
        self.show_left_out = QCheckBox("Show what was left out")
        self.invert = QCheckBox(INVERT)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(5)
        for widget in (self.said, self.show_left_out, self.invert):
            layout.addWidget(widget)
        self.show_left_out.clicked.connect(self._on_show)
        self.invert.clicked.connect(session.set_inverted)
        self.runner.failed.connect(self._no_news)
        self.runner.busy_changed.connect(self.refresh)
        session.image_changed.connect(self.refresh)
        session.images_changed.connect(self.refresh)
        session.closing.connect(self._on_closing)
        self.refresh()

    def refresh(self, *_: Any) -> None:
        """Show what is known of the chosen image, and look at it if it is another."""
        session, image = self.session, self.session.image
        now = () if image is None else (image, session.frame, image.data, session.inverted, session.mask)
        if not _same(now, self._of):
            if self.runner.busy:
                self.recorded = None  # it is looked at when the runner is free
            else:
                self._of, self.recorded = now, None
                self._look()
        self._show()

    @property
    def layer(self) -> Labels | None:
        """The layer that shows what was left out."""
        image = self.session.image
        found = None if image is None else of_role(self.session.viewer.layers, "left out", image)
        return found if isinstance(found, Labels) else None

    def _look(self) -> None:
        session = self.session
        if session.image is None:
            return
        try:
            micrograph = session.micrograph()
        except StempriorError:
            return
        how = _UNTICK if session.inverted else _TICK
        self.runner.start(inspect_recording(session.operations, micrograph, how), self._on_looked)

    def _on_looked(self, recorded: Recorded) -> None:
        self.recorded = recorded
        layer, mask = self.layer, recorded.left_out
        if layer is not None:  # of another frame, or of pixels that have changed
            if mask is None or mask.shape != layer.data.shape:
                self.session.viewer.layers.remove(layer)
            elif not np.array_equal(mask, layer.data):
                layer.data = mask
        self._show()

    def _show(self) -> None:
        image, recorded = self.session.image, self.recorded
        said = "" if recorded is None else " ".join(recorded.sentences)
        self.said.setText(f"Recording: {said}" if said else "")
        self.said.setVisible(bool(said))
        self.show_left_out.setVisible(recorded is not None and recorded.left_out is not None)
        self.show_left_out.setChecked(self.layer is not None)
        self.show_left_out.setToolTip(
            "<qt>Draw the pixels that hold no signal (red) and those that were filled from their neighbours "
            "(orange) over the image, in a layer of their own.</qt>"
        )
        self.invert.setChecked(self.session.inverted)
        allow(
            self.invert,
            "Exchange bright and dark in what is analysed: lattice, network and fits look for bright "
            "columns. The layer stays as it is. A training pair is saved as it was analysed.",
            "" if image is not None else NO_IMAGE,
        )

    def _on_show(self, on: bool) -> None:
        image, recorded, layer = self.session.image, self.recorded, self.layer
        viewer = self.session.viewer
        if not on:
            if layer is not None:
                remove_layer(viewer, layer)
        elif layer is None and image is not None and recorded is not None and recorded.left_out is not None:
            insert_beside(viewer, viewer.layers.index(image) + 1, left_out_layer(image, recorded.left_out))
        self._show()

    def _on_closing(self) -> None:
        self.runner.cancel()

    def _no_news(self, error: StempriorError) -> None:
        """Leave it: the panel says what is wrong with an image that is no micrograph."""


def _same(now: tuple[Any, ...], before: tuple[Any, ...]) -> bool:
    """Tell whether layer, frame, pixels, inversion and mask are the same; arrays by identity."""
    if len(now) != len(before):
        return False
    return not now or (
        all(now[i] is before[i] for i in (0, 2, 4)) and (now[1], now[3]) == (before[1], before[3])
    )
