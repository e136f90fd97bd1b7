"""How long the arrows of a layer are: one of a round length in the corner of the canvas."""

from __future__ import annotations

import math

from napari.components.overlays import CanvasOverlay
from napari.components.viewer_model import ViewerModel
from napari.layers import Vectors

from napari_stemprior.errors import PixelSizeError
from napari_stemprior.qt.layers.atom_layers import pixel_size_of

#: Under which the overlay is kept in its layer.
NAME = "scale_arrow"
#: px of the canvas: the scale arrow is as long as this or shorter, and never shorter than 0.4 of it.
LONGEST = 100.0


class ScaleArrowOverlay(CanvasOverlay):
    """Shows how long a displacement of a round length is drawn, with its length beside it.

    Attributes
    ----------
    label : str
        What the arrows show.
    font_size : float
        Points.
    """

    label: str = ""
    font_size: float = 10


def add_scale_arrow(layer: Vectors, label: str) -> None:
    """Give a layer of displacements a scale arrow, which is shown and hidden with it.

    Parameters
    ----------
    layer : napari.layers.Vectors
        Whose arrows are displacements in pixels, ``length`` times as long.
    label : str
        What they show.
    """
    from napari_stemprior.qt.layers import scale_arrow_visual

    scale_arrow_visual.register()
    layer._overlays[NAME] = ScaleArrowOverlay(visible=True, label=label, position="bottom_left")


def canvas_pixels(layer: Vectors, viewer: ViewerModel) -> float | None:
    """Return how many pixels of the canvas a displacement of 1 Å is drawn long.

    Returns
    -------
    float or None
        None where the layer has no length unit.
    """
    try:
        size = pixel_size_of(layer)
    except PixelSizeError:
        return None
    if size is None:
        return None
    world, units = float(abs(layer.scale[-1])), viewer.layers.extent.units
    if units is not None:
        world *= float((1 * layer.units[-1]).to(units[-1]).magnitude)
    return float(layer.length) * world / size * float(viewer.scene.camera.zoom)


def round_length(pixels: float) -> float:
    """Return 1, 2 or 5 times a power of ten Å: the largest that is drawn no longer than `LONGEST`.

    Parameters
    ----------
    pixels : float
        Of the canvas for 1 Å.
    """
    most = LONGEST / pixels
    power = math.floor(math.log10(most))
    factor = max(one for one in (1, 2, 5) if one * 10.0**power <= most * (1 + 1e-9))
    return float(factor * 10.0**power)


def length_text(length: float) -> str:
    """Return a length in Å, below 1 Å in pm."""
    return f"{length:g} Å" if length >= 1 else f"{100 * length:g} pm"
