"""Which part of an image a person sees."""

from __future__ import annotations

import numpy as np
from napari.components import ViewerModel
from napari.layers import Layer
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: Narrower than this the view cannot be, in screen px; napari says 0 before its window is shown.
_SMALLEST = 100


def pixels_in_view(viewer: ViewerModel, layer: Layer, margin: float = 0.0) -> tuple[Floats, Floats]:
    """Return the corners of the view.

    Parameters
    ----------
    viewer : ViewerModel
    layer : Layer
        Whose pixels are meant.
    margin : float
        What is added to each side, as a part of the view.

    Returns
    -------
    low, high : (2,) arrays
        Pixels (y, x) of the layer, of which some may lie beside it.
    """
    camera = viewer.scene.camera  # napari 0.9 moved the camera into the scene
    size = np.maximum(np.asarray(viewer.canvas.size, float), _SMALLEST)
    half = size / 2 * (1 + 2 * margin) / max(float(camera.zoom), 1e-12)
    centre = np.asarray(camera.center[-2:], float)
    corners = [layer.world_to_data(centre + sign * half)[-2:] for sign in (-1, 1)]
    return np.min(corners, axis=0), np.max(corners, axis=0)
