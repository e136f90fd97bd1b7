"""How the second layer of a bilayer lies on the first from place to place: AA, AB, SP."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from napari_stemprior.atoms import AtomTable
from napari_stemprior.errors import MeasurementError
from napari_stemprior.measurement.lattice_indices import LatticeIndices
from napari_stemprior.measurement.reference_lattice import ReferenceLattice

Floats = NDArray[np.float64]

#: Named stackings of two hexagonal lattices by the shift, in vectors 120° apart: the same sites above each
#: other, one in the middle of a triangle of the other, and the saddle point half-way along a bond.
STACKINGS: dict[str, tuple[tuple[float, float], ...]] = {
    "AA": ((0.0, 0.0),),
    "AB": ((1 / 3, 2 / 3),),
    "BA": ((2 / 3, 1 / 3),),
    "SP": ((0.5, 0.0), (0.0, 0.5), (0.5, 0.5)),
}
#: Atoms of the second layer whose shift is averaged.
_NEAREST = 3
_LEAST = 4
#: A moiré of fewer cells than this has no places of one stacking.
_LEAST_CELLS = 5.0


@dataclass(frozen=True, eq=False)
class StackingMap:
    """The local shift of the second layer at M atoms of the first.

    Parameters
    ----------
    atom : (M,) array of int
        Row in the atom table: atoms of the first site of the first layer.
    shift : (M, 2) array
        Å (x, y) on the image, from the atom to the lattice of the same site in the second layer, the
        shortest.
    error : (M,) array
        Standard error of a component, Å.
    fraction : (M, 2) array
        The same in vectors of the first layer's cell, in [0, 1).
    stacking : (M,) array of str
        AA, AB, BA or SP, whichever is nearest; empty where the lattice is not hexagonal.
    off : (M,) array
        Å from the named stacking.
    share : dict
        Share of the places of each name.
    reason : str
        Why names are missing or mean little.
    """

    atom: NDArray[np.int64]
    shift: Floats
    error: Floats
    fraction: Floats
    stacking: NDArray[np.object_]
    off: Floats
    share: dict[str, float]
    reason: str


def stacking_map(
    atoms: AtomTable, indices: LatticeIndices, reference: ReferenceLattice, position_error: Floats
) -> StackingMap:
    """Measure the local shift between the first two layers of a stack.

    The vectors from an atom of the first layer to the nearest atoms of the same site in the second are
    brought into one cell and averaged. Names follow the shift of equal sites (Alden et al., PNAS 110
    (2013) 11256, for graphene); of layers turned by 180° to each other the same shifts are known by primed
    names.

    Parameters
    ----------
    atoms : AtomTable
    indices : LatticeIndices
    reference : ReferenceLattice
    position_error : (N,) array
        Å along one axis.

    Returns
    -------
    StackingMap

    Raises
    ------
    MeasurementError
        If there are not two layers, or one has too few atoms.
    """
    layers = [int(prior.layer_numbers[0]) for prior in indices.priors]
    others = [i for i, layer in enumerate(layers) if layer != layers[0]]
    if not others:
        raise MeasurementError("There is one layer only; stacking is measured between two.")
    second = others[0]
    own, upper = (
        np.flatnonzero((indices.lattice == number) & (indices.column == indices.first[number]))
        for number in (0, second)
    )
    if min(len(own), len(upper)) < _LEAST:
        raise MeasurementError("A layer has fewer than four atoms of its first site; stacking needs more.")
    xy = atoms.yx_angstrom[:, ::-1]
    cell = indices.priors[0].cell @ reference.matrix[0].T
    if not np.isfinite(cell).all():
        raise MeasurementError("The first layer has too few atoms for a lattice of its own.")
    inverse = np.linalg.inv(cell)
    found = cKDTree(xy[upper]).query(xy[own], k=_NEAREST)
    distance, near = np.asarray(found[0]), np.asarray(found[1])
    reach = 1.2 * float(np.linalg.norm(cell, axis=1).max())
    keep = distance[:, 0] <= reach
    own, distance, near = own[keep], distance[keep], near[keep]
    vector = xy[upper][near] - xy[own][:, None]
    step = (vector - vector[:, :1]) @ inverse
    same = (distance <= reach) & (np.linalg.norm((step - np.rint(step)) @ cell, axis=2) < 0.25 * reach)
    same[:, 0] = True
    brought = vector - np.rint(step) @ cell
    count = same.sum(1)
    shift = (brought * same[..., None]).sum(1) / count[:, None]
    variance = (np.where(same, position_error[upper][near] ** 2, 0)).sum(1) / count**2
    error = np.sqrt(variance + position_error[own] ** 2)
    shift = _shortest(shift, cell)
    fraction = (shift @ inverse) % 1.0
    names, off, reason = _named(fraction, cell)
    share = {name: float((names == name).mean()) for name in STACKINGS if (names == name).any()}
    return StackingMap(own, shift, error, fraction, names, off, share, reason)


def _shortest(shift: Floats, cell: Floats) -> Floats:
    """Bring shifts into the Wigner-Seitz cell."""
    steps = np.array([(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1)]) @ cell
    base = shift - np.rint(shift @ np.linalg.inv(cell)) @ cell
    all_of_them = base[:, None] + steps
    best = np.argmin((all_of_them**2).sum(2), axis=1)
    return np.asarray(all_of_them[np.arange(len(shift)), best])


def _named(fraction: Floats, cell: Floats) -> tuple[NDArray[np.object_], Floats, str]:
    a, b = np.linalg.norm(cell, axis=1)
    angle = float(np.rad2deg(np.arccos(np.clip(cell[0] @ cell[1] / (a * b), -1, 1))))
    n = len(fraction)
    if abs(a - b) > 0.05 * a or min(abs(angle - 60), abs(angle - 120)) > 3:
        reason = "AA, AB and SP are names for hexagonal lattices; this one has the shift only"
        return np.full(n, "", object), np.full(n, np.nan), reason
    # with vectors 60° apart the second one is that of 120° plus the first
    in_120 = fraction if angle > 90 else np.stack([fraction[:, 0] + fraction[:, 1], fraction[:, 1]], axis=1)
    wide = cell if angle > 90 else np.array([cell[0], cell[1] - cell[0]])
    names = np.array([name for name, places in STACKINGS.items() for _ in places], object)
    places = np.array([place for group in STACKINGS.values() for place in group])
    gap = in_120[:, None] - places
    gap = gap - np.rint(gap)
    distance = np.linalg.norm(_shortest((gap @ wide).reshape(-1, 2), wide), axis=1).reshape(n, len(places))
    best = np.argmin(distance, axis=1)
    return names[best], distance[np.arange(n), best], ""
