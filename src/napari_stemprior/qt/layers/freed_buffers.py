"""Layers that are removed leave nothing behind that the next painting would read.

VisPy (0.17) leaves the vertex attribute arrays of a program enabled after it has drawn. When the layer goes,
its buffers are freed; an array that is still enabled then points nowhere, and the next ``glDrawArrays`` of
any other layer ends the program with Mesa's software driver. Deleting a Points layer with selected points
did so every time, and leaving the grid did now and then. Each program enables its arrays again before it
draws, so that all are disabled here: when a layer is removed, and before every painting.
"""

from __future__ import annotations

from typing import Any
from weakref import WeakSet

from napari.components import ViewerModel
from qtpy.QtOpenGLWidgets import QOpenGLWidget
from qtpy.QtWidgets import QWidget
from vispy.gloo import gl  # type: ignore[import-untyped]

#: Every OpenGL has as many arrays (``GL_MAX_VERTEX_ATTRIBS``), and no program of napari has more.
_ARRAYS = 16
#: The canvases that are looked after.
_watched: WeakSet[Any] = WeakSet()


class FreedBuffers:
    """Disables the arrays of the canvas when a layer is removed, and from `watch` on before every painting.

    The latter goes on after the desk was closed, whose layers stay.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    inside : QWidget
        A widget in the window of the viewer, at the latest when a layer is removed.
    """

    def __init__(self, viewer: ViewerModel, inside: QWidget) -> None:
        self._viewer = viewer
        self._inside = inside
        # last: when the canvas has let go of the layer
        viewer.layers.events.removed.connect(self._on_removed, position="last")

    def watch(self) -> None:
        """Look after every canvas of the window."""
        for canvas in self._canvases:
            scene = getattr(canvas, "_vispy_canvas", None)
            if scene is not None and scene not in _watched:
                _watched.add(scene)
                scene.events.draw.connect(_disable, position="first")

    def close(self) -> None:
        """Let go of the viewer."""
        self._viewer.layers.events.removed.disconnect(self._on_removed)

    def _on_removed(self, event: Any = None) -> None:
        for canvas in self._canvases:
            if canvas.isValid():  # it has been painted
                canvas.makeCurrent()
                _disable()
                canvas.doneCurrent()

    @property
    def _canvases(self) -> list[QOpenGLWidget]:
        window = self._inside.window()
        return [] if window is None else list(window.findChildren(QOpenGLWidget))


def _disable(event: Any = None) -> None:
    """Disable all arrays of the current context."""
    for array in range(_ARRAYS):
        gl.glDisableVertexAttribArray(array)
