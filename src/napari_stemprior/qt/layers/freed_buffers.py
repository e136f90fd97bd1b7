"""Layers that are removed leave nothing behind that the next painting would read.

VisPy (0.17) leaves the vertex attribute arrays of a program enabled after it has drawn. When the layer goes,
its buffers are freed; an array that is still enabled then points nowhere, and the next ``glDrawArrays`` of
any other layer ends the program with Mesa's software driver. Deleting a Points layer with selected points
did so every time. Each program enables its arrays again before it draws, so that all can be disabled here.
"""

from __future__ import annotations

from typing import Any

from napari.components import ViewerModel
from qtpy.QtOpenGLWidgets import QOpenGLWidget
from qtpy.QtWidgets import QWidget
from vispy.gloo import gl  # type: ignore[import-untyped]

#: Every OpenGL has as many arrays (``GL_MAX_VERTEX_ATTRIBS``), and no program of napari has more.
_ARRAYS = 16


class FreedBuffers:
    """Disables the arrays of the canvas when a layer is removed.

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

    def close(self) -> None:
        """Let go of the viewer."""
        self._viewer.layers.events.removed.disconnect(self._on_removed)

    def _on_removed(self, event: Any = None) -> None:
        window = self._inside.window()
        for canvas in [] if window is None else window.findChildren(QOpenGLWidget):
            if canvas.isValid():  # it has been painted
                canvas.makeCurrent()
                for array in range(_ARRAYS):
                    gl.glDisableVertexAttribArray(array)
                canvas.doneCurrent()
