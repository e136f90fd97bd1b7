"""What a script or a notebook calls: the steps of a workflow as functions that return when they are done."""

from __future__ import annotations

from napari_stemprior.io.micrograph import Micrograph
from napari_stemprior.progress import drain
from napari_stemprior.registration import LatticeFit
from napari_stemprior.structure import Prior
from napari_stemprior.workflow import fit_lattice as steps
from napari_stemprior.workflow.operations import Operations


def fit_lattice(micrograph: Micrograph, prior: Prior) -> LatticeFit:
    """Find where the lattice of a prior lies on a micrograph.

    Parameters
    ----------
    micrograph : Micrograph
        Its image is an (H, W) array; its pixel size, in Å/px, has to be known.
    prior : StructurePrior or Stack
        The projected crystal, or layers with a lattice each; lengths in Å.

    Returns
    -------
    LatticeFit
        The poses (a (2, 2) matrix from Å to px, and an origin (y, x) in px, for each layer), the sites of the
        lattice where it follows the strain, and the reservations. ``fit.is_fit`` tells whether the lattice
        fits; the best candidate is returned where it does not.

    Raises
    ------
    PixelSizeError
        If the pixel size is unknown, or too coarse or too fine to show the lattice.
    RegistrationError
        If there is no lattice at all.
    """
    return drain(steps.fit_lattice(Operations(), micrograph, prior))
