"""The layer in which a person draws the rectangle to segment again."""

from __future__ import annotations

from napari.layers import Image, Shapes

from napari_stemprior.qt.layers.atom_layers import KEY, layer_id, placed_like, shape_of


def rectangle_layer(image: Image) -> Shapes:
    """Make it for an image."""
    layer = Shapes(
        ndim=2,
        name="rectangle to segment again",
        edge_color="#56b4e9",
        face_color="transparent",
        edge_width=max(shape_of(image)[1] / 200, 0.5),
        metadata={KEY: {"role": "rectangle", "image": layer_id(image)}},
        **placed_like(image),
    )
    layer.mode = "add_rectangle"
    return layer
