"""What lies around the atoms of the chosen image: its pixels, and the sites of its lattice."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_stemprior.atoms.peak_fit import sampled, smoothed, snap
from napari_stemprior.atoms.site_occupancy import SiteOccupancy
from napari_stemprior.errors import StempriorError
from napari_stemprior.qt.layers.atom_layers import shape_of
from napari_stemprior.qt.session import Session
from napari_stemprior.recording.stored_image import is_stored
from napari_stemprior.structure.lattice_sites import LatticeSites
from napari_stemprior.workflow.count_doubts import BRIGHTNESS_RADIUS, atom_spacing, questioned_sites

Floats = NDArray[np.float64]

#: How far a click may be from an atom in parts of the distance between atoms.
REACH = 0.4


class ImageContext:
    """Answers questions about image and lattice; what is dear is remembered while they stay the same.

    Parameters
    ----------
    session : Session
    """

    def __init__(self, session: Session) -> None:
        self.session = session
        self._sites_of: tuple[object, ...] = ()
        self._sites: LatticeSites | None = None
        self._occupancy: SiteOccupancy | None = None
        self._spacing_of: tuple[object, ...] = ()
        self._spacing = 0.0
        self._lattice_of: tuple[object, ...] = ()
        self._lattice: LatticeSites | None = None
        self._smooth: tuple[NDArray[np.float32], float, NDArray[np.float32]] | None = None

    @property
    def image(self) -> NDArray[np.float32] | None:
        """The pixels of the present frame; None where the image cannot be a micrograph."""
        try:
            return self.session.micrograph().image
        except StempriorError:
            return None

    @property
    def shape(self) -> tuple[int, int] | None:
        """Rows and columns of the image."""
        return None if self.session.image is None else shape_of(self.session.image)

    @property
    def spacing(self) -> float:
        """Usual distance between neighbouring atoms in px."""
        editor = self.session.editor
        if editor is None:
            return 10.0
        now = (id(editor), editor.frame, len(editor.history) // 50)  # a few atoms more change nothing
        if now != self._spacing_of:
            self._spacing, self._spacing_of = atom_spacing(editor.table()), now
        return self._spacing

    @property
    def placement(self) -> object:
        """What is the same object as long as the sites are: to lock a grain moves none of them."""
        fit = self.session.fit
        return fit if fit is None or fit.sites is None else fit.sites

    @property
    def lattice(self) -> LatticeSites | None:
        """The sites of the prior, as the fit has them."""
        fit, shape = self.session.fit, self.shape
        if fit is None or shape is None or not fit.is_fit:
            return None
        mask = self.session.mask
        known, place = self._lattice_of, self.placement
        if self._lattice is None or not known or known[0] is not place or known[1] is not mask:
            self._lattice_of, self._lattice = (place, mask), questioned_sites(fit, shape, mask)
        return self._lattice

    def sites(self) -> LatticeSites | None:
        """The sites of the prior, drawn to the atoms around them; None without a fit."""
        editor, fit = self.session.editor, self.session.fit
        if editor is None or fit is None:
            return None
        now = (id(self.placement), id(self.session.mask), id(editor), editor.frame, editor.history.generation)
        if now != self._sites_of:
            lattice, table = self.lattice, editor.table()
            layer = table.rows["layer"].to_numpy()
            self._sites = None if lattice is None else lattice.relaxed(table.yx, layer)
            self._sites_of = now
        return self._sites

    def occupancy(self) -> SiteOccupancy | None:
        """Tells which of the sites are empty; None without a fit."""
        sites = self.sites()
        if sites is None:
            return None
        if self._occupancy is None or self._occupancy.sites is not sites:
            self._occupancy = SiteOccupancy(sites)
        return self._occupancy

    def snap(self, yx: Floats) -> Floats:
        """Return the bright spot next to a place, or the place itself where there is none."""
        image = self.image
        return np.asarray(yx, float) if image is None else snap(image, yx, REACH * self.spacing)

    def brightness(self, yx: Floats) -> Floats | None:
        """Return how bright the image is around places, in its own units."""
        image = self.image
        if image is None or is_stored(image):  # one that is not in memory is not smoothed for this
            return None
        radius = BRIGHTNESS_RADIUS * self.spacing
        known = self._smooth
        if known is None or known[0] is not image or not np.isclose(known[1], radius, rtol=0.1):
            known = self._smooth = (image, radius, smoothed(image, radius))
        return sampled(known[2], yx)

    def displacement(self, rows: pd.DataFrame) -> Floats | None:
        """Return how far each of some rows is from its site in the fitted lattice, Å; None without a fit."""
        editor, lattice = self.session.editor, self.lattice
        if editor is None or lattice is None or not len(lattice):
            return None
        _, distance = lattice.nearest(rows[["y_px", "x_px"]].to_numpy(float), rows["layer"].to_numpy())
        # farther away it is no displaced atom of that site: it has none, or one beyond the edge
        return np.where(distance <= lattice.reach, distance, np.nan) * editor.pixel_size
