"""Layers of ours come beside what a person works on: what was selected stays so."""

from __future__ import annotations

from napari.components import ViewerModel
from napari.layers import Layer

from napari_stemprior.qt.layers.painting import put_off_painting


def insert_beside(viewer: ViewerModel, index: int, layer: Layer) -> None:
    """Insert a layer without selecting it, and paint it in a later turn of the event loop.

    napari selects every new layer; to show its controls and then again those of the selected one takes as
    long as half of the insertion.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    index : int
        Of the layer that it comes below.
    layer : napari.layers.Layer
    """
    put_off_painting(viewer)
    selection = viewer.layers.selection
    active = selection.active
    if active is None:
        viewer.layers.insert(index, layer)
        return
    with selection.events.blocker_all():
        viewer.layers.insert(index, layer)
        selection.active = active


def reveal(viewer: ViewerModel, layer: Layer, *, visible: bool = True) -> None:
    """Show a layer that was inserted hidden; its first painting, which takes long, has a turn of its own.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    layer : napari.layers.Layer
    visible : bool
        Whether it is to be seen at all.
    """
    put_off_painting(viewer)
    layer.visible = visible
