"""What napari compiles at the first use of a Shapes layer, done in a thread when the desk is shown.

With numba installed, napari compiles its triangulation when the first shape is made and again when it is
drawn or selected: half a minute each without a cache, in which the window stands still and a drag is lost.
"""

from __future__ import annotations

import logging
import threading

import numpy as np
from napari.layers import Shapes

_log = logging.getLogger(__name__)
_lock = threading.Lock()
_thread: threading.Thread | None = None


def warm_up() -> threading.Thread:
    """Start the compilation once in a process, and return its thread.

    The thread is no daemon: an interpreter that ends while LLVM compiles would crash.
    """
    global _thread
    with _lock:
        if _thread is None:
            _thread = threading.Thread(target=_use_shapes, name="warm up shapes")
            _thread.start()
        return _thread


def _use_shapes() -> None:
    """Do with a layer that nobody sees what a person does: draw a rectangle, pull at it, select it."""
    try:
        square = np.array([(10, 10), (10, 30), (30, 30), (30, 10)], float)
        layer = Shapes(ndim=2, edge_width=2, face_color="transparent")
        layer.add_rectangles(square)
        layer.selected_data = {0}
        layer.data = [square * 1.5]
        layer.get_value((20.0, 20.0))
        layer.refresh()
        layer.to_labels((40, 40))
    except Exception:  # it only saves time; the person's own first shape tells what is wrong
        _log.debug("the shapes could not be warmed up", exc_info=True)
