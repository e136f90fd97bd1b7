"""A thickness–defocus montage as one picture with its values written beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Points
from numpy.typing import NDArray

from napari_stemprior.qt.layers.atom_layers import ANGSTROM, KEY

if TYPE_CHECKING:  # it loads torch, which is not needed before there is a montage
    from napari_stemprior.optics.montage import Montage

#: px between two pictures of a montage.
_GAP = 4


def corners_of(shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return the (T, D, 2) pixels (y, x) of the upper left corners of the pictures of a montage.

    Parameters
    ----------
    shape : (T, D, h, w)
    """
    rows, columns, height, width = shape
    steps = np.stack(np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij"), -1)
    corners: NDArray[np.float64] = steps * np.array((height + _GAP, width + _GAP), float)
    return corners


def montage_layers(montage: Montage, name: str, at: tuple[float, float]) -> tuple[Image, Points]:
    """Make the layers of a montage: the pictures, and their thickness and defocus in words.

    Parameters
    ----------
    montage : Montage
    name : str
        Of the prior.
    at : (float, float)
        Å (y, x) of the upper left corner in the world.
    """
    corners = corners_of(montage.images.shape)
    size = float(montage.pixel_size)
    place: dict[str, Any] = {
        "scale": (size, size),
        "units": ANGSTROM,
        "axis_labels": ("y", "x"),
        "translate": at,
    }
    image = Image(
        montage.picture(_GAP),
        name=f"{name} montage",
        colormap="gray",
        contrast_limits=(0.0, 1.0),
        metadata={KEY: {"role": "montage", "image": ""}},
        **place,
    )
    height, width = montage.images.shape[2:]
    rows = [
        (f"{t:g} Å", (y + height / 2, -0.3 * width))
        for t, (y, _) in zip(montage.thicknesses, corners[:, 0], strict=True)
    ]
    columns = [
        (f"df {d:g} Å", (-0.12 * height, x + width / 2))
        for d, (_, x) in zip(montage.defoci, corners[0], strict=True)
    ]
    texts = [*(rows if len(rows) > 1 else ()), *columns]  # a layer has one thickness, which is its own
    labels = Points(
        np.array([yx for _, yx in texts]),
        name=f"{name} montage labels",
        size=1e-3,
        face_color="transparent",
        border_width=0,
        opacity=1.0,
        features={"label": [text for text, _ in texts]},
        # the words grow with the pictures, so that they never cover each other
        text={
            "string": "{label}",
            "anchor": "center",
            "color": "#e8890c",
            "size": 0.09 * width * size,
            "scaling": True,
        },
        metadata={KEY: {"role": "montage", "image": ""}},
        **place,
    )
    labels.editable = False
    return image, labels
