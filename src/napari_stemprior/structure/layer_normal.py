"""Layers along their normal, which in a triclinic or monoclinic crystal is no lattice vector."""

from __future__ import annotations

from dataclasses import replace
from math import gcd

import numpy as np
from ase import Atoms
from ase.data import covalent_radii
from numpy.typing import NDArray

from napari_stemprior.errors import StructureError
from napari_stemprior.structure.lattice_basis import basis_with_third, lattice_vector_along
from napari_stemprior.structure.near_pairs import near_pairs
from napari_stemprior.structure.prior import StructurePrior
from napari_stemprior.structure.projection import (
    BOND_FACTOR,
    LAYER_GAP,
    VACUUM_GAP,
    project,
    site_contents,
)
from napari_stemprior.structure.translations import smallest_cell
from napari_stemprior.structure.zone_axis import Direction, PlaneNormal, format_indices

#: A layer in vacuum is thinner than this, Å; a thicker slab is a crystal seen from where its file says.
_THICKEST_LAYER = 10.0
#: The planes of a cell that a layer may lie in.
_PLANES = ((0, 0, 1), (1, 0, 0), (0, 1, 0))


def project_along(
    atoms: Atoms, direction: Direction | None = None, *, name: str, source: str = ""
) -> StructurePrior:
    """Project a crystal along a lattice direction, as it lies, or along the normal of a plane.

    Parameters
    ----------
    atoms : ase.Atoms
    direction : tuple of int or PlaneNormal, optional
        None takes the structure as it lies, beam along z; a single layer in vacuum is seen along its normal.
    name : str
    source : str

    Raises
    ------
    StructureError
        If the structure cannot be projected, see `project`, or holds no layers along that normal.
    """
    if isinstance(direction, PlaneNormal):
        return _along_normal(atoms, direction, name, source)
    if direction is None and (plane := _lone_layer(atoms)) is not None:
        prior = _along_normal(atoms, PlaneNormal(plane), name, source)
        said = (
            f"{name}: the layer does not lie across z, so it is seen along its normal; or give a zone axis."
        )
        return replace(prior, remarks=(said,))
    return project(atoms, direction, name=name, source=source)


def direction_of_leaning(atoms: Atoms) -> tuple[Direction | None, tuple[str, ...]]:
    """Choose a direction for a cell along whose z no lattice vector lies.

    The choice is the normal of its layers if it has any, else [001].

    Parameters
    ----------
    atoms : ase.Atoms
        With at least one atom and a cell.

    Returns
    -------
    direction : tuple of int, PlaneNormal or None
        None where a lattice vector lies along z, or a lone layer decides.
    remarks : tuple of str
        What was chosen.
    """
    if atoms.cell.rank < 3 or not atoms.pbc.all() or not len(atoms):
        return None, ()
    if lattice_vector_along(np.array([0.0, 0.0, 1.0]), atoms.cell.array) is not None:
        return None, ()
    if _lone_layer(atoms) is not None or _slab_across_z(atoms):
        return None, ()
    if _layered(atoms):
        return PlaneNormal(), (
            "no zone axis was given, and no lattice vector lies along z; "
            "it is seen along the normal of its layers.",
        )
    return (0, 0, 1), ("no zone axis was given, and no lattice vector lies along z; it is seen along [001].",)


def _slab_across_z(atoms: Atoms) -> bool:
    """Tell whether vacuum lies above a slab whose normal is z."""
    slab = _Slab(atoms, (0, 0, 1))
    return bool(slab.gaps[0] >= VACUUM_GAP and abs(slab.normal[2]) > 1 - 1e-6)


def _along_normal(atoms: Atoms, normal: PlaneNormal, name: str, source: str) -> StructurePrior:
    hkl = normal.hkl
    if atoms.cell.rank < 3 or not atoms.pbc.all():
        if hkl in (None, (0, 0, 1)):
            return project(atoms, (0, 0, 1), name=name, source=source)
        raise StructureError(
            f"{name}: the structure is a layer that does not repeat along c; its plane is 001."
        )
    atoms = _primitive(atoms)
    hkl = _layer_plane(atoms, name) if hkl is None else _in_cell(atoms, hkl)
    slab = _Slab(atoms, hkl)
    uvw = lattice_vector_along(slab.normal, atoms.cell.array)
    if uvw is not None:
        return project(atoms, uvw, name=name, source=source)
    plane = format_indices(normal.hkl or hkl, "()")
    if slab.is_bonded:
        raise StructureError(
            f"{name}: no lattice vector lies along the normal of {plane} and no gap between layers lies "
            "across it, so the beam sees no columns; give a zone axis."
        )
    prior = project(slab.upright(), (0, 0, 1), name=name, source=source)
    return replace(prior, zone_axis=f"normal of {plane}")


def _primitive(atoms: Atoms) -> Atoms:
    """Return the smallest cell, so that a layer is counted once; its file's cell is kept in ``info``."""
    cell = np.array(atoms.cell.array)
    small, fractional, groups = smallest_cell(cell, atoms.get_scaled_positions(), site_contents(atoms))
    primitive = atoms[[group[0] for group in groups]]
    primitive.info = dict(atoms.info) | {"conventional_cell": cell}
    primitive.set_cell(small)
    primitive.set_scaled_positions(fractional)
    return primitive


def _in_cell(atoms: Atoms, hkl: tuple[int, int, int]) -> tuple[int, int, int]:
    """Carry the indices of a plane from the cell of the file to the smallest cell."""
    reciprocal = np.linalg.inv(atoms.info["conventional_cell"]) @ np.array(hkl)
    return _integers(np.array(atoms.cell.array) @ reciprocal)


def _integers(indices: NDArray[np.float64]) -> tuple[int, int, int]:
    smallest = np.abs(indices)[np.abs(indices) > 1e-6].min()
    for multiple in range(1, 49):
        scaled = indices / smallest * multiple
        if np.abs(scaled - np.round(scaled)).max() < 1e-4:
            break
    h, k, l = (int(i) for i in np.round(scaled))  # noqa: E741
    divisor = gcd(h, k, l)
    return h // divisor, k // divisor, l // divisor


class _Slab:
    """A crystal in a basis whose first two vectors lie in a plane, cut at the widest gap across it."""

    def __init__(self, atoms: Atoms, hkl: tuple[int, int, int]) -> None:
        # rows of the inverse transpose are orthogonal to hkl but for the last, on which hkl is 1
        basis = np.round(np.linalg.inv(basis_with_third(np.array(hkl))).T)
        self.atoms = atoms
        self.cell = basis @ np.array(atoms.cell.array)
        normal = np.cross(self.cell[0], self.cell[1])
        self.normal = normal / np.linalg.norm(normal) * np.sign(normal @ self.cell[2])
        self.spacing = float(self.cell[2] @ self.normal)
        frac = np.mod(atoms.positions @ np.linalg.inv(self.cell), 1.0)
        order = np.sort(frac[:, 2])
        gaps = np.diff(order, append=order[0] + 1)
        widest = int(np.argmax(gaps))
        self.gaps = np.sort(gaps)[::-1] * self.spacing
        frac[:, 2] = np.mod(frac[:, 2] - order[(widest + 1) % len(order)] + 1e-9, 1.0)
        self.frac = frac

    @property
    def thickness(self) -> float:
        """Å from the first to the last atom."""
        return self.spacing - float(self.gaps[0])

    @property
    def is_bonded(self) -> bool:
        """Whether atoms on both sides of the widest gap hold together."""
        if self.gaps[0] < LAYER_GAP:
            return True
        radii = covalent_radii[self.atoms.numbers]
        first, second, vectors = near_pairs(self.frac, self.cell, 2 * BOND_FACTOR * float(radii.max()))
        bonded = np.linalg.norm(vectors, axis=1) < BOND_FACTOR * (radii[first] + radii[second])
        steps = vectors @ np.linalg.inv(self.cell)
        beyond = np.floor(self.frac[first, 2] + steps[:, 2] + 1e-6)
        return bool((bonded & (beyond != 0)).any())

    def upright(self) -> Atoms:
        """Return the layers with the third vector along the normal, along which they do not repeat."""
        atoms = self.atoms.copy()
        atoms.positions = self.frac @ self.cell
        atoms.cell = [self.cell[0], self.cell[1], self.normal * (self.thickness + 2 * VACUUM_GAP)]
        atoms.pbc = (True, True, False)
        return atoms


def _layer_plane(atoms: Atoms, name: str) -> tuple[int, int, int]:
    """Return the plane of the cell across which the widest gap between layers lies."""
    layered = _layered(atoms)
    if not layered:
        raise StructureError(
            f"{name}: the crystal has no gap between layers, so its layers have no normal; give a zone axis, "
            "or the normal of a plane (hkl)."
        )
    return max(layered, key=lambda gap: round(gap[0], 6))[1]


def _layered(atoms: Atoms) -> list[tuple[float, tuple[int, int, int]]]:
    """List the planes of the cell that gaps between layers lie along, with the widest gap of each in Å."""
    slabs = [(plane, _Slab(atoms, plane)) for plane in _PLANES]
    return [(float(slab.gaps[0]), plane) for plane, slab in slabs if not slab.is_bonded]


def _lone_layer(atoms: Atoms) -> tuple[int, int, int] | None:
    """Return the plane of a single thin layer in vacuum, where its normal is not z."""
    if atoms.cell.rank < 3 or not atoms.pbc.all() or not len(atoms):
        return None
    slabs = [(plane, _Slab(atoms, plane)) for plane in _PLANES]
    open_planes = [(plane, slab) for plane, slab in slabs if slab.gaps[0] >= VACUUM_GAP]
    if len(open_planes) != 1:
        return None
    plane, slab = open_planes[0]
    is_single = slab.thickness < _THICKEST_LAYER and (len(slab.gaps) < 2 or slab.gaps[1] < LAYER_GAP)
    lies_across_z = abs(slab.normal[2]) > 1 - 1e-6
    return plane if is_single and not lies_across_z else None
