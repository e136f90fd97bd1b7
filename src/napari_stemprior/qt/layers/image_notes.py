"""What the desk notes in an image layer for the next desk, and how a calibration leaves the view alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image
from numpy.typing import NDArray

from napari_stemprior.errors import PixelSizeError
from napari_stemprior.qt.layers.atom_layers import KEY, pixel_size_of
from napari_stemprior.recording.mask_text import mask_to_dict


def is_inverted(image: Image) -> bool:
    """Tell whether bright and dark are exchanged before an image is analysed."""
    return bool(image.metadata.get(KEY, {}).get("inverted"))


def note_inverted(image: Image, on: bool) -> None:
    """Note that bright and dark are to be exchanged, or not; the pixels of the layer stay as they are."""
    image.metadata.setdefault(KEY, {})["inverted"] = on


def pixel_size_from(image: Image) -> str:
    """Return where the pixel size of an image comes from: ``"file"``, ``"given"`` or ``"lattice"``."""
    return str(image.metadata.get(KEY, {}).get("pixel_size_from", "file"))


def note_pixel_size_from(image: Image, source: str) -> None:
    """Note where the pixel size of an image comes from."""
    image.metadata.setdefault(KEY, {})["pixel_size_from"] = source


def known_pixel_size(image: Image) -> float | None:
    """Return the pixel size of an image in Å/px; None where it is unknown or the pixels are not square."""
    try:
        return pixel_size_of(image)
    except PixelSizeError:
        return None


def mask_text_of(image: Image) -> dict[str, Any] | None:
    """Return the mask of an image as plain values (`recording.mask_text`); None where there is none."""
    text = image.metadata.get(KEY, {}).get("mask_text")
    return None if text is None else dict(text)


def note_mask(image: Image, mask: NDArray[np.bool_] | None) -> bool:
    """Note where a person wants no atoms on an image and all its frames, (H, W); None where that is nowhere.

    Returns
    -------
    bool
        Whether it is another mask than before.
    """
    kept = image.metadata.setdefault(KEY, {})
    before, mask = kept.get("mask"), mask if mask is not None and mask.any() else None
    if (before is None) == (mask is None) and (mask is None or np.array_equal(mask, before)):
        return False
    kept["mask"], kept["mask_text"] = mask, None if mask is None else mask_to_dict(mask)
    return True


@contextmanager
def same_view(viewer: ViewerModel, image: Image) -> Iterator[None]:
    """Keep what is seen of an image where it is on the screen while the image gets another scale."""
    camera = viewer.scene.camera
    before = np.array(image.scale[-2:], float)
    pixel = (np.array(camera.center[-2:], float) - image.translate[-2:]) / before
    yield
    after = np.array(image.scale[-2:], float)
    if np.allclose(before, after, rtol=1e-12):
        return
    y, x = pixel * after + image.translate[-2:]
    camera.center = (*camera.center[:-2], float(y), float(x))
    camera.zoom *= float(before[-1] / after[-1])
