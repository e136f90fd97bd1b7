"""The images of a session as layers, each with its atoms and its reviewed region.

What the desk alone can show, such as prior and fit, waits in the metadata of the image until a desk takes it
(`qt.specimen`, `qt.saved_desk`).
"""

from __future__ import annotations

import secrets
from typing import Any

import numpy as np
from napari.layers import Image, Layer
from numpy.typing import NDArray

from napari_stemprior.atoms.matching import median_spacing
from napari_stemprior.atoms.table import ABSENT
from napari_stemprior.errors import MicrographError, SessionError
from napari_stemprior.qt.layers.atom_layers import (
    ANGSTROM,
    KEY,
    LINK,
    RING,
    LayerData,
    layer_from_micrographs,
)
from napari_stemprior.qt.layers.linked_layers import linked_atoms, linked_region
from napari_stemprior.recording.mask_text import mask_from_dict
from napari_stemprior.recording.stored_image import is_stored
from napari_stemprior.workflow.open_session import OpenedImage, OpenedSession
from napari_stemprior.workflow.pixel_digest import pixel_digest
from napari_stemprior.workflow.session_file import SavedImage

#: Diameter in Å of an atom's ring where there are too few to tell.
_DIAMETER = 1.1


def image_layers(opened: OpenedSession) -> list[tuple[OpenedImage, LayerData]]:
    """Return the images that were open as plain layer data; nothing of napari is made, so a thread may do it.

    Parameters
    ----------
    opened : OpenedSession
    """
    return [(one, _image_data(one, opened)) for one in opened.images if one.saved.is_open]


def layers_beside(image: Image, one: OpenedImage) -> list[Layer]:
    """Make the layers that belong to an image: its atoms, and its reviewed region where one was drawn.

    Parameters
    ----------
    image : napari.layers.Image
        As `image_layers` describes it.
    one : OpenedImage
    """
    saved, word = one.saved, str(image.metadata[KEY][LINK])
    made: list[Layer] = []
    if saved.states:
        first = saved.states[0]
        size = saved.context.pixel_size or first.pixel_size
        kept = {
            "histories": {state.frame: state.history for state in saved.states},
            "provenances": {state.frame: dict(state.provenance) for state in saved.states},
            "provenance": dict(first.provenance),
            "frame": first.frame,
        }
        atoms = linked_atoms(image, first.history.rows, size, _diameter(saved, size), word, **kept)
        atoms.visible = saved.visible
        made.append(atoms)
    if saved.region:
        made.append(linked_region(image, saved.region, word))
    return made


def session_layers(opened: OpenedSession) -> list[LayerData]:
    """Return all layers of a session as a reader hands them to napari.

    Parameters
    ----------
    opened : OpenedSession
    """
    layers: list[LayerData] = []
    for one, data in image_layers(opened):
        image = Layer.create(*data)
        assert isinstance(image, Image)
        layers += [data, *(layer.as_layer_data_tuple() for layer in layers_beside(image, one))]
    return layers


def _image_data(one: OpenedImage, opened: OpenedSession) -> LayerData:
    saved = one.saved
    made = [(_as_it_was(data, saved), meta, kind) for data, meta, kind in layer_from_micrographs(one.frames)]
    # of a file with several images the one that was open
    data, meta, kind = next(
        (layer for layer in made if len(made) == 1 or pixel_digest(layer[0]) == saved.pixels),
        next((layer for layer in made if layer[1]["name"] == saved.name), made[0]),
    )
    extra = data.ndim - 2
    meta |= {"name": saved.name, "visible": saved.visible}
    meta["axis_labels"] = (*("frame",) * extra, "y", "x")
    size = saved.context.pixel_size
    if size is not None:
        meta["scale"], meta["units"] = (*(1.0,) * extra, size, size), (*("pixel",) * extra, *ANGSTROM)
    elif "scale" in meta:
        meta["scale"] = (*(1.0,) * extra, *meta["scale"][-2:])
        meta["units"] = (*("pixel",) * extra, *ANGSTROM)
    meta["metadata"][KEY] |= {
        LINK: secrets.token_hex(8),
        "path": str(saved.path),
        "pixel_size_from": saved.context.pixel_size_from,
        "inverted": saved.context.inverted,
        "journals": list(saved.journals),
        "saved": saved,
        "opened": (opened, one),
    }
    excluded = saved.context.excluded
    if excluded is not None:
        try:
            mask = mask_from_dict(excluded, data.shape[-2:])
        except MicrographError as error:
            raise SessionError(f"{opened.path}: {saved.name}: {error}") from error
        meta["metadata"][KEY] |= {"mask": mask, "mask_text": excluded}
    return data, meta, kind


def _as_it_was(data: Any, saved: SavedImage) -> Any:
    """Return pixels in the shape and kind of numbers that the layer had, where nothing is lost by that."""
    if is_stored(data):
        return data
    if saved.shape[-2:] == data.shape[-2:] and int(np.prod(saved.shape)) == data.size:
        data = data.reshape(saved.shape)
    try:
        with np.errstate(all="ignore"):
            other: NDArray[Any] = data.astype(np.dtype(saved.dtype))
    except (TypeError, ValueError):
        return data
    return other if other.dtype.kind in "iuf" and np.array_equal(other, data) else data


def _diameter(saved: SavedImage, pixel_size: float) -> float:
    """Return the diameter of an atom's ring in Å."""
    if saved.context.prior is not None:
        return float(RING * saved.context.prior.neighbour_distance)
    rows = saved.states[0].history.rows
    atoms = rows[~rows["status"].isin(ABSENT)][["y_px", "x_px"]].to_numpy(float)
    spacing = median_spacing(atoms)
    return RING * spacing * pixel_size if spacing else _DIAMETER
