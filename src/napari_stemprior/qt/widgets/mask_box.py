"""Paints a mask where no atoms may be; it joins what holds no signal, so everything heeds it."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.layers import Labels
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from napari_stemprior.qt.layers.atom_layers import of_role, shape_of
from napari_stemprior.qt.layers.mask_layer import mask_layer
from napari_stemprior.qt.panels.panel import NO_IMAGE, allow
from napari_stemprior.qt.panels.section import small_label
from napari_stemprior.qt.session import Session

#: After so many ms without a stroke, an undo of napari's own counts as done.
_DELAY = 150


class MaskBox(QWidget):
    """Makes the layer in which a person paints, and says what the mask of the chosen image covers.

    Parameters
    ----------
    session : Session
    """

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.session = session
        self._bound: Labels | None = None
        self.paint = QPushButton("Paint a mask")
        self.clear = QPushButton("Clear mask")
        self.said = small_label()
        row = QHBoxLayout()
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(5)
        row.addWidget(self.paint, 1)
        row.addWidget(self.clear, 1)
        rows = QVBoxLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.setSpacing(3)
        rows.addLayout(row)
        rows.addWidget(self.said)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_DELAY)
        self._timer.timeout.connect(self._take)
        self.paint.clicked.connect(self.start)
        self.clear.clicked.connect(self.forget)
        for signal in (session.image_changed, session.images_changed, session.atoms_changed):
            signal.connect(self.refresh)
        session.closing.connect(self._let_go)
        self.refresh()

    @property
    def layer(self) -> Labels | None:
        """The layer in which the mask of the chosen image is painted."""
        image = self.session.image
        found = None if image is None else of_role(self.session.viewer.layers, "mask", image)
        return found if isinstance(found, Labels) else None

    def start(self, *_: Any) -> None:
        """Let a person paint; the mask that the image has is in the layer."""
        session, image = self.session, self.session.image
        if image is None:
            return
        layer = self.layer
        if layer is None:
            layer = mask_layer(image, session.mask)
            session.viewer.add_layer(layer)
        session.activate(layer)
        layer.selected_label, layer.mode = 1, "paint"
        self.refresh()

    def forget(self, *_: Any) -> None:
        """Take the mask away; in the layer napari's undo (Ctrl+Z) brings it back."""
        layer = self.layer
        if layer is not None:
            painted = np.nonzero(layer.data)
            if len(painted[0]):
                layer.data_setitem(painted, 0)
        self._timer.stop()
        self.session.set_mask(None)

    def refresh(self, *_: Any) -> None:
        """Follow the layer of the chosen image, and say how much is masked."""
        layer, session = self.layer, self.session
        if layer is not self._bound:
            self._let_go()
            self._bound = layer
            if layer is not None:
                layer.events.paint.connect(self._on_paint)
                layer.events.data.connect(self._take)
                layer.events.set_data.connect(self._take_later)
        none = "" if session.image is not None else NO_IMAGE
        allow(
            self.paint,
            "Paint where no atoms may be, in a layer of its own: contamination, a second flake, a torn edge. "
            "What is painted counts as no signal for the fit, the network, the review and the measurements, "
            "in every frame of a stack. <b>2</b> paints, <b>1</b> erases, <b>3</b> draws a polygon, "
            "<b>[</b> and <b>]</b> change the brush, Ctrl+Z undoes. The mask stays if its layer is deleted.",
            none,
        )
        allow(
            self.clear, "Take the mask away.", none, "" if session.mask is not None else "There is no mask."
        )
        self.said.setText(self._in_words())
        self.said.setVisible(bool(self.said.text()))

    # --- inside -------------------------------------------------------------------------------
    def _in_words(self) -> str:
        mask, editor, image = self.session.mask, self.session.editor, self.session.image
        if mask is None or image is None:
            return ""
        text = f"Mask: {100 * mask.mean():.1f} % of the image."
        if editor is not None and len(editor.history):
            at = np.clip(np.rint(editor.yx).astype(int), 0, np.array(shape_of(image)) - 1)
            status = editor.history.column("status")
            count = int((mask[at[:, 0], at[:, 1]] & ~np.isin(status, ("rejected", "vacancy"))).sum())
            if count:
                they = "atom lies in it; it goes" if count == 1 else "atoms lie in it; they go"
                text += f" {count} {they} when you segment again, but for what you edited."
        return text

    def _on_paint(self, *_: Any) -> None:
        """Take a stroke of the mouse, which is done; what a program paints, napari tells beforehand."""
        self._take()
        self._take_later()

    def _take_later(self, *_: Any) -> None:
        self._timer.start()

    def _take(self, *_: Any) -> None:
        """Give what is painted to the session."""
        self._timer.stop()
        layer, image = self._bound, self.session.image
        if layer is None or image is None or layer is not self.layer or layer.data.shape != shape_of(image):
            return
        self.session.set_mask(np.asarray(layer.data) > 0)

    def _let_go(self) -> None:
        layer, self._bound = self._bound, None
        self._timer.stop()
        if layer is not None:
            layer.events.paint.disconnect(self._on_paint)
            layer.events.data.disconnect(self._take)
            layer.events.set_data.disconnect(self._take_later)
