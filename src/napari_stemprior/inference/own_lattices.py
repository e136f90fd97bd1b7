"""What stands in for a lattice that no prior has laid on an image: the one that the image itself shows."""

from __future__ import annotations

from collections.abc import Callable, Generator

import torch

from napari_stemprior.inference.calibration import Calibration
from napari_stemprior.inference.decoding import Peaks
from napari_stemprior.inference.image_lattice import (
    SURE,
    Floats,
    ImageLattice,
    borne_out,
    find_image_lattice,
)
from napari_stemprior.inference.stretched_prior import find_stretched_prior
from napari_stemprior.network.stemprior_net import StructurePromptedNet
from napari_stemprior.progress import Progress
from napari_stemprior.recording import PreparedImage
from napari_stemprior.recording.prepared_strips import PreparedStrips
from napari_stemprior.registration import LatticeFit
from napari_stemprior.structure import Prior

#: Finds the columns of an image with a prior that lies somewhere, and a trust in it.
FindColumns = Callable[[Prior, LatticeFit, float], Generator[Progress, None, tuple[Peaks, bool]]]


class OwnLattices:
    """The lattices of one image: each is looked for once.

    Parameters
    ----------
    image : PreparedImage or PreparedStrips
    pixel_size : float
        Å/px.
    network : StructurePromptedNet
        On `device`, in evaluation mode.
    device : torch.device
    precision : torch.dtype
        See `predict_each`.
    calibration : Calibration
        Of the network.
    ordered : bool
        Whether the image shows order without a lattice (`order`).
    """

    def __init__(
        self,
        image: PreparedImage | PreparedStrips,
        pixel_size: float,
        network: StructurePromptedNet,
        device: torch.device,
        precision: torch.dtype,
        calibration: Calibration,
        ordered: bool,
    ) -> None:
        self._image, self._pixel_size, self._ordered = image, pixel_size, ordered
        self._asked = network, device, precision, calibration
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
        if prior is not None and trust > 0:
            if self._of_prior is None or self._of_prior[0] != prior:
                found = find_stretched_prior(self._image, self._pixel_size, prior, self._ordered)
                self._of_prior = prior, (yield from found)
            lattice = self._of_prior[1]
            if lattice is not None:
                return lattice, (yield from columns(lattice.prior, lattice.fit, trust))[0]
        if self._of_image is None:
            asked = (*self._asked, yx[confidence >= SURE], self._ordered)
            self._of_image = ((yield from find_image_lattice(self._image, self._pixel_size, *asked)),)
        (lattice,) = self._of_image
        if lattice is None:
            return None
        peaks, _ = yield from columns(lattice.prior, lattice.fit, 1.0)
        return (lattice, peaks) if borne_out(lattice, self._pixel_size, alone, peaks.confidence) else None
