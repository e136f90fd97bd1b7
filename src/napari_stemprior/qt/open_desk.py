"""The desk, opened because a session was opened from napari's own menu or command line."""

from __future__ import annotations

from napari import Viewer, current_viewer
from qtpy.QtCore import QTimer

from napari_stemprior.qt.layers.atom_layers import KEY

#: Milliseconds after which a desk that is open has taken up the layers of a reader.
_LATER = 300


def open_soon() -> None:
    """Open the desk of the present window, unless one takes up the layers that come now."""
    viewer = current_viewer()
    if viewer is not None:
        QTimer.singleShot(_LATER, lambda: _open(viewer))


def _open(viewer: Viewer) -> None:
    window = getattr(viewer, "window", None)
    waits = any("opened" in layer.metadata.get(KEY, {}) for layer in viewer.layers)
    if window is not None and waits:  # else a desk has taken them up
        window.add_plugin_dock_widget("napari-stemprior", "Segment atoms")
