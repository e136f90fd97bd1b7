"""The symmetries of a prior's lattice, its basis left aside."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from napari_stemprior.structure import StructurePrior


@lru_cache(maxsize=64)
def lattice_symmetries(prior: StructurePrior, tolerance: float = 0.025) -> tuple[NDArray[np.float64], ...]:
    """Find the maps of the plane that carry the lattice (not the basis) onto itself.

    Parameters
    ----------
    prior : StructurePrior
    tolerance : float
        Largest strain that still counts as a symmetry.

    Returns
    -------
    tuple of (2, 2) arrays
        Maps of (x, y) in Å, the identity first, proper before improper.
    """
    cell = prior.cell
    inverse = np.linalg.inv(cell)
    found: list[tuple[float, NDArray[np.float64]]] = []
    span = np.arange(-3, 4)
    for entries in np.stack(np.meshgrid(span, span, span, span, indexing="ij"), -1).reshape(-1, 4):
        integer = entries.reshape(2, 2)
        determinant = integer[0, 0] * integer[1, 1] - integer[0, 1] * integer[1, 0]
        if abs(determinant) != 1:
            continue
        # rows of `integer @ cell` are the images of the cell vectors
        linear = (inverse @ (integer @ cell)).T
        stretch = np.linalg.svd(linear, compute_uv=False)
        if np.abs(stretch - 1).max() <= tolerance:
            rank = (0.0 if determinant > 0 else 10.0) + float(np.abs(linear - np.eye(2)).max())
            found.append((rank, linear))
    return tuple(linear for _, linear in sorted(found, key=lambda item: item[0]))


def has_mirror(prior: StructurePrior) -> bool:
    """Tell whether the lattice (not the basis) is its own mirror image."""
    return any(np.linalg.det(linear) < 0 for linear in lattice_symmetries(prior))
