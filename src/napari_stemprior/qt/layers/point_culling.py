"""Very many atoms: the layer holds those in view, and from afar a picture stands for all of them.

A Points layer repaints every point after every edit; at 50,000 that takes a good part of a second.
Above `LIMIT` rows the layer is given those in view only; where the view holds more than `FLUID`, no
single atom can be told on the screen, and each is drawn as a dot of an image instead.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.layers import Image
from numpy.typing import NDArray
from qtpy.QtCore import QObject, QTimer

from napari_stemprior.qt.editing.atom_editor import AtomEditor
from napari_stemprior.qt.editing.atom_edits import Rows
from napari_stemprior.qt.layers.atom_layers import KEY, layer_id, placed_like, shape_of
from napari_stemprior.qt.layers.insertion import insert_beside
from napari_stemprior.qt.layers.view import pixels_in_view
from napari_stemprior.qt.session import Session
from napari_stemprior.qt.widgets.drawing import DIM, ring_colours

#: Up to so many rows the layer holds all.
LIMIT = 20_000
#: So many points are fluid on a computer without a graphics card.
FLUID = 6_000
#: The window reaches beyond the view by this part of it, so that small moves need no new one.
_MARGIN = 0.25
#: Sides of the picture in px at most, and wait after a move of the camera in ms.
_LARGEST, _DELAY = 2048, 60


class PointCulling(QObject):
    """Chooses the rows that the atoms layer holds, as the camera moves.

    Parameters
    ----------
    session : Session
    parent : QObject, optional
    """

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.session = session
        self._editor: AtomEditor | None = None
        self._window: tuple[Any, ...] = ()
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_DELAY)
        self._timer.timeout.connect(self.update)
        session.viewer.scene.camera.events.connect(self._on_camera)

    def bind(self, editor: AtomEditor | None) -> None:
        """Work for another editor."""
        if self._editor is not None:
            self._editor.choose_window = None
            self._editor.changed.disconnect(self._draw_picture)
            self._editor.restyled.disconnect(self._draw_picture)
        self._editor = editor
        if editor is not None:
            editor.choose_window = self.choose
            editor.changed.connect(self._draw_picture)
            editor.restyled.connect(self._draw_picture)
        self.update()

    def close(self) -> None:
        """Let go of the viewer."""
        self._timer.stop()
        self.session.viewer.scene.camera.events.disconnect(self._on_camera)
        self.bind(None)

    @property
    def far(self) -> bool:
        """Whether the picture stands for the atoms."""
        return self._editor is not None and self._editor.window is not None and not len(self._editor.window)

    def update(self) -> None:
        """Give the layer the rows of the present view."""
        editor = self._editor
        if editor is None:
            return
        if editor.window is not None and len(editor.window) and self._covers():
            return
        was_far = self.far
        editor.set_window(self.choose())
        self._draw_picture()
        if self.far != was_far:
            editor.restyled.emit()

    def choose(self) -> Rows | None:
        """Return the rows in view; none where there are too many, None for all of few."""
        editor = self._editor
        if editor is None or len(editor.history) <= LIMIT:
            return None
        low, high = self._view(_MARGIN)
        self._window = (low, high)
        inside = ((editor.yx >= low) & (editor.yx <= high)).all(axis=1)
        rows = np.flatnonzero(inside)
        if len(rows) > FLUID:
            low, high = self._view(0.02)
            self._window = (low, high)
            rows = np.flatnonzero(((editor.yx >= low) & (editor.yx <= high)).all(axis=1))
        return rows if len(rows) <= FLUID else rows[:0]

    # --- inside -------------------------------------------------------------------------------
    def _on_camera(self, event: Any = None) -> None:
        if self._editor is not None and len(self._editor.history) > LIMIT:
            self._timer.start()

    def _covers(self) -> bool:
        """Whether the rows that the layer holds still are those in view."""
        if not self._window:
            return False
        low, high = self._view(0.0)
        mine_low, mine_high = self._window
        wide = (mine_high - mine_low).max() <= 2.5 * (high - low).max()  # zoomed in: fewer points will do
        return bool((low >= mine_low).all() and (high <= mine_high).all() and wide)

    def _view(self, margin: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the corners of the view in pixels of the image."""
        assert self._editor is not None
        return pixels_in_view(self.session.viewer, self._editor.layer, margin)

    def _draw_picture(self) -> None:
        """Draw every shown row as a dot, or take the picture away."""
        viewer, image = self.session.viewer, self.session.image
        picture = next((lay for lay in viewer.layers if _is_picture(lay, image)), None)
        editor = self._editor
        if editor is None or image is None or not self.far or editor.layer not in viewer.layers:
            if picture is not None:
                picture.visible = False
            return
        shape = shape_of(image)
        step = max(1.0, max(shape) / _LARGEST)
        size = (int(np.ceil(shape[0] / step)), int(np.ceil(shape[1] / step)))
        data = dots(size, editor.yx[editor.shown] / step, _colours(editor)[editor.shown])
        if picture is not None and picture.data.shape == data.shape:
            picture.data = data
            picture.visible = editor.layer.visible
            return
        place = placed_like(image)
        place["scale"] = tuple(np.array(place["scale"]) * step)
        layer = Image(
            data,
            rgb=True,
            name="atoms from afar",
            metadata={KEY: {"role": "picture", "image": layer_id(image)}},
            **place,
        )
        insert_beside(viewer, viewer.layers.index(editor.layer), layer)


def dots(shape: tuple[int, int], yx: NDArray[np.float64], colours: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Draw places as dots of 2 x 2 px.

    Parameters
    ----------
    shape : (int, int)
        Rows and columns of the picture.
    yx : (N, 2) array
        Its pixels.
    colours : (N, 4) array of uint8

    Returns
    -------
    (H, W, 4) array of uint8
        Transparent elsewhere.
    """
    picture = np.zeros((*shape, 4), np.uint8)
    corner = np.floor(yx).astype(int)
    for dy in (0, 1):
        for dx in (0, 1):
            y, x = corner[:, 0] + dy, corner[:, 1] + dx
            inside = (y >= 0) & (y < shape[0]) & (x >= 0) & (x < shape[1])
            picture[y[inside], x[inside]] = colours[inside]
    return picture


def _colours(editor: AtomEditor) -> NDArray[np.uint8]:
    colours = ring_colours(editor.rows, editor.colouring)
    colours[editor.dimmed, 3] *= DIM
    return np.asarray(np.rint(255 * colours), np.uint8)


def _is_picture(layer: Any, image: Any) -> bool:
    kept = layer.metadata.get(KEY, {})
    return image is not None and kept.get("role") == "picture" and kept.get("image") == layer_id(image)
