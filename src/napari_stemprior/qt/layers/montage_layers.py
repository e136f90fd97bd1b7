"""A thickness–defocus montage as one picture with its values written beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Layer, Points, Vectors
from numpy.typing import NDArray

from napari_stemprior.qt.layers.atom_layers import ANGSTROM, KEY

if TYPE_CHECKING:  # it loads torch, which is not needed before there is a montage
    from napari_stemprior.optics.montage import Montage

#: px between two pictures of a montage.
_GAP = 4
#: Colour of what is written and drawn on a montage.
_MARK = "#e8890c"


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


def montage_layers(
    montage: Montage, name: str, at: tuple[float, float], scores: NDArray[np.float64] | None = None
) -> list[Layer]:
    """Make the layers of a montage: the pictures, their thickness and defocus in words, a frame of the best.

    Parameters
    ----------
    montage : Montage
    name : str
        Of the prior.
    at : (float, float)
        Å (y, x) of the upper left corner in the world.
    scores : (T, D) array, optional
        How alike each picture and the micrograph are, -1 to 1; written on them with their rank.
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
    ranks = [] if scores is None else _ranks(scores, corners, height, width)
    texts = [
        *(rows if len(rows) > 1 else ()),
        *columns,
        *ranks,
    ]  # a layer has one thickness, which is its own
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
            "color": _MARK,
            "size": 0.09 * width * size,
            "scaling": True,
        },
        metadata={KEY: {"role": "montage", "image": ""}},
        **place,
    )
    labels.editable = False
    if scores is None:
        return [image, labels]
    best = corners.reshape(-1, 2)[int(np.argmax(scores))] - 0.5
    ends = best + np.array([(0, 0), (0, width), (height, width), (height, 0)], float)
    frame = Vectors(
        np.stack([ends, np.roll(ends, -1, axis=0) - ends], axis=1),
        name=f"{name} montage, most alike",
        edge_color=_MARK,
        edge_width=0.04 * width,
        vector_style="line",
        metadata={KEY: {"role": "montage", "image": ""}},
        **place,
    )
    return [image, labels, frame]


def _ranks(
    scores: NDArray[np.float64], corners: NDArray[np.float64], height: int, width: int
) -> list[tuple[str, tuple[float, float]]]:
    """Return rank and score of each picture, and where they stand: at its lower edge."""
    order = np.argsort(np.argsort(-scores.ravel(), kind="stable"), kind="stable")
    texts = []
    for rank, score, (y, x) in zip(order, scores.ravel(), corners.reshape(-1, 2), strict=True):
        words = f"{'best' if rank == 0 else f'{rank + 1}.'} {score:.3f}"
        texts.append((words, (y + 0.92 * height, x + width / 2)))
    return texts
