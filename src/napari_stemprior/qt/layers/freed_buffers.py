"""Layers that are removed leave nothing behind that the next painting would read.

VisPy (0.17) leaves the vertex attribute arrays of a program enabled after it has drawn. When the layer goes,
its buffers are freed; an array that is still enabled then points nowhere, and the next ``glDrawArrays`` of
any other layer ends the program with Mesa's software driver. Deleting a Points layer with selected points
did so every time. Each program enables its arrays again before it draws, so that all are disabled here: when
a layer is removed, and before every painting.

When a layer is removed, napari (0.9) also executes what waits to be drawn, in whatever context is current:
buffers that other layers had just been given then are nowhere. So the context of the canvas is made current
before.
"""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary, ref

from napari.components import ViewerModel
from qtpy.QtOpenGLWidgets import QOpenGLWidget
from qtpy.QtWidgets import QWidget
from vispy.gloo import gl  # type: ignore[import-untyped]

from napari_stemprior.qt.layers.painting import watch

#: Every OpenGL has as many arrays (``GL_MAX_VERTEX_ATTRIBS``), and no program of napari has more.
_ARRAYS = 16


def look_after_canvases(viewer: ViewerModel, window: QWidget | None) -> None:
    """Keep the canvases of a window from reading what is freed, as long as they live.

    It goes on after the desk was closed, whose layers stay.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    window : QWidget, optional
        The one that shows the viewer.
    """
    for canvas in [] if window is None else window.findChildren(QOpenGLWidget):
        if canvas not in _keepers:
            _keepers[canvas] = _Keeper(viewer, canvas)
            watch(viewer, canvas)


class _Keeper:
    """Looks after one canvas of a viewer."""

    def __init__(self, viewer: ViewerModel, canvas: QOpenGLWidget) -> None:
        self._canvas = ref(canvas)
        viewer.layers.events.removing.connect(self._on_removing)
        # last: when the canvas has let go of the layer
        viewer.layers.events.removed.connect(self._on_removed, position="last")
        scene = getattr(canvas, "_vispy_canvas", None)
        if scene is not None:
            scene.events.draw.connect(_disable, position="first")

    def _on_removing(self, event: Any = None) -> None:
        self._make_current()

    def _on_removed(self, event: Any = None) -> None:
        if self._make_current():
            _disable()

    def _make_current(self) -> bool:
        canvas = self._canvas()
        try:
            if canvas is None or not canvas.isValid():  # it has not been painted
                return False
            canvas.makeCurrent()
        except RuntimeError:  # the window was closed
            return False
        return True


_keepers: WeakKeyDictionary[QOpenGLWidget, _Keeper] = WeakKeyDictionary()


def _disable(event: Any = None) -> None:
    """Disable all arrays of the current context."""
    for array in range(_ARRAYS):
        gl.glDisableVertexAttribArray(array)
