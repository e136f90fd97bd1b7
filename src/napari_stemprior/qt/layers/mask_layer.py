"""The layer in which a person paints where no atoms may be."""

from __future__ import annotations

import numpy as np
from napari.layers import Image, Labels
from napari.utils.colormaps import DirectLabelColormap
from numpy.typing import NDArray

from napari_stemprior.qt.layers.atom_layers import KEY, layer_id, placed_like, shape_of

_COLOURS = {None: "#cc3311", 0: (0, 0, 0, 0), 1: "#cc3311"}
#: Brush in parts of the shorter side of the image.
_BRUSH = 1 / 20


def mask_layer(image: Image, mask: NDArray[np.bool_] | None) -> Labels:
    """Make it for an image, with the mask that it has."""
    shape = shape_of(image)
    data = np.zeros(shape, np.uint8) if mask is None else mask.astype(np.uint8)
    layer = Labels(
        data,
        name=f"{image.name} mask",
        opacity=0.4,
        colormap=DirectLabelColormap(color_dict=_COLOURS),
        metadata={KEY: {"role": "mask", "image": layer_id(image)}},
        **placed_like(image),
    )
    layer.brush_size = float(np.clip(round(min(shape) * _BRUSH), 2, 60))
    return layer
