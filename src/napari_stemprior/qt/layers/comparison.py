"""The reference and the micrograph together: side by side, in turn, or their difference."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import Any

from napari.components import ViewerModel
from napari.layers import Image
from napari.utils import Colormap
from psygnal import Signal
from qtpy.QtCore import QTimer

from napari_stemprior.qt.layers import atom_layers
from napari_stemprior.qt.layers.insertion import insert_beside, reveal
from napari_stemprior.qt.layers.removal import remove_layer
from napari_stemprior.qt.session import Session
from napari_stemprior.workflow.difference import Difference
from napari_stemprior.workflow.reference import Reference

#: Diverging: blue where the micrograph is darker than the reference, red where it is brighter.
DIVERGING = Colormap(
    [[0.02, 0.19, 0.55, 1], [0.45, 0.66, 0.9, 1], [1, 1, 1, 1], [0.94, 0.6, 0.45, 1], [0.6, 0.02, 0.1, 1]],
    name="blue-white-red",
)


class ComparisonMode(Enum):
    """How the reference and the micrograph are shown."""

    ALONE = "Micrograph alone"
    BESIDE = "Side by side"
    FLICKER = "Flicker"
    DIFFERENCE = "Difference"


class Comparison:
    """Lays the reference of a session's image in its viewer.

    The reference lies below its image in the list, at the same place in the world. Side by side they are
    shown by napari's grid, whose views share one camera.

    Parameters
    ----------
    session : Session
    """

    #: The view has changed, or the reference has.
    changed = Signal()

    def __init__(self, session: Session) -> None:
        self.session = session
        self.mode = ComparisonMode.ALONE
        self._references: dict[str, Reference] = {}
        self._image: Image | None = None
        layers = session.viewer.layers
        layers.events.inserting.connect(self._on_inserting)
        layers.events.inserted.connect(self._on_layers)
        layers.events.removed.connect(self._on_layers)
        session.image_changed.connect(self._on_image)

    def close(self) -> None:
        """Show the micrograph alone and let go of the viewer."""
        self.set_mode(ComparisonMode.ALONE)
        layers = self.session.viewer.layers
        layers.events.inserting.disconnect(self._on_inserting)
        layers.events.inserted.disconnect(self._on_layers)
        layers.events.removed.disconnect(self._on_layers)
        self.session.image_changed.disconnect(self._on_image)

    @property
    def layer(self) -> Image | None:
        """The layer of the reference of the chosen image."""
        image = self.session.image
        return None if image is None else self._of_role("reference", image)

    @property
    def difference_layer(self) -> Image | None:
        """The layer of the difference of the chosen image."""
        image = self.session.image
        return None if image is None else self._of_role("difference", image)

    @property
    def reference(self) -> Reference | None:
        """What the layer shows."""
        image = self.session.image
        if image is None or self.layer is None:
            return None
        return self._references.get(atom_layers.layer_id(image))

    def show(self, reference: Reference) -> None:
        """Show a reference of the chosen image."""
        for _ in self.showing(reference):
            pass

    def showing(self, reference: Reference) -> Iterator[None]:
        """Show a reference in pieces of which none is long."""
        picture, image = reference.picture, self.session.image
        if image is None:
            return
        viewer = self.session.viewer
        alone = (ComparisonMode.ALONE, ComparisonMode.DIFFERENCE)
        self._references[atom_layers.layer_id(image)] = reference
        old = self.layer
        if old is not None:
            old.data = picture
            old.name = f"{reference.settings.name} reference"
            old.contrast_limits = reference.limits
        else:
            layer = Image(
                picture,
                name=f"{reference.settings.name} reference",
                colormap="gray",
                contrast_limits=reference.limits,
                metadata={atom_layers.KEY: {"role": "reference", "image": atom_layers.layer_id(image)}},
                **atom_layers.placed_like(image),
            )
            layer.visible = False  # to draw a layer for the first time is a piece of work of its own
            insert_beside(viewer, viewer.layers.index(image), layer)
            yield
            if layer not in viewer.layers or self.session.image is not image:
                return
            if self.mode not in alone:  # else `set_mode` shows it
                reveal(viewer, layer)
                yield
        self._drop_difference()
        if self.mode in alone:
            self.set_mode(ComparisonMode.BESIDE)
            yield
            if old is None:
                viewer.reset_view()  # each gets half of the width
        self.changed.emit()

    def show_difference(self, difference: Difference) -> None:
        """Show by how much the image differs from the reference, over the image."""
        image = self.session.image
        if image is None or self.layer is None:
            return
        self.set_mode(ComparisonMode.ALONE)
        viewer = self.session.viewer
        self._drop_difference()
        layer = Image(
            difference.values,
            name="image − reference",
            contrast_limits=(-difference.limit, difference.limit),
            metadata={atom_layers.KEY: {"role": "difference", "image": atom_layers.layer_id(image)}},
            **atom_layers.placed_like(image),
        )
        layer.colormap = DIVERGING
        insert_beside(viewer, viewer.layers.index(image) + 1, layer)
        self.mode = ComparisonMode.DIFFERENCE
        self.changed.emit()

    def set_mode(self, mode: ComparisonMode) -> None:
        """Show the reference another way; `show_difference` is for the difference."""
        if self.mode is ComparisonMode.BESIDE:
            _grid(self.session.viewer).enabled = False
        elif self.mode is ComparisonMode.FLICKER and self._image is not None:
            self._image.visible = True
        elif self.mode is ComparisonMode.DIFFERENCE:
            self._drop_difference()
        image, layer = self.session.image, self.layer
        if image is None or layer is None:
            mode = ComparisonMode.ALONE
        self.mode, self._image = mode, image
        if mode is ComparisonMode.BESIDE and layer is not None:
            self._to_bottom(layer)
            reveal(self.session.viewer, layer)
            grid = _grid(self.session.viewer)
            with grid.events.blocker_all():  # each would lay out all layers anew
                self._lay_out()
                grid.shape = (1, 2)
                grid.spacing = 0.02
            grid.enabled = True
        elif mode is ComparisonMode.FLICKER and layer is not None:
            layers = self.session.viewer.layers
            layers.move(layers.index(layer), layers.index(image))
            layer.visible = True
        self.changed.emit()

    def turn(self) -> None:
        """Show the other one of micrograph and reference."""
        if self.mode is ComparisonMode.FLICKER and self._image is not None:
            self._image.visible = not self._image.visible

    def _of_role(self, role: str, image: Image) -> Image | None:
        layer = atom_layers.of_role(self.session.viewer.layers, role, image)
        return layer if isinstance(layer, Image) else None

    def _drop_difference(self) -> None:
        layer = self.difference_layer
        if layer is not None:
            remove_layer(self.session.viewer, layer)

    def _to_bottom(self, layer: Image) -> None:
        layers = self.session.viewer.layers
        if layers.index(layer):
            layers.move(layers.index(layer), 0)

    def _lay_out(self, more: int = 0) -> None:
        """Put all layers but the lowest one, the reference, into the first view of the grid."""
        # a negative stride counts from the top of the list
        _grid(self.session.viewer).stride = -max(len(self.session.viewer.layers) + more - 1, 1)

    def _on_inserting(self, event: Any = None) -> None:
        """Make room for a layer beforehand: when it is there, napari lays out all of them once."""
        if self.mode is ComparisonMode.BESIDE:
            with _grid(self.session.viewer).events.blocker_all():
                self._lay_out(1)

    def _on_layers(self, event: Any = None) -> None:
        if self.mode is ComparisonMode.ALONE:
            return
        gone = self.layer is None or (
            self.mode is ComparisonMode.DIFFERENCE and self.difference_layer is None
        )
        if gone or self._image not in self.session.viewer.layers:
            self._leave()
        elif self.mode is ComparisonMode.BESIDE:
            self._lay_out()

    def _on_image(self) -> None:
        if self._image is not self.session.image and self.mode is not ComparisonMode.ALONE:
            self._leave()
        self.changed.emit()

    def _leave(self) -> None:
        """Go back to the micrograph alone after what was compared is gone."""
        if self.mode is ComparisonMode.BESIDE:
            _grid(self.session.viewer).enabled = False
        elif self.mode is ComparisonMode.FLICKER and self._image is not None:
            self._image.visible = True
        elif self.mode is ComparisonMode.DIFFERENCE and self._image is not None:
            left = self._of_role("difference", self._image)
            if left is not None:  # it would hide the micrograph, and nothing could take it away
                QTimer.singleShot(0, lambda: self._remove(left))
        self.mode, self._image = ComparisonMode.ALONE, None
        self.changed.emit()

    def _remove(self, layer: Image) -> None:
        remove_layer(self.session.viewer, layer)


def _grid(viewer: ViewerModel) -> Any:
    """Return the grid of the canvas."""
    return viewer.canvas.grid if hasattr(viewer, "canvas") else viewer.grid
