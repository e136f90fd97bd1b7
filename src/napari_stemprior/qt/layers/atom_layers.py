"""Conversions between napari layers and the value classes: one function for each.

Every layer made here carries the scale, translation, units and axis labels of the image that it
belongs to, so its data are pixels (y, x) and its world coordinates are Å.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from napari.layers import Image, Labels, Layer, Points, Shapes
from napari.utils.colormaps import DirectLabelColormap
from numpy.typing import NDArray

from napari_stemprior.atoms import COLUMNS, AtomTable
from napari_stemprior.errors import ExportError, PixelSizeError
from napari_stemprior.io.micrograph import Micrograph
from napari_stemprior.recording.image_check import grey
from napari_stemprior.recording.pixel_size_range import checked_pixel_size
from napari_stemprior.recording.stored_image import is_stored

#: The key under which our layers keep what they are in ``layer.metadata``.
KEY = "stemprior"
#: And under which, in there, the word stands by which layers that were opened together find one another.
LINK = "opened_together"
ANGSTROM = ("angstrom", "angstrom")
#: Diameter of an atom's ring as a part of the distance to its neighbour.
RING = 0.55

#: Of pixels without signal and of those filled from their neighbours.
_LEFT_OUT_COLOURS = {None: (0, 0, 0, 0), 0: (0, 0, 0, 0), 1: "#d62728", 2: "#ff9f1c"}

LayerData = tuple[Any, dict[str, Any], str]


def role_of(layer: Layer) -> str:
    """Say what one of our layers is (``"atoms"``, ``"lattice"``, ...); empty for a foreign layer."""
    return str(layer.metadata.get(KEY, {}).get("role", ""))


def owner_of(layer: Layer) -> str:
    """Return the id of the image that one of our layers belongs to."""
    return str(layer.metadata.get(KEY, {}).get("image", ""))


def path_of(layer: Layer) -> Path | None:
    """Return the file that a layer was read from, by napari or by the desk; None where there is none.

    What the desk knows wins: of an image of a session, napari knows the session file.
    """
    path = layer.metadata.get(KEY, {}).get("path") or layer.source.path
    return Path(path) if path else None


def layer_id(layer: Layer) -> str:
    """Return an id of a layer that outlives a new name."""
    return str(layer.unique_id)


def pixel_size_of(layer: Layer) -> float | None:
    """Return the pixel size of a layer in Å/px, or None where its units are no length.

    Raises
    ------
    PixelSizeError
        If the pixels are not square.
    """
    sizes = []
    for scale, unit in zip(layer.scale[-2:], layer.units[-2:], strict=True):
        angstrom = _in_angstrom(unit)
        if angstrom is None:
            return None
        sizes.append(abs(float(scale)) * angstrom)
    if not np.isclose(sizes[0], sizes[1], rtol=5e-3):
        raise PixelSizeError(
            f"{layer.name}: the pixels are {sizes[0]:.4g} x {sizes[1]:.4g} Å; "
            "resample the image to square pixels."
        )
    return float(np.mean(sizes))


@lru_cache(maxsize=64)
def _in_angstrom(unit: Any) -> float | None:
    """Return a unit in Å, or None where it is no length; it is asked at every refresh of a panel."""
    if dict(unit.dimensionality) != {"[length]": 1}:
        return None
    return float((1 * unit).to("angstrom").magnitude)


def set_pixel_size(layer: Layer, pixel_size: float) -> None:
    """Give a layer its pixel size in Å/px as scale and units of its last two axes."""
    size = checked_pixel_size(pixel_size, layer.name)
    layer.units = (*layer.units[:-2], *ANGSTROM)
    layer.scale = np.array((*layer.scale[:-2], size, size))


def micrograph_from_layer(layer: Image, step: Sequence[int] = ()) -> Micrograph:
    """Take the micrograph out of an image layer.

    Parameters
    ----------
    layer : napari.layers.Image
    step : sequence of int
        Where a stack stands; one index for each axis of the layer, the last two are ignored.

    Raises
    ------
    MicrographError, PixelSizeError
        If it is a colour image rather than a grey one saved in colour, or `Micrograph` refuses it.
    """
    data = layer.data[0] if layer.multiscale else layer.data
    if layer.rgb:
        channels = np.asarray(data)  # grey, where a program saved a grey picture in colour
        data = grey(channels, layer.name, alpha=channels.shape[-1] == 4)
    if data.ndim > 2:
        leading = [min(max(int(i), 0), n - 1) for i, n in zip(step, data.shape[:-2], strict=False)]
        data = data[tuple(leading)] if len(leading) == data.ndim - 2 else data[(0,) * (data.ndim - 2)]
    return Micrograph(
        data if is_stored(data) else np.asarray(data),
        pixel_size_of(layer),
        name=layer.name,
        source=path_of(layer),
        metadata=dict(layer.metadata.get(KEY, {}).get("source", {})),
        excluded=mask_of(layer),
    )


def mask_of(image: Image) -> NDArray[np.bool_] | None:
    """Return where a person wants no atoms on an image, (H, W); None where that is nowhere."""
    mask: NDArray[np.bool_] | None = image.metadata.get(KEY, {}).get("mask")
    return None if mask is None or mask.shape != shape_of(image) else mask


def layer_from_micrographs(micrographs: Sequence[Micrograph]) -> list[LayerData]:
    """Turn the micrographs of one file into image layers; equal frames become one stack."""
    first = micrographs[0]
    stack = len(micrographs) > 1 and all(
        m.image.shape == first.image.shape and m.pixel_size == first.pixel_size for m in micrographs
    )
    if stack:
        name = first.name.rpartition(" [")[0] or first.name
        return [_image_data(np.stack([m.image for m in micrographs]), first, name)]
    return [_image_data(m.image, m, m.name) for m in micrographs]


def _image_data(image: NDArray[np.float32], micrograph: Micrograph, name: str) -> LayerData:
    extra = image.ndim - 2
    size = micrograph.pixel_size
    low, high = np.percentile(image, (0.5, 99.8))
    meta: dict[str, Any] = {
        "name": name,
        "colormap": "gray",
        "axis_labels": (*("frame",) * extra, "y", "x"),
        "metadata": {KEY: {"role": "micrograph", "source": micrograph.metadata}},
    }
    if high > low:
        meta["contrast_limits"] = (float(low), float(high))
    if size is not None:
        meta["scale"] = (*(1.0,) * extra, size, size)
        meta["units"] = (*("pixel",) * extra, *ANGSTROM)
    return image, meta, "image"


def shape_of(image: Image) -> tuple[int, int]:
    """Return rows and columns of an image layer, of one frame if it is a stack."""
    shape = (image.data[0] if image.multiscale else image.data).shape
    height, width = (shape[:-1] if image.rgb else shape)[-2:]
    return int(height), int(width)


def placed_like(image: Image) -> dict[str, Any]:
    """Return the keyword arguments that lay a two-dimensional layer of pixels on an image."""
    return {
        "scale": tuple(image.scale[-2:]),
        "translate": tuple(image.translate[-2:]),
        "units": tuple(image.units[-2:]),
        "axis_labels": ("y", "x"),
    }


def follow(layer: Layer, image: Image) -> None:
    """Lay one of our layers on its image again, after the image got another pixel size."""
    step = int(layer.metadata.get(KEY, {}).get("step", 1))  # of a map with larger pixels
    layer.units = tuple(image.units[-2:])
    layer.scale = np.array(image.scale[-2:]) * step
    layer.translate = tuple(np.array(image.translate[-2:]) + (step - 1) / 2 * np.array(image.scale[-2:]))


def new_atoms_layer(image: Image, pixel_size: float, diameter: float) -> Points:
    """Make the empty Points layer that will hold the atoms of an image.

    Parameters
    ----------
    image : napari.layers.Image
    pixel_size : float
        Å/px.
    diameter : float
        Of an atom's ring, Å.
    """
    layer: Points = Points(
        np.empty((0, 2)),
        name=f"{image.name} atoms",
        face_color="transparent",
        border_width=0.14,
        border_width_is_relative=True,
        size=diameter / pixel_size,
        metadata={
            KEY: {"role": "atoms", "image": layer_id(image), "pixel_size": pixel_size, "provenance": {}}
        },
        **placed_like(image),
    )
    layer.current_size = diameter / pixel_size
    return layer


def rows_from_layer(layer: Points) -> pd.DataFrame:
    """Read the rows of an atom table from a Points layer; what its features lack gets the defaults."""
    features = layer.features
    columns: dict[str, Any] = {
        c: features[c].to_numpy() for c in COLUMNS if c in features and c not in ("y_px", "x_px")
    }
    ids = columns.get("atom_id")
    if ids is not None and (pd.isna(ids).any() or len(set(ids)) < len(ids)):
        del columns["atom_id"]
    return AtomTable.from_positions(layer.data[:, -2:], 1.0, **columns).rows


def table_from_layer_data(data: Any, meta: dict[str, Any]) -> AtomTable:
    """Read an atom table from the plain data and attributes that napari hands to a writer.

    Raises
    ------
    ExportError
        If the layer has no length unit, so that positions in Å cannot be told.
    """
    layer = Points(
        data, **{k: meta[k] for k in ("features", "scale", "units", "name", "metadata") if k in meta}
    )
    pixel_size = pixel_size_of(layer)
    if pixel_size is None:
        raise ExportError(
            f"{layer.name}: the layer has no length unit, so positions in Å are unknown; "
            "set its units and scale, or save it as napari points."
        )
    kept = layer.metadata.get(KEY, {})
    # a large table shows its visible part only, and keeps the whole one beside it
    rows = kept["rows"] if kept.get("rows") is not None else rows_from_layer(layer)
    table = AtomTable(rows, pixel_size, dict(kept.get("provenance", {})))
    return table.where(table.rows["status"] != "rejected")


def left_out_layer(image: Image, mask: NDArray[np.uint8]) -> Labels:
    """Show which pixels of an image hold no signal (1), and which were filled from their neighbours (2)."""
    return Labels(
        mask,
        name=f"{image.name} left out",
        opacity=0.55,
        colormap=DirectLabelColormap(color_dict=_LEFT_OUT_COLOURS),
        metadata={KEY: {"role": "left out", "image": layer_id(image)}},
        **placed_like(image),
    )


def region_layer(image: Image) -> Shapes:
    """Make the empty Shapes layer in which a person draws the region that was reviewed."""
    pixel = max(shape_of(image)[1] / 200, 0.5)
    return Shapes(
        ndim=2,
        name="reviewed region",
        edge_color="#ffb000",
        face_color="transparent",
        edge_width=pixel,
        metadata={KEY: {"role": "region", "image": layer_id(image)}},
        **placed_like(image),
    )


def region_mask(layer: Shapes | None, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Return which pixels of an image a person reviewed; all of them without a layer.

    Raises
    ------
    ExportError
        If the layer holds no shape on the image.
    """
    if layer is None:
        return np.ones(shape, bool)
    mask = np.zeros(shape, bool) if not layer.nshapes else np.asarray(layer.to_labels(shape)) > 0
    if not mask.any():
        raise ExportError(
            f"{layer.name}: no shape lies on the image; draw a rectangle around what you reviewed."
        )
    return mask


def of_role(layers: Iterable[Layer], role: str, image: Image) -> Layer | None:
    """Find our layer of a role that belongs to an image."""
    return next((lay for lay in layers if role_of(lay) == role and belongs(lay, image)), None)


def belongs(layer: Layer, image: Image) -> bool:
    """Say whether one of our layers belongs to an image: made for it here, or opened with it."""
    word = image.metadata.get(KEY, {}).get(LINK)
    opened_with_it = word is not None and layer.metadata.get(KEY, {}).get(LINK) == word
    return owner_of(layer) == layer_id(image) or opened_with_it
