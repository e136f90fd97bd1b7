"""Whether the images of a series are still as they were measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from napari.layers import Image
from numpy.typing import NDArray

from napari_stemprior.atoms import AtomHistory, AtomTable
from napari_stemprior.qt.image_list import ImageList
from napari_stemprior.qt.layers.atom_layers import layer_id, mask_of
from napari_stemprior.qt.layers.image_notes import is_inverted, known_pixel_size
from napari_stemprior.qt.listed_image import ListedImage
from napari_stemprior.structure import Prior

#: Of an atom, what measurements depend on.
_FIELDS = ("atom_id", "element", "site", "layer")


@dataclass(eq=False)
class _Seen:
    """An image as it was measured, and whether it was another when it was last looked at."""

    image: ListedImage
    table: AtomTable | None
    pixel_size: float | None
    inverted: bool
    mask: NDArray[np.bool_] | None
    key: tuple[object, ...]
    changed: bool = False


class SeriesState:
    """The images of a series as they are now.

    Parameters
    ----------
    images : ImageList
    measured : sequence of ListedImage
    tables : sequence of AtomTable or None
        Their atoms, as they are measured.
    prior : StructurePrior or Stack
    """

    def __init__(
        self,
        images: ImageList,
        measured: Sequence[ListedImage],
        tables: Sequence[AtomTable | None],
        prior: Prior,
    ) -> None:
        self._images, self._prior = images, prior
        known: dict[str, _Shared] = {}
        self._seen = [
            _Seen(one, table, _pixel_size(images, one), _inverted(one), _mask(one), _key(images, one, known))
            for one, table in zip(measured, tables, strict=True)
        ]

    def changed(self) -> list[ListedImage]:
        """Return the images of which atoms, scale, prior, contrast or mask are others than those measured."""
        listed = {id(one) for one in self._images.images}
        found: list[ListedImage] = []
        known: dict[str, _Shared] = {}
        for seen in self._seen:
            if id(seen.image) not in listed:
                found.append(seen.image)
                continue
            key = _key(self._images, seen.image, known)
            if key != seen.key:  # opened, or edited: the atoms may be the same all the same
                seen.key, seen.changed = key, not self._same(seen)
            if seen.changed or _mask(seen.image) is not seen.mask:
                found.append(seen.image)
        return found

    def _same(self, seen: _Seen) -> bool:
        images, one = self._images, seen.image
        prior = images.prior(one)
        if (prior is not None and prior != self._prior) or _inverted(one) != seen.inverted:
            return False
        if _pixel_size(images, one) != seen.pixel_size:
            return False
        return _same_atoms(images.table(one, shown_only=True), seen.table)


def has_atoms(images: ImageList, image: ListedImage) -> bool:
    """Tell whether an image was segmented or has atoms by hand, without looking at them."""
    if image.layer is None:
        return image.result is not None and image.result.table is not None
    editor = images.session.specimen(image.layer).editor
    history = None if editor is None else editor.histories.get(image.frame)
    return history is not None and bool(len(history) or history.steps)


#: What the frames of a layer have in common, and their histories; asked once for all of them.
_Shared = tuple[tuple[object, ...], dict[tuple[int, ...], AtomHistory]]


def _key(images: ImageList, image: ListedImage, known: dict[str, _Shared]) -> tuple[object, ...]:
    """Return what differs after every change that may matter, and is cheap to compare."""
    layer = image.layer
    if layer is None:
        return (image.result, image.prior, image.pixel_size)
    if layer_id(layer) not in known:
        known[layer_id(layer)] = _shared(images, layer)
    about, histories = known[layer_id(layer)]
    history = histories.get(image.frame)
    if history is None:
        return about
    last = history.steps[history.position - 1] if history.position else None
    return (*about, history, history.position, last, history.generation)


def _shared(images: ImageList, layer: Image) -> _Shared:
    specimen = images.session.specimen(layer)
    about: tuple[object, ...] = (specimen.prior, is_inverted(layer), known_pixel_size(layer))
    editor = specimen.editor
    if editor is None:
        return about, {}
    return (*about, editor.threshold, editor.hide_inferred), editor.histories


def _pixel_size(images: ImageList, image: ListedImage) -> float | None:
    """Return the scale of an image; its atoms follow a new one only after the layer has it."""
    if image.layer is not None:
        return known_pixel_size(image.layer)
    table = images.table(image)
    return None if table is None else table.pixel_size


def _inverted(image: ListedImage) -> bool:
    if image.layer is not None:
        return is_inverted(image.layer)
    table = None if image.result is None else image.result.table
    return table is not None and bool(table.provenance.get("inverted"))


def _mask(image: ListedImage) -> NDArray[np.bool_] | None:
    return None if image.layer is None else mask_of(image.layer)


def _same_atoms(one: AtomTable | None, other: AtomTable | None) -> bool:
    if one is None or other is None:
        return one is other
    one, other = one.atoms, other.atoms
    if len(one) != len(other):
        return False
    return np.array_equal(one.yx, other.yx) and all(
        np.array_equal(one.rows[name].to_numpy(), other.rows[name].to_numpy()) for name in _FIELDS
    )
