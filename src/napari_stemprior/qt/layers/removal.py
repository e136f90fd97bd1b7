"""Layers of ours are taken out of the viewer without a search of the whole memory.

napari (0.9) collects garbage at every removal of a layer, since some Windows drivers fail where what a
layer had on the graphics card is freed later. With torch and napari in memory that takes a third of a
second, in which the window stands still. Elsewhere than on Windows, what there is by then is kept out of
that search, and freed by the next one.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from napari.components import ViewerModel
from napari.layers import Layer

from napari_stemprior.qt.layers.painting import put_off_painting


def remove_layer(viewer: ViewerModel, layer: Layer) -> None:
    """Remove a layer from its viewer, if it is still there."""
    if layer in viewer.layers:
        put_off_painting(viewer)
        with _nothing_to_collect():
            viewer.layers.remove(layer)


@contextmanager
def _nothing_to_collect() -> Iterator[None]:
    if sys.platform == "win32" or gc.get_freeze_count():
        yield
        return
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
