"""What the provenance of a table keeps of where the lattice lay."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_stemprior.registration import LatticeFit


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
