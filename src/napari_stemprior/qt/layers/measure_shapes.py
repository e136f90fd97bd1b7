"""The layer in which a person draws where to measure: rectangles and polygons, and lines of profiles."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from napari.layers import Image, Shapes

from napari_stemprior.qt.layers.atom_layers import KEY, layer_id, placed_like, shape_of

ROLE = "measure here"
Corners = tuple[tuple[float, float], ...]


def shapes_layer(image: Image) -> Shapes:
    """Make it for an image."""
    layer = Shapes(
        ndim=2,
        name=ROLE,
        edge_color="#009e73",
        face_color="transparent",
        edge_width=max(shape_of(image)[1] / 250, 0.5),
        metadata={KEY: {"role": ROLE, "image": layer_id(image)}},
        **placed_like(image),
    )
    layer.mode = "add_rectangle"
    return layer


def drawn_region(layer: Shapes | None) -> Corners | None:
    """Return the corners (y, x) of what was drawn last that is no line, pixels; None if nothing is."""
    if layer is None:
        return None
    for data, kind in zip(reversed(layer.data), reversed(layer.shape_type), strict=True):
        corners = np.asarray(data, float)[:, -2:]
        if kind == "ellipse":
            middle, half = corners.mean(0), np.ptp(corners, axis=0) / 2
            angle = np.linspace(0, 2 * np.pi, 48, endpoint=False)
            corners = middle + half * np.stack([np.sin(angle), np.cos(angle)], axis=1)
        if kind in ("rectangle", "polygon", "ellipse") and len(corners) > 2:
            return tuple((float(y), float(x)) for y, x in corners)
    return None


def drawn_lines(layer: Shapes | None) -> list[tuple[tuple[float, float], tuple[float, float]]]:
    """Return start and end (y, x) of each line, and of each part of a path, pixels."""
    lines: list[tuple[tuple[float, float], tuple[float, float]]] = []
    if layer is None:
        return lines
    for data, kind in zip(layer.data, layer.shape_type, strict=True):
        if kind in ("line", "path"):
            places = [(float(y), float(x)) for y, x in np.asarray(data, float)[:, -2:]]
            lines += list(pairwise(places))
    return lines
