"""What the provenance of a table keeps of the prior and of where its lattice lay."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_stemprior.inference.image_lattice import ImageLattice
from napari_stemprior.registration import LatticeFit
from napari_stemprior.structure import Prior


def told_of_question(
    prior: Prior | None, fits: bool, unplaced: bool, own: ImageLattice | None, trust: float
) -> dict[str, Any]:
    """Return plain values for the provenance: which prior was asked for, and what became of it.

    Parameters
    ----------
    prior : StructurePrior, Stack or None
    fits : bool
        Whether its lattice was laid on the image.
    unplaced : bool
        Whether the network was told it without a place.
    own : ImageLattice or None
        The lattice of the image that was used in its place.
    trust : float
    """
    return {
        "prior": prior.name if prior else None,
        "prior_fits": fits if prior else None,
        "prior_unplaced": unplaced,
        "image_lattice": None if own is None else own.told(),
        "trust": trust,
    }


def told_of_fit(
    fit: LatticeFit | None, yx: NDArray[np.float64], shape: tuple[int, int], pixel_size: float
) -> dict[str, Any]:
    """Return plain values for the provenance.

    Parameters
    ----------
    fit : LatticeFit or None
        None where no lattice was used or it does not fit.
    yx : (N, 2) array
        Atoms in pixels.
    shape : (int, int)
        Rows and columns of the image.
    pixel_size : float
        Å/px.
    """
    if fit is None:
        return {"reservations": [], "lattice_pixel_size": None, "empty_sites": None, "pose": None}
    pose = fit.pose
    return {
        "reservations": list(fit.reservations),
        "lattice_pixel_size": pose.pixel_size,
        **({"locked_grains": len(fit.locked)} if fit.locked else {}),
        "empty_sites": fit.registered.count_empty(yx, shape, pixel_size),
        "pose": {
            "affine": pose.affine.tolist(),
            "origin": pose.origin.tolist(),
            "score": pose.score,
            "reservations": list(fit.reservations),
        },
    }
