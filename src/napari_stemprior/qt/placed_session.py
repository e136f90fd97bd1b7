"""The prior of each image of a viewer, and where it lies; a frame of a stack has its own place."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Layer, Points
from numpy.typing import NDArray
from psygnal import Signal

from napari_stemprior.qt.image_session import ImageSession
from napari_stemprior.qt.layers import atom_layers
from napari_stemprior.qt.layers.image_notes import note_inverted, note_mask
from napari_stemprior.qt.layers.insertion import insert_beside, reveal
from napari_stemprior.qt.layers.lattice_overlay import fill_overlay, overlay_layer
from napari_stemprior.qt.layers.removal import remove_layer
from napari_stemprior.qt.specimen import Specimen
from napari_stemprior.registration import LatticeFit, Pose
from napari_stemprior.structure import Prior


class PlacedSession(ImageSession):
    """Prior and place of the chosen image.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
        The viewer or its model; no window is needed.
    """

    prior_changed = Signal()
    pose_changed = Signal()

    def __init__(self, viewer: ViewerModel) -> None:
        super().__init__(viewer)
        #: The prior that was chosen before there was an image; the first one takes it.
        self._waiting_prior: Prior | None = None
        #: Pixel (y, x) about which a person turns the lattice, while that is done.
        self.pivot: NDArray[np.float64] | None = None
        #: Whether a fit of the lattice also calibrates the image.
        self.scale_from_lattice = False
        self._specimens: dict[str, Specimen] = {}

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
        if self.pose is not None and not np.isclose(self.pose.pixel_size, value, rtol=0.1):
            self.set_fit(None)  # it was found at a scale that no longer holds

    def calibrate(self, image: Image, value: float, source: str = "given") -> None:
        """Give any image of the viewer its pixel size; atoms follow, fits at another scale are forgotten.

        Parameters
        ----------
        image : napari.layers.Image
        value : float
            Å/px.
        source : str
            Where it comes from: ``"file"``, ``"given"`` or ``"lattice"``.

        Raises
        ------
        PixelSizeError
            If the value is not a positive number.
        """
        super().calibrate(image, value, source)
        specimen = self.specimen(image)
        if specimen.editor is not None:
            specimen.editor.pixel_size = value
        specimen.fits = {
            frame: fit
            for frame, fit in specimen.fits.items()
            if np.isclose(fit.pose.pixel_size, value, rtol=0.1)
        }

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

    @property
    def mask(self) -> NDArray[np.bool_] | None:
        """Where a person wants no atoms on the chosen image, (H, W); None where that is nowhere."""
        return None if self._image is None else atom_layers.mask_of(self._image)

    def set_mask(self, mask: NDArray[np.bool_] | None) -> None:
        """Exclude places of the chosen image; sites of its fits are listed anew when they are next needed."""
        if self._image is None or not note_mask(self._image, mask):
            return
        specimen = self.specimen(self._image)
        if specimen.fit is not None:
            specimen.fit = replace(specimen.fit, sites=None)
        specimen.fits = {frame: replace(fit, sites=None) for frame, fit in specimen.fits.items()}
        self._on_image()
        self.pose_changed.emit()

    def specimen(self, image: Image) -> Specimen:
        """What is known about an image of the viewer, chosen or not."""
        key = atom_layers.layer_id(image)
        if key not in self._specimens:
            self._specimens[key] = Specimen.of(image)
        return self._specimens[key]

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
                self.specimen(self._image).prior = prior
            if self.fit is None:
                self.show_overlay(False)  # it shows another prior
            self.prior_changed.emit()
            self.pose_changed.emit()

    @property
    def fit(self) -> LatticeFit | None:
        """Where the prior lies on the image and what the fit found beside it."""
        specimen = self._specimen_or_none()
        return None if specimen is None else specimen.fit_of(self.frame)

    @property
    def last_fit(self) -> LatticeFit | None:
        """The fit of the chosen image that was made last, of whichever frame."""
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

    def set_fit(self, fit: LatticeFit | None, frame: tuple[int, ...] | None = None) -> None:
        """Remember where a prior lies on the chosen image; a shown overlay follows.

        Parameters
        ----------
        fit : LatticeFit or None
        frame : tuple of int, optional
            Of a stack; the present one by default.
        """
        if self._image is None:
            return
        specimen = self.specimen(self._image)
        specimen.fit = fit
        frame = self.frame if frame is None else frame
        if fit is None:
            specimen.fits.pop(frame, None)
        elif frame:
            specimen.fits[frame] = fit
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
        now = self.fit  # the window had its turn
        if (
            image not in self.viewer.layers
            or image is not self._image
            or now is None
            or self.overlay is not None
        ):
            return
        if now is not fit:
            fill_overlay(layer, image, now, size, self.pivot)
        layer.visible = False  # to draw a layer for the first time is a piece of work of its own
        insert_beside(self.viewer, self.viewer.layers.index(image) + 1, layer)
        yield
        reveal(self.viewer, layer)

    # --- inside -------------------------------------------------------------------------------
    def _of_role(self, role: str) -> Layer | None:
        return None if self._image is None else atom_layers.of_role(self.viewer.layers, role, self._image)

    def _specimen_or_none(self) -> Specimen | None:
        return None if self._image is None else self.specimen(self._image)
