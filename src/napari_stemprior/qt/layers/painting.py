"""Painting waits for a turn of the event loop of its own, so that it does not add up with what it shows.

napari asks for a new picture whenever a layer comes, goes or is shown, and Qt paints it before anybody else
has a turn. Drawn in software, each picture takes as long as the change itself, and of several changes in
several turns only the last picture is of use.
"""

from __future__ import annotations

import contextlib
from weakref import WeakKeyDictionary, WeakSet, ref

from napari.components import ViewerModel
from qtpy.QtCore import QTimer
from qtpy.QtOpenGLWidgets import QOpenGLWidget

from napari_stemprior.qt.jobs.turns import just_worked, worked

#: ms from a change to its picture, unless another change puts it off again.
_LATER = 8


def watch(viewer: ViewerModel, canvas: QOpenGLWidget) -> None:
    """Let a canvas of a viewer be put off from now on."""
    if canvas not in _timers:
        timer = QTimer(canvas)
        timer.setSingleShot(True)
        timer.setInterval(_LATER)
        known = ref(canvas)
        timer.timeout.connect(lambda: _paint(known()))
        _timers[canvas] = timer
    _canvases.setdefault(viewer, WeakSet()).add(canvas)


def put_off_painting(viewer: ViewerModel) -> None:
    """Paint what is changed now in a later turn of the event loop.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
        One without a window is not painted at all.
    """
    for canvas in _canvases.get(viewer, ()):
        with contextlib.suppress(RuntimeError):  # the window was closed
            canvas.setUpdatesEnabled(False)
            _timers[canvas].start()


def _paint(canvas: QOpenGLWidget | None) -> None:
    if canvas is None:
        return
    if just_worked():
        _timers[canvas].start()
        return
    canvas.setUpdatesEnabled(True)
    canvas.repaint()  # now: an update would come with whatever is done in some turn
    worked()


_canvases: WeakKeyDictionary[ViewerModel, WeakSet[QOpenGLWidget]] = WeakKeyDictionary()
_timers: WeakKeyDictionary[QOpenGLWidget, QTimer] = WeakKeyDictionary()
