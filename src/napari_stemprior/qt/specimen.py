"""What the desk knows about one image: its prior, where that lies, and its atoms."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from napari.layers import Image

from napari_stemprior.qt.editing.atom_editor import AtomEditor
from napari_stemprior.qt.layers.atom_layers import KEY
from napari_stemprior.registration import LatticeFit
from napari_stemprior.registration.grain import Grain
from napari_stemprior.registration.locked_grains import holding, locked_alone
from napari_stemprior.structure import Prior


@dataclass
class Specimen:
    """What is known about one image."""

    #: What a person chose and the network is prompted with; a stack has several `layers`.
    prior: Prior | None = None
    #: The fit that was made last, and those of the frames of a stack.
    fit: LatticeFit | None = None
    fits: dict[tuple[int, ...], LatticeFit] = field(default_factory=dict)
    editor: AtomEditor | None = None
    #: The editor of an atoms layer that was removed from the viewer.
    removed: AtomEditor | None = None

    @classmethod
    def of(cls, image: Image) -> Specimen:
        """Return what a session that was opened tells about an image, once; else nothing is known yet."""
        saved = image.metadata.get(KEY, {}).pop("saved", None)
        if saved is None:
            return cls()
        return cls(saved.context.prior, saved.context.fit, dict(saved.fits))

    def fit_of(self, frame: tuple[int, ...]) -> LatticeFit | None:
        """Where the present prior lies on a frame: its own fit, else the one that was made last."""
        known = (self.fits.get(frame), self.fit)
        return next((fit for fit in known if fit is not None and fit.prior == self.prior), None)

    def own_fit(self, frame: tuple[int, ...]) -> LatticeFit | None:
        """Where the present prior lies on a frame, if it was fitted to that one."""
        fit = self.fits.get(frame) if frame else self.fit
        return fit if fit is not None and fit.prior == self.prior else None

    def locked_on(self, frame: tuple[int, ...]) -> tuple[Grain, ...]:
        """Return the grains that a person has locked on a frame; those of another frame count there alone."""
        own = self.own_fit(frame)
        return own.locked if own is not None else ()

    def put_fit(self, fit: LatticeFit | None, frame: tuple[int, ...]) -> None:
        """Remember where the prior lies on a frame; the grains that a person has locked there stay.

        Parameters
        ----------
        fit : LatticeFit or None
            None forgets all but those grains.
        frame : tuple of int
            Of a stack; () for a single image.
        """
        locked = self.locked_on(frame)
        if locked and self.prior is not None:
            if fit is None:
                fit = locked_alone(self.prior, locked)
            elif fit.prior == self.prior and not fit.locked:
                fit = holding(fit, locked)
        self.place(fit, frame)

    def place(self, fit: LatticeFit | None, frame: tuple[int, ...]) -> None:
        """Remember a fit as it is, whatever was locked."""
        self.fit = fit
        if fit is None:
            self.fits.pop(frame, None)
        elif frame:
            self.fits[frame] = fit

    def forget_scale(self, pixel_size: float) -> None:
        """Forget the fits of frames that were found at another pixel size (Å/px), but for locked grains."""
        for frame, fit in list(self.fits.items()):
            if not np.isclose(fit.pose.pixel_size, pixel_size, rtol=0.1):
                del self.fits[frame]
                if fit.locked:
                    self.fits[frame] = locked_alone(fit.prior, fit.locked)
