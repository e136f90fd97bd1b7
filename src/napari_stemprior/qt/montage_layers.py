"""A thickness–defocus montage as one picture with its values written beside it."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.layers import Image, Points
from numpy.typing import NDArray

from napari_stemprior.qt.layers import ANGSTROM, KEY

#: px between two pictures of a montage.
_GAP = 4


def mosaic(images: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Lay pictures in a grid, thickness downwards and defocus to the right.

    Parameters
    ----------
    images : (T, D, h, w) array

    Returns
    -------
    picture : (H, W) array
        NaN between the pictures; each has its own grey scale from 0 to 1, since thick crystals scatter more.
    corners : (T, D, 2) array
        Pixel (y, x) of the upper left corner of each.
    """
    rows, columns, height, width = images.shape
    picture = np.full(
        (rows * (height + _GAP) - _GAP, columns * (width + _GAP) - _GAP), np.nan, dtype=np.float32
    )
    corners = np.zeros((rows, columns, 2))
    for i in range(rows):
        for j in range(columns):
            y, x = i * (height + _GAP), j * (width + _GAP)
            image = images[i, j]
            low, high = float(image.min()), float(image.max())
            picture[y : y + height, x : x + width] = (image - low) / max(high - low, 1e-12)
            corners[i, j] = y, x
    return picture, corners


def montage_layers(montage: Any, name: str, at: tuple[float, float]) -> tuple[Image, Points]:
    """Make the layers of a montage: the pictures, and their thickness and defocus in words.

    Parameters
    ----------
    montage : Montage
        With ``images`` (T, D, h, w), ``thicknesses`` and ``defoci`` in Å, and ``pixel_size`` in Å/px.
    name : str
        Of the prior.
    at : (float, float)
        Å (y, x) of the upper left corner in the world.
    """
    picture, corners = mosaic(np.asarray(montage.images))
    size = float(montage.pixel_size)
    place = {
        "scale": (size, size),
        "units": ANGSTROM,
        "axis_labels": ("y", "x"),
        "translate": at,
    }
    image = Image(
        picture,
        name=f"{name} montage",
        colormap="gray",
        contrast_limits=(0.0, 1.0),
        metadata={KEY: {"role": "montage", "image": ""}},
        **place,
    )
    texts = [f"{t:g} Å thick, df {d:g} Å" for t in montage.thicknesses for d in montage.defoci]
    labels = Points(
        corners.reshape(-1, 2) + np.array((0.0, 2.0)),
        name=f"{name} montage labels",
        size=1e-3,
        opacity=1.0,
        features={"label": texts},
        text={"string": "{label}", "anchor": "upper_left", "color": "#ffd34d", "size": 9},
        metadata={KEY: {"role": "montage", "image": ""}},
        **place,
    )
    labels.editable = False
    return image, labels
