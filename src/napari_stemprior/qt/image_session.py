"""The image that is worked on in a viewer: which layer, at which scale, and the micrograph in it."""

from __future__ import annotations

from typing import Any

from napari.components import ViewerModel
from napari.layers import Image, Layer
from psygnal import Signal

from napari_stemprior.errors import PixelSizeError, StempriorError
from napari_stemprior.io.micrograph import Micrograph
from napari_stemprior.qt.layers import atom_layers
from napari_stemprior.qt.layers.image_notes import (
    is_inverted,
    note_pixel_size_from,
    pixel_size_from,
    same_view,
)


class ImageSession:
    """One chosen image of a viewer.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
        The viewer or its model; no window is needed.
    """

    #: Another image was chosen, or its pixel size or frame has changed.
    image_changed = Signal()
    #: The list of image layers has changed.
    images_changed = Signal()

    def __init__(self, viewer: ViewerModel) -> None:
        # napari hands its plugins a proxy; layers seen through it are never those that events speak of
        self.viewer: ViewerModel = getattr(viewer, "__wrapped__", viewer)
        self._image: Image | None = None
        #: The chosen image as it is analysed, until its layer changes.
        self._micrograph: Micrograph | None = None
        #: Whether layers come and are selected without a person having asked for another image.
        self._quiet = False

    def listen(self) -> None:
        """Follow the layers, the selection and the frames of the viewer, and choose the topmost image."""
        events = self.viewer.layers.events
        events.inserted.connect(self._on_layers)
        events.removed.connect(self._on_removed)
        events.reordered.connect(self._on_layers)
        self.viewer.layers.selection.events.active.connect(self._on_active)
        self.viewer.dims.events.current_step.connect(self._on_step)
        self._on_layers()

    def close(self) -> None:
        """Let go of the viewer; layers and what they hold stay."""
        events = self.viewer.layers.events
        events.inserted.disconnect(self._on_layers)
        events.removed.disconnect(self._on_removed)
        events.reordered.disconnect(self._on_layers)
        self.viewer.layers.selection.events.active.disconnect(self._on_active)
        self.viewer.dims.events.current_step.disconnect(self._on_step)
        self._forget_image()

    @property
    def images(self) -> list[Image]:
        """Image layers that can be micrographs: all but our own references."""
        return [
            lay
            for lay in self.viewer.layers
            if isinstance(lay, Image) and atom_layers.role_of(lay) in ("", "micrograph")
        ]

    @property
    def image(self) -> Image | None:
        """The chosen image layer."""
        return self._image

    def choose_image(self, layer: Image | None) -> None:
        """Work on another image; what belongs to it comes back if there is anything."""
        if layer is self._image:
            return
        self._forget_image()
        self._image = layer
        if layer is not None:
            for emitter in _emitters(layer):
                emitter.connect(self._on_image)
        self._on_chosen()

    @property
    def pixel_size(self) -> float | None:
        """Pixel size of the chosen image in Å/px, or None where it is unknown or not square."""
        try:
            return None if self._image is None else atom_layers.pixel_size_of(self._image)
        except PixelSizeError:
            return None

    def set_pixel_size(self, value: float, source: str = "given") -> None:
        """Calibrate the chosen image; layers that belong to it follow, and the view stays.

        Parameters
        ----------
        value : float
            Å/px.
        source : str
            Where it comes from: ``"file"``, ``"given"`` or ``"lattice"``.

        Raises
        ------
        PixelSizeError
            If the value is not a positive number.
        """
        if self._image is not None:
            self.calibrate(self._image, value, source)

    def calibrate(self, image: Image, value: float, source: str = "given") -> None:
        """Give any image of the viewer its pixel size; see `set_pixel_size`."""
        with same_view(self.viewer, image):
            atom_layers.set_pixel_size(image, value)
            note_pixel_size_from(image, source)
            for layer in self.viewer.layers:
                if atom_layers.belongs(layer, image):
                    atom_layers.follow(layer, image)

    @property
    def pixel_size_from(self) -> str:
        """Where the pixel size of the chosen image comes from: ``"file"``, ``"given"`` or ``"lattice"``."""
        return "" if self._image is None else pixel_size_from(self._image)

    @property
    def inverted(self) -> bool:
        """Whether bright and dark are exchanged in what is analysed."""
        return self._image is not None and is_inverted(self._image)

    def recording(self) -> Micrograph:
        """Return the chosen image as it was recorded, the current frame of a stack.

        Raises
        ------
        StempriorError
            If there is none, or it cannot be a micrograph.
        """
        if self._image is None:
            raise StempriorError("There is no image; open a micrograph first (File > Open).")
        return atom_layers.micrograph_from_layer(self._image, self.viewer.dims.current_step)

    def micrograph(self) -> Micrograph:
        """Return the chosen image as it is analysed, the current frame of a stack.

        Raises
        ------
        StempriorError
            If there is none, or it cannot be a micrograph.
        """
        if self._micrograph is None:
            recorded = self.recording()
            self._micrograph = recorded.inverted() if self.inverted else recorded
        return self._micrograph

    @property
    def frame(self) -> tuple[int, ...]:
        """Where a stack stands; () for a single image."""
        return () if self._image is None else self.frame_of(self._image)

    def frame_of(self, image: Image) -> tuple[int, ...]:
        """Where a stack of the viewer stands; () for a single image."""
        if image.rgb or image.ndim <= 2:
            return ()
        return tuple(int(i) for i in self.viewer.dims.current_step[: image.ndim - 2])

    def activate(self, layer: Layer | None) -> None:
        """Make a layer the active one, so that its keys and its mouse work."""
        if layer is not None and layer in self.viewer.layers:
            self.viewer.layers.selection = {layer}

    # --- inside -------------------------------------------------------------------------------
    def _forget_image(self) -> None:
        if self._image is not None:
            for emitter in _emitters(self._image):
                emitter.disconnect(self._on_image)
        self._image = self._micrograph = None  # the layer holds the pixels already

    def _on_chosen(self) -> None:
        """Tell that another image was chosen, or none."""
        self.image_changed.emit()

    def _on_layers(self, event: Any = None) -> None:
        self.images_changed.emit()
        if self._image is None and self.images:
            self.choose_image(self.images[-1])

    def _on_active(self, event: Any = None) -> None:
        """Work on the image that a person selects, or on the one that a selected layer of ours belongs to."""
        layer = self.viewer.layers.selection.active
        if self._quiet or layer is None or layer is self._image:
            return
        images = self.images
        chosen = next(
            (image for image in images if image is layer or atom_layers.belongs(layer, image)), None
        )
        if chosen is not None:
            self.choose_image(chosen)

    def _on_removed(self, event: Any) -> None:
        if event.value is self._image:
            self.choose_image(self.images[-1] if self.images else None)
        self.images_changed.emit()

    def _on_image(self, event: Any = None) -> None:
        self._micrograph = None
        self.image_changed.emit()

    def _on_step(self, event: Any = None) -> None:
        if self._image is not None and self._image.ndim > 2:
            self._on_image()


def _emitters(image: Image) -> tuple[Any, ...]:
    """Return the events of a layer that make another micrograph of it."""
    return image.events.scale, image.events.units, image.events.data, image.events.name
