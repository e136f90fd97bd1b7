"""How far atoms are from their ideal sites."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_stemprior.atoms import AtomTable
from napari_stemprior.measurement.lattice_indices import LatticeIndices
from napari_stemprior.measurement.position_errors import position_errors
from napari_stemprior.measurement.reference_lattice import ReferenceLattice

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Displacements:
    """Displacements of N atoms from the sites of a reference lattice.

    Parameters
    ----------
    ideal : (N, 2) array
        Å (x, y) on the image; NaN where an atom has no site.
    xy : (N, 2) array
        Measured less ideal, Å (x, y).
    error : (N,) array
        Standard error of a component of `xy`, Å; that of the reference is part of it.
    position_error : (N,) array
        Standard error of the atom's own position along one axis, Å.
    """

    ideal: Floats
    xy: Floats
    error: Floats
    position_error: Floats


def displacements(
    atoms: AtomTable,
    indices: LatticeIndices,
    reference: ReferenceLattice,
    sigma: Floats | None = None,
) -> Displacements:
    """Measure displacements.

    The variance is that of the position and that of the reference, which the position has pulled along where
    it belongs to the reference: ``σ² (1 - h)`` with the leverage h, and ``σ² (1 + h)`` outside.

    Parameters
    ----------
    atoms : AtomTable
    indices : LatticeIndices
    reference : ReferenceLattice
    sigma : (N,) array, optional
        Standard errors of positions along one axis from the fit of the columns, Å.

    Returns
    -------
    Displacements
    """
    ideal = reference.positions(indices)
    moved = atoms.yx_angstrom[:, ::-1] - ideal
    own = position_errors(ideal, moved, indices.sublattice, sigma)
    leverage = reference.leverage(indices)
    change = np.where(reference.used, -leverage, leverage)
    return Displacements(ideal, moved, own * np.sqrt(np.maximum(1 + change, 0.0)), own)
