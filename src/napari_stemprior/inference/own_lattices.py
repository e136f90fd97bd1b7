"""What stands in for a lattice that no prior has laid on an image: the one that the image itself shows."""

from __future__ import annotations

from collections.abc import Callable, Generator

from napari_stemprior.inference.decoding import Peaks
from napari_stemprior.inference.image_lattice import (
    SURE,
    CandidateBases,
    Floats,
    ImageLattice,
    borne_out,
    find_image_lattice,
)
from napari_stemprior.inference.predictor import Predictor
from napari_stemprior.inference.stretched_prior import find_stretched_prior
from napari_stemprior.progress import Progress
from napari_stemprior.recording import PreparedImage
from napari_stemprior.recording.prepared_strips import PreparedStrips
from napari_stemprior.registration import LatticeFit
from napari_stemprior.structure import Prior

#: Finds the columns of an image with a prior that lies somewhere, and a trust in it.
FindColumns = Callable[[Prior, LatticeFit, float], Generator[Progress, None, tuple[Peaks, bool]]]


class OwnLattices:
    """The lattices of one image: its spectrum is looked at once, and each lattice looked for once.

    Parameters
    ----------
    image : PreparedImage or PreparedStrips
    pixel_size : float
        Å/px.
    predictor : Predictor
    ordered : bool
        Whether the image shows order without a lattice (`order`).
    """

    def __init__(
        self,
        image: PreparedImage | PreparedStrips,
        pixel_size: float,
        predictor: Predictor,
        ordered: bool,
    ) -> None:
        self._image, self._pixel_size, self._ordered = image, pixel_size, ordered
        self._predictor = predictor
        self._bases: tuple[CandidateBases | None] | None = None
        self._of_image: tuple[ImageLattice | None] | None = None
        self._of_prior: tuple[Prior, ImageLattice | None] | None = None

    def stand_in(
        self, prior: Prior | None, trust: float, alone: tuple[Floats, Floats], columns: FindColumns
    ) -> Generator[Progress, None, tuple[ImageLattice, Peaks] | None]:
        """Return a lattice that the image bears out, and its columns, step by step; None without one.

        Columns of the prior that stand on the cell of the image come before those that the image tells.

        Parameters
        ----------
        prior : StructurePrior, Stack or None
            One whose own lattice was not laid on the image.
        trust : float
            In [0, 1], in the prior.
        alone : (N, 2) array and (N,) array
            Columns of the image alone, pixels, and their confidence.
        columns : callable
        """
        yx, confidence = alone
        bases = yield from self._candidates()
        if bases is None:
            return None
        if prior is not None and trust > 0:
            if self._of_prior is None or self._of_prior[0] != prior:
                stretched = find_stretched_prior(self._image, self._pixel_size, bases, prior)
                self._of_prior = prior, (yield from stretched)
            lattice = self._of_prior[1]
            if lattice is not None:
                return lattice, (yield from columns(lattice.prior, lattice.fit, trust))[0]
        if self._of_image is None:
            asked = (self._image, self._pixel_size, bases, self._predictor, yx[confidence >= SURE])
            self._of_image = ((yield from find_image_lattice(*asked)),)
        (lattice,) = self._of_image
        if lattice is None:
            return None
        peaks, _ = yield from columns(lattice.prior, lattice.fit, 1.0)
        return (lattice, peaks) if borne_out(lattice, self._pixel_size, alone, peaks.confidence) else None

    def _candidates(self) -> Generator[Progress, None, CandidateBases | None]:
        if self._bases is None:
            self._bases = ((yield from CandidateBases.of(self._image, self._pixel_size, self._ordered)),)
        return self._bases[0]
