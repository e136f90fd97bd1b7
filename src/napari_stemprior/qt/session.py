"""The state of the desk, without a widget: which image, prior, pose and atoms belong together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from threading import Thread
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Points, Shapes
from napari.utils.notifications import show_info
from numpy.typing import NDArray
from psygnal import Signal

from napari_stemprior.qt.editing.atom_editor import AtomEditor
from napari_stemprior.qt.layers import atom_layers
from napari_stemprior.qt.layers.insertion import reveal
from napari_stemprior.qt.layers.painting import put_off_painting
from napari_stemprior.qt.placed_session import PlacedSession
from napari_stemprior.workflow.operations import Operations
from napari_stemprior.workflow.segment import Segmentation

#: Diameter in Å of an atom's ring where no prior tells the distance between neighbours.
_DEFAULT_DIAMETER = 1.1


class Session(PlacedSession):
    """What a person works on in one viewer.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
        The viewer or its model; no window is needed.
    operations : Operations, optional
        What the other rooms do; replaced in tests.
    """

    #: The atoms or their history have changed.
    atoms_changed = Signal()
    #: The desk lets go of the viewer.
    closing = Signal()

    def __init__(self, viewer: ViewerModel, operations: Operations | None = None) -> None:
        super().__init__(viewer)
        self.operations = operations or Operations()
        self._closed = False
        self.listen()

    def close(self) -> None:
        """Let go of the viewer; layers and what they hold stay."""
        if self._closed:
            return
        self._closed = True
        self.closing.emit()
        super().close()
        for specimen in self._specimens.values():
            if specimen.editor is not None:
                specimen.editor.detach()
        self._specimens.clear()

    # --- atoms --------------------------------------------------------------------------------
    @property
    def editor(self) -> AtomEditor | None:
        """The atoms of the chosen image, if it has been segmented."""
        specimen = self._specimen_or_none()
        return None if specimen is None else specimen.editor

    def take_segmentation(
        self,
        image: Image,
        result: Segmentation,
        *,
        frame: tuple[int, ...] | None = None,
        inside: Callable[[NDArray[np.float64]], NDArray[np.bool_]] | None = None,
    ) -> None:
        """Show the atoms that the network found on an image; a person's edits stay.

        Parameters
        ----------
        image : napari.layers.Image
        result : Segmentation
        frame : tuple of int, optional
            The frame of a stack that was segmented; the present one by default.
        inside : callable, optional
            Tells for (N, 2) pixels which of them were segmented; all by default.
        """
        for _ in self.taking(image, result, frame=frame, inside=inside):
            pass

    def taking(
        self,
        image: Image,
        result: Segmentation,
        *,
        frame: tuple[int, ...] | None = None,
        inside: Callable[[NDArray[np.float64]], NDArray[np.bool_]] | None = None,
        beside: Callable[[], None] | None = None,
    ) -> Iterator[None]:
        """Do so in pieces of which none is long; `beside` is done in a thread before the panels are told."""
        if image not in self.viewer.layers:
            return  # it was closed while the network worked
        self.choose_image(image)
        self.show_overlay(False)  # it would cover what was found; step 2 brings it back
        yield
        with self.atoms_changed.blocked(), self.pose_changed.blocked():
            if result.fit is not None and self._image is image:
                old = self.fit
                if old is None or old.sites is None or not old.same_place(result.fit):
                    self.set_fit(result.fit, frame)
                if inside is None and self.pose is not None:
                    self.take_scale(self.pose)
            if image not in self.viewer.layers:
                return
            self.choose_image(image)
            fresh = self.editor is None
            editor = self.editor or self._new_editor(image, result)
            if fresh:  # to draw a layer for the first time is a piece of work of its own
                editor.layer.visible = False
            yield
            before = len(editor.rows)
            merged = editor.take_prediction(result.table, frame=frame, inside=inside)
            yield
            if fresh:
                reveal(self.viewer, editor.layer, visible=image.visible)
                yield
            if beside is not None:
                thread = Thread(target=beside, name="napari-stemprior: looking at new atoms")
                thread.start()
                while thread.is_alive():
                    yield
        self.pose_changed.emit()
        yield
        self.atoms_changed.emit()
        yield
        if self._image is image:
            self.activate(editor.layer)
        if before and (merged.kept or merged.held_empty):
            show_info(
                f"{merged.new} atoms were found anew. Your edits stay: {merged.kept} atoms kept, "
                f"{merged.held_empty} places held empty."
            )

    def take_beside(self, image: Image, frame: tuple[int, ...], result: Segmentation) -> None:
        """Take what the network found on an image, chosen or not; what a person looks at stays as it is.

        Parameters
        ----------
        image : napari.layers.Image
        frame : tuple of int
            The frame of a stack that was segmented; () for a single image.
        result : Segmentation
        """
        if image not in self.viewer.layers:
            return  # it was closed while the network worked
        specimen = self.specimen(image)
        if specimen.prior is None:
            specimen.prior = result.prior
        if result.fit is not None:
            specimen.fit = result.fit
            if frame:
                specimen.fits[frame] = result.fit
        if specimen.editor is None:
            active, self._quiet = self.viewer.layers.selection.active, True
            try:
                self._add_atoms_layer(image, result)
                self.activate(active)
            finally:
                self._quiet = False
            if not self.adopt_atoms(image):
                return
        assert specimen.editor is not None
        specimen.editor.take_prediction(result.table, frame=frame)
        if image is self._image:
            self.prior_changed.emit()
            self.pose_changed.emit()

    @property
    def can_restore_atoms(self) -> bool:
        """Whether the atoms layer of the chosen image was removed and can come back."""
        specimen = self._specimen_or_none()
        return specimen is not None and specimen.editor is None and specimen.removed is not None

    def restore_atoms(self) -> None:
        """Bring back a removed atoms layer, with its history."""
        if self.can_restore_atoms:
            removed = self._specimen_or_none().removed  # type: ignore[union-attr]
            assert removed is not None
            self.viewer.add_layer(removed.layer)  # the insertion is seen by `_on_layers`

    def activate_atoms(self) -> None:
        """Make the atoms layer the active one, so that its keys and modes work."""
        if self.editor is not None:
            self.activate(self.editor.layer)

    def reviewed_region(self) -> Shapes | None:
        """Return the Shapes layer in which the reviewed region is drawn."""
        layer = self._of_role("region")
        return layer if isinstance(layer, Shapes) else None

    def draw_region(self) -> Shapes | None:
        """Let a person draw the rectangle that was reviewed."""
        if self._image is None:
            return None
        layer = self.reviewed_region()
        if layer is None:
            layer = atom_layers.region_layer(self._image)
            self.viewer.add_layer(layer)
        self.activate(layer)
        layer.mode = "add_rectangle"
        return layer

    def adopt_atoms(self, image: Image) -> bool:
        """Take up the atoms layer of an image, left by an earlier desk or made just now.

        Returns
        -------
        bool
            Whether there is one.
        """
        specimen = self.specimen(image)
        if specimen.editor is not None:
            specimen.editor.set_frame(self.frame_of(image))
            return True
        layer = atom_layers.of_role(self.viewer.layers, "atoms", image)
        if layer is None:
            return False
        removed, specimen.removed = specimen.removed, None
        if removed is not None and removed.layer is layer:
            specimen.editor = removed
            removed.attach()
        elif isinstance(layer, Points):
            size = atom_layers.pixel_size_of(image) or float(layer.metadata[atom_layers.KEY]["pixel_size"])
            specimen.editor = AtomEditor(layer, size)
            specimen.editor.changed.connect(self.atoms_changed.emit)
        if specimen.editor is not None:
            specimen.editor.set_frame(self.frame_of(image))
        return specimen.editor is not None

    # --- inside -------------------------------------------------------------------------------
    def _new_editor(self, image: Image, result: Segmentation) -> AtomEditor:
        self._add_atoms_layer(image, result)  # the insertion is seen by `_on_layers`, which adopts it
        editor = self.editor
        assert editor is not None
        return editor

    def _add_atoms_layer(self, image: Image, result: Segmentation) -> None:
        diameter = (
            _DEFAULT_DIAMETER if result.prior is None else atom_layers.RING * result.prior.neighbour_distance
        )
        layer = atom_layers.new_atoms_layer(image, result.table.pixel_size, diameter)
        layer.visible = image.visible
        put_off_painting(self.viewer)
        self.viewer.add_layer(layer)

    def _on_chosen(self) -> None:
        if self._image is not None:
            if self._waiting_prior is not None:
                self.specimen(self._image).prior, self._waiting_prior = self._waiting_prior, None
            self.adopt_atoms(self._image)
        super()._on_chosen()
        self.prior_changed.emit()
        self.pose_changed.emit()
        self.atoms_changed.emit()

    def _on_layers(self, event: Any = None) -> None:
        super()._on_layers(event)
        if self._image is not None and self.editor is None:
            adopted = self.adopt_atoms(self._image)
            if adopted:
                self.atoms_changed.emit()

    def _on_removed(self, event: Any) -> None:
        for specimen in self._specimens.values():
            if specimen.editor is not None and specimen.editor.layer is event.value:
                specimen.editor.detach()
                specimen.editor, specimen.removed = None, specimen.editor
                self.atoms_changed.emit()
        super()._on_removed(event)

    def _on_step(self, event: Any = None) -> None:
        super()._on_step(event)
        if self.editor is not None:
            self.editor.set_frame(self.frame)
        specimen = self._specimen_or_none()
        if specimen is not None and specimen.fits:  # each frame has its own
            if self.overlay is not None:
                self.show_overlay(True)
            self.pose_changed.emit()
