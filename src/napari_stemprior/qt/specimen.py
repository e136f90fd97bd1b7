"""What the desk knows about one image: its prior, where that lies, and its atoms."""

from __future__ import annotations

from dataclasses import dataclass, field

from napari.layers import Image

from napari_stemprior.qt.editing.atom_editor import AtomEditor
from napari_stemprior.qt.layers.atom_layers import KEY
from napari_stemprior.registration import LatticeFit
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
