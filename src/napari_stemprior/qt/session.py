"""The state of the desk, without a widget: which image, prior, pose and atoms belong together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from threading import Thread
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Layer, Points, Shapes
from napari.utils.notifications import show_info
from numpy.typing import NDArray
from psygnal import Signal

from napari_stemprior.qt.editing.atom_editor import AtomEditor
from napari_stemprior.qt.image_session import ImageSession
from napari_stemprior.qt.layers import atom_layers
from napari_stemprior.qt.layers.image_notes import note_inverted
from napari_stemprior.qt.layers.lattice_overlay import fill_overlay, overlay_layer
from napari_stemprior.qt.layers.removal import remove_layer
from napari_stemprior.registration import LatticeFit, Pose
from napari_stemprior.structure import Prior
from napari_stemprior.workflow.operations import Operations
from napari_stemprior.workflow.segment import Segmentation

#: Diameter in Å of an atom's ring where no prior tells the distance between neighbours.
_DEFAULT_DIAMETER = 1.1


@dataclass
class Specimen:
    """What is known about one image."""

    #: What a person chose and the network is prompted with; a stack has several `layers`.
    prior: Prior | None = None
    fit: LatticeFit | None = None
    editor: AtomEditor | None = None
    #: The editor of an atoms layer that was removed from the viewer.
    removed: AtomEditor | None = None


class Session(ImageSession):
    """What a person works on in one viewer.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
        The viewer or its model; no window is needed.
    operations : Operations, optional
        What the other rooms do; replaced in tests.
    """

    prior_changed = Signal()
    pose_changed = Signal()
    #: The atoms or their history have changed.
    atoms_changed = Signal()
    #: The desk lets go of the viewer.
    closing = Signal()

    def __init__(self, viewer: ViewerModel, operations: Operations | None = None) -> None:
        super().__init__(viewer)
        self.operations = operations or Operations()
        #: The prior that was chosen before there was an image; the first one takes it.
        self._waiting_prior: Prior | None = None
        #: Pixel (y, x) about which a person turns the lattice, while that is done.
        self.pivot: NDArray[np.float64] | None = None
        #: Whether a fit of the lattice also calibrates the image.
        self.scale_from_lattice = False
        self._closed = False
        self._specimens: dict[str, Specimen] = {}
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

    # --- image --------------------------------------------------------------------------------
    def set_pixel_size(self, value: float, source: str = "given") -> None:
        """Calibrate the chosen image (see `ImageSession`); atoms and pose follow, or are forgotten.

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
        super().set_pixel_size(value, source)
        if self._image is None:
            return
        if self.editor is not None:
            self.editor.pixel_size = value
        if self.pose is not None and not np.isclose(self.pose.pixel_size, value, rtol=0.1):
            self.set_fit(None)  # it was found at a scale that no longer holds

    def take_scale(self, pose: Pose) -> None:
        """Take the pixel size from a lattice that fits, if a person wants that."""
        size = self.pixel_size
        if self.scale_from_lattice and pose.is_fit and size is not None and pose.pixel_size != size:
            self.set_pixel_size(pose.pixel_size, "lattice")

    def set_inverted(self, on: bool) -> None:
        """Exchange bright and dark in what is analysed; a fit to the other contrast is forgotten."""
        if self._image is None or on == self.inverted:
            return
        note_inverted(self._image, on)
        if self.fit is not None and not self.fit.by_hand:
            self.set_fit(None)
        self._on_image()

    # --- prior and pose -----------------------------------------------------------------------
    @property
    def prior(self) -> Prior | None:
        """The prior or stack of the chosen image; each image has its own."""
        specimen = self._specimen_or_none()
        return self._waiting_prior if specimen is None else specimen.prior

    def set_prior(self, prior: Prior | None) -> None:
        """Take another prior or stack; poses that were fitted with another one no longer count.

        Parameters
        ----------
        prior : StructurePrior, Stack or None
        """
        if prior != self.prior:
            if self._image is None:
                self._waiting_prior = prior
            else:
                self._specimen().prior = prior
            if self.fit is None:
                self.show_overlay(False)  # it shows another prior
            self.prior_changed.emit()
            self.pose_changed.emit()

    @property
    def fit(self) -> LatticeFit | None:
        """Where the prior lies on the image and what the fit found beside it."""
        specimen = self._specimen_or_none()
        fit = None if specimen is None else specimen.fit
        return fit if fit is not None and fit.prior == self.prior else None

    @property
    def pose(self) -> Pose | None:
        """Where the prior lies on the image, if that was fitted or set by hand."""
        return None if self.fit is None else self.fit.pose

    @property
    def known_fit(self) -> LatticeFit | None:
        """Where the prior lies, if that is a fit: what the network is told."""
        return self.fit if self.fit is not None and self.fit.is_fit else None

    def set_fit(self, fit: LatticeFit | None) -> None:
        """Remember where a prior lies on the chosen image; a shown overlay follows."""
        if self._image is None:
            return
        self._specimen().fit = fit
        if self.overlay is not None:
            self.show_overlay(True)
        self.pose_changed.emit()

    @property
    def overlay(self) -> Points | None:
        """The layer that shows the lattice over the image."""
        layer = self._of_role("lattice")
        return layer if isinstance(layer, Points) else None

    def show_overlay(self, visible: bool) -> None:
        """Draw the lattice of the fit over the image, or take it away."""
        for _ in self.showing_overlay(visible):
            pass

    def showing_overlay(self, visible: bool = True) -> Iterator[None]:
        """Draw the lattice in pieces of which none is long."""
        old, fit, image = self.overlay, self.fit, self._image
        if not visible or image is None or fit is None:
            if old is not None:
                remove_layer(self.viewer, old)
            return
        size = self.pixel_size or fit.pose.pixel_size
        if old is not None:
            fill_overlay(old, image, fit, size, self.pivot)
            return
        layer = overlay_layer(image, fit, size)
        yield
        if image not in self.viewer.layers or self.fit is not fit or self.overlay is not None:
            return  # while the window had its turn
        active = self.viewer.layers.selection.active
        layer.visible = False  # to draw a layer for the first time is a piece of work of its own
        self.viewer.layers.insert(self.viewer.layers.index(image) + 1, layer)
        yield
        self.activate(active)
        yield
        layer.visible = True

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
                    self.set_fit(result.fit)
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
                editor.layer.visible = True
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

    @property
    def can_restore_atoms(self) -> bool:
        """Whether the atoms layer of the chosen image was removed and can come back."""
        specimen = self._specimen_or_none()
        return specimen is not None and specimen.editor is None and specimen.removed is not None

    def restore_atoms(self) -> None:
        """Bring back a removed atoms layer, with its history."""
        if self.can_restore_atoms:
            removed = self._specimen().removed
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

    # --- inside -------------------------------------------------------------------------------
    def _new_editor(self, image: Image, result: Segmentation) -> AtomEditor:
        diameter = (
            _DEFAULT_DIAMETER if result.prior is None else atom_layers.RING * result.prior.neighbour_distance
        )
        layer = atom_layers.new_atoms_layer(image, result.table.pixel_size, diameter)
        self.viewer.add_layer(layer)  # the insertion is seen by `_on_layers`, which adopts it
        editor = self.editor
        assert editor is not None
        return editor

    def _adopt_atoms(self, image: Image) -> bool:
        """Take up the atoms layer of an image, left by an earlier desk or made just now, if there is one."""
        specimen = self._specimen()
        if specimen.editor is not None:
            specimen.editor.set_frame(self.frame)
            return True
        layer = atom_layers.of_role(self.viewer.layers, "atoms", image)
        if layer is None:
            return False
        removed, specimen.removed = specimen.removed, None
        if removed is not None and removed.layer is layer:
            specimen.editor = removed
            removed.attach()
        elif isinstance(layer, Points):
            size = self.pixel_size or float(layer.metadata[atom_layers.KEY]["pixel_size"])
            specimen.editor = AtomEditor(layer, size)
            specimen.editor.changed.connect(self.atoms_changed.emit)
        if specimen.editor is not None and self._image is image:
            specimen.editor.set_frame(self.frame)
        return specimen.editor is not None

    def _of_role(self, role: str) -> Layer | None:
        return None if self._image is None else atom_layers.of_role(self.viewer.layers, role, self._image)

    def _specimen_or_none(self) -> Specimen | None:
        return None if self._image is None else self._specimen()

    def _specimen(self) -> Specimen:
        assert self._image is not None
        return self._specimens.setdefault(atom_layers.layer_id(self._image), Specimen())

    def _on_chosen(self) -> None:
        if self._image is not None:
            if self._waiting_prior is not None:
                self._specimen().prior, self._waiting_prior = self._waiting_prior, None
            self._adopt_atoms(self._image)
        super()._on_chosen()
        self.prior_changed.emit()
        self.pose_changed.emit()
        self.atoms_changed.emit()

    def _on_layers(self, event: Any = None) -> None:
        super()._on_layers(event)
        if self._image is not None and self.editor is None:
            adopted = self._adopt_atoms(self._image)
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
