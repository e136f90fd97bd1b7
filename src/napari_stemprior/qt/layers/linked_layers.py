"""Layers that come together from a reader: an image, its atoms, and the region that was reviewed.

They find one another by a word in their metadata, since a layer that comes from a reader cannot know the id
that its image will get.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
from napari.layers import Image, Points, Shapes

from napari_stemprior.qt.layers.atom_layers import KEY, LINK, new_atoms_layer, region_layer


def linked_atoms(
    image: Image, rows: pd.DataFrame, pixel_size: float, diameter: float, word: str, **kept: Any
) -> Points:
    """Make the layer of atoms that came with an image.

    Parameters
    ----------
    image : napari.layers.Image
    rows : pandas.DataFrame
        The columns of an atom table.
    pixel_size : float
        Å/px.
    diameter : float
        Of an atom's ring, Å.
    word : str
        That of the image.
    **kept
        What else the metadata keep for the desk.
    """
    empty = new_atoms_layer(image, pixel_size, diameter)
    layer: Points = Points(
        rows[["y_px", "x_px"]].to_numpy(float),
        features=rows,
        name=empty.name,
        face_color="transparent",
        border_width=0.14,
        border_width_is_relative=True,
        size=diameter / pixel_size,
        # a reader's layer loses its present size, see `AtomEditor`
        metadata={
            KEY: {
                "role": "atoms",
                "image": "",
                LINK: word,
                "pixel_size": pixel_size,
                "ring": diameter / pixel_size,
                **kept,
            }
        },
        scale=empty.scale,
        translate=empty.translate,
        units=empty.units,
        axis_labels=empty.axis_labels,
    )
    return layer


def linked_region(image: Image, outlines: Sequence[tuple[str, Any]], word: str) -> Shapes:
    """Make the layer of the region that was reviewed, which came with an image.

    Parameters
    ----------
    image : napari.layers.Image
    outlines : sequence of (str, (N, 2) array-like)
        napari's type of shape, and its corners as pixels (y, x).
    word : str
        That of the image.
    """
    region = region_layer(image)
    region.metadata[KEY] = {"role": "region", "image": "", LINK: word}
    region.add([corners for _, corners in outlines], shape_type=[kind for kind, _ in outlines])
    return region
