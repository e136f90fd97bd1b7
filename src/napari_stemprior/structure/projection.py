"""Projection of a crystal along the beam to a small cell of atom columns."""

from __future__ import annotations

from dataclasses import replace
from math import gcd

import numpy as np
from ase import Atoms
from ase.data import covalent_radii
from numpy.typing import NDArray

from napari_stemprior.errors import StructureError
from napari_stemprior.structure.elements import ATOMIC_NUMBERS, SYMBOLS, Content
from napari_stemprior.structure.lattice_basis import basis_with_third, lattice_vector_along, reduced_plane
from napari_stemprior.structure.merged_columns import mean_place, merged_columns
from napari_stemprior.structure.near_pairs import near_pairs
from napari_stemprior.structure.prior import (
    Column,
    StructurePrior,
    numbered_sites,
)
from napari_stemprior.structure.translations import smallest_cell, wrapped
from napari_stemprior.structure.unit_cell import UnitCell
from napari_stemprior.structure.zone_axis import format_zone_axis

#: A gap along the beam (Å) that may separate two layers: narrower than any van der Waals gap
#: (S to S across the gap of MoS2 is 2.9 Å, C to C in graphite 3.35 Å). Planes of large atoms
#: lie as far apart, so a bond across the gap still holds them together.
LAYER_GAP = 2.4
#: Two atoms are bonded up to this many times the sum of their covalent radii.
BOND_FACTOR = 1.25
#: The smallest area (Å²) of a projected cell.
SMALLEST_AREA = 0.5
#: A gap (Å) that is vacuum rather than the space between layers.
VACUUM_GAP = 5.5


def project(
    atoms: Atoms, zone_axis: tuple[int, int, int] | None = None, *, name: str, source: str = ""
) -> StructurePrior:
    """Project a crystal along a zone axis and reduce it to its smallest projected cell.

    The viewer looks from the end of the zone axis (the side of high z): what lies there is hit first.

    Parameters
    ----------
    atoms : ase.Atoms
        With a cell. Site occupancies in ``atoms.info["occupancy"]`` are honoured as ASE's
        CIF reader leaves them. A structure that does not repeat along c is a layer.
    zone_axis : tuple of int or None
        Direction [uvw] of the beam in the basis of the cell; None takes the structure as it
        lies, beam along Cartesian z, and keeps its x and y. Along a zone axis the first
        vector of the projected cell becomes x.
    name : str
    source : str

    Raises
    ------
    StructureError
        If there are no atoms, no cell, the axis is [000], or no lattice vector lies along the beam.
    """
    atoms, sites = _checked(atoms, zone_axis, name)
    cell, frac = _with_third_vector(atoms, zone_axis, name)
    direction = _along_z(cell, name) if zone_axis is None else np.array(zone_axis) @ cell
    cell, frac, groups = smallest_cell(cell, frac, sites)
    sites = [sites[group[0]] for group in groups]
    uvw = np.round(direction @ np.linalg.inv(cell)).astype(int)
    basis = basis_with_third(uvw // gcd(*uvw.tolist()))
    lattice = basis @ cell
    frac = frac @ np.linalg.inv(basis)

    beam = lattice[2] / np.linalg.norm(lattice[2])
    if zone_axis is None:
        beam = np.array([0.0, 0.0, 1.0])
        across = np.eye(3)[:, :2]
    else:
        first = lattice[0] - (lattice[0] @ beam) * beam
        x = first / np.linalg.norm(first)
        across = np.stack([x, np.cross(beam, x)], axis=1)
    period = abs(float(lattice[2] @ beam))
    plane = reduced_plane(lattice[:2] @ across)
    if abs(np.linalg.det(plane)) < SMALLEST_AREA:
        axis = "z" if zone_axis is None else format_zone_axis(zone_axis)
        raise StructureError(
            f"{name}: along {axis} the columns lie closer than any microscope resolves; "
            "give a zone axis with smaller indices."
        )
    xy = (frac @ lattice) @ across
    downwards = -(frac @ lattice) @ beam  # electrons travel against the zone axis
    depth, layer, is_slab = _layers(downwards, _spacing(lattice @ beam), xy, plane, sites)

    columns = merged_columns(xy @ np.linalg.inv(plane), plane, sites, depth, layer)
    plane, columns = _smallest_projected(plane, columns)
    turn = np.eye(2)
    if zone_axis is not None:
        c, s = plane[0] / np.linalg.norm(plane[0])
        turn = np.array([[c, -s], [s, c]])
        plane = np.round(plane @ turn, 12) + 0.0
    owners = np.repeat(np.arange(len(sites)), [len(site) for site in sites])
    unit_cell = UnitCell(
        np.column_stack([lattice @ across @ turn, -lattice @ beam]),
        np.column_stack([xy @ turn, downwards])[owners],
        np.array([z for site in sites for z, _ in site]),
        np.array([part for site in sites for _, part in site]),
        owners,
    )
    axis = "as is" if zone_axis is None else format_zone_axis(zone_axis)
    return StructurePrior(
        name, axis, plane, _labelled(columns), 0.0 if is_slab else period, source, unit_cell
    )


def _checked(atoms: Atoms, zone_axis: tuple[int, int, int] | None, name: str) -> tuple[Atoms, list[Content]]:
    """Return the filled sites and what is on them, or say what is wrong with the structure."""
    sites = site_contents(atoms)
    filled = [i for i, site in enumerate(sites) if site]
    if not filled:
        raise StructureError(f"{name}: the structure has no atoms.")
    cell = np.array(atoms.cell.array, dtype=np.float64)
    positions = np.array(atoms.get_positions(), dtype=np.float64)
    if not np.isfinite(cell).all() or not np.isfinite(positions).all():
        raise StructureError(f"{name}: the cell or a position is not a finite number.")
    if np.linalg.norm(np.cross(cell[0], cell[1])) < 0.5:
        raise StructureError(f"{name}: the structure has no cell; give one that is periodic across the beam.")
    if not atoms.pbc[:2].all():
        raise StructureError(
            f"{name}: the structure is not periodic across the beam; set its periodicity (pbc) along a and b."
        )
    if zone_axis is not None and not any(zone_axis):
        raise StructureError(f"{name}: the zone axis [000] has no direction; give one such as [001].")
    if any(z == 0 for site in sites for z, _ in site):
        raise StructureError(f"{name}: an atom has no known element; give every atom a chemical symbol.")
    return atoms[filled], [sites[i] for i in filled]


def site_contents(atoms: Atoms) -> list[Content]:
    """List what sits on each site; ASE keeps shared and partly filled sites beside the atoms.

    Parameters
    ----------
    atoms : ase.Atoms

    Returns
    -------
    list of tuples of (int, float)
        Atomic numbers with their occupancies; empty where the site is.
    """
    table = atoms.info.get("occupancy")
    kinds = atoms.arrays.get("spacegroup_kinds")
    if not table or kinds is None:
        return [((int(z), 1.0),) for z in atoms.numbers]
    sites = []
    for number, kind in zip(atoms.numbers, kinds, strict=True):
        parts = table.get(str(kind), table.get(int(kind), {SYMBOLS[number]: 1.0}))
        filled = ((ATOMIC_NUMBERS[element], float(part)) for element, part in parts.items() if part > 0)
        sites.append(tuple(sorted(filled)))
    return sites


def _with_third_vector(
    atoms: Atoms, zone_axis: tuple[int, int, int] | None, name: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return cell and fractional positions; a layer gets a third vector across it."""
    cell = np.array(atoms.cell.array, dtype=np.float64)
    positions = np.array(atoms.get_positions(), dtype=np.float64)
    normal = np.cross(cell[0], cell[1])
    normal /= np.linalg.norm(normal)
    if atoms.cell.rank < 3 or not atoms.pbc[2]:
        if zone_axis is not None and zone_axis[2] and any(zone_axis[:2]):
            raise StructureError(
                f"{name}: the structure is a layer that does not repeat along c; "
                "give the zone axis [001] or one across it such as [100]."
            )
        if atoms.cell.rank == 3:
            normal *= np.sign(normal @ cell[2])
        elif zone_axis is None and normal[2] < 0:  # as it lies: the side of high z is the top
            normal = -normal
        cell = np.array([cell[0], cell[1], normal * (np.ptp(positions @ normal) + 4 * VACUUM_GAP)])
        return cell, positions @ np.linalg.inv(cell)
    frac = positions @ np.linalg.inv(cell)
    if zone_axis is None and abs(normal[2]) > 1 - 1e-6:
        # A layer in a skewed cell: how far c leans says nothing, the layer does not repeat along it.
        order = np.argsort(np.mod(frac[:, 2], 1.0))
        along = np.mod(frac[:, 2], 1.0)[order]
        gaps = np.diff(along, append=along[0] + 1)
        widest = int(np.argmax(gaps))
        if gaps[widest] * abs(cell[2, 2]) >= VACUUM_GAP:
            start = along[(widest + 1) % len(along)]
            frac = np.concatenate([frac[:, :2], np.mod(frac[:, 2:] - start + 1e-9, 1.0)], axis=1)
            upright = np.array([cell[0], cell[1], [0.0, 0.0, cell[2, 2]]])
            return upright, (frac @ cell) @ np.linalg.inv(upright)
    return cell, frac


def _along_z(cell: NDArray[np.float64], name: str) -> NDArray[np.float64]:
    """Find the shortest lattice vector along z."""
    uvw = lattice_vector_along(np.array([0.0, 0.0, 1.0]), cell)
    if uvw is None:
        raise StructureError(
            f"{name}: no lattice vector lies along z, so the beam sees no columns; give a zone axis, or "
            "'normal' for the normal of its layers."
        )
    vector: NDArray[np.float64] = np.array(uvw) @ cell
    return vector


def _spacing(steps: NDArray[np.float64]) -> float:
    """Return the distance along the beam between neighbouring lattice planes, by Euclid's algorithm.

    A lattice whose vectors lean against the beam fills every depth, so it cannot hold a vacuum.
    """
    spacing = 0.0
    for step in np.abs(steps):
        rest = float(step)
        while rest > 0.05:
            spacing, rest = rest, (spacing % rest if spacing else 0.0)
    return spacing


def _layers(
    depth: NDArray[np.float64],
    spacing: float,
    xy: NDArray[np.float64],
    plane: NDArray[np.float64],
    sites: list[Content],
) -> tuple[NDArray[np.float64], NDArray[np.int64], bool]:
    """Split a slab at its van der Waals gaps; a crystal that fills its cell is one layer.

    A crystal that repeats along the beam has no entrance surface to measure from: its depths are 0.
    """
    depth = np.mod(depth, spacing)
    order = np.argsort(depth)
    gaps = np.diff(depth[order], append=depth[order[0]] + spacing)
    if gaps.max() < VACUUM_GAP:
        return np.zeros(len(depth)), np.zeros(len(depth), dtype=np.int64), False
    start = depth[order[(int(np.argmax(gaps)) + 1) % len(order)]]
    depth = np.maximum(np.mod(depth - start + 1e-6, spacing) - 1e-6, 0.0)
    order = np.argsort(depth)
    radii = np.array([max(covalent_radii[z] for z, _ in site) for site in sites])
    layer = np.zeros(len(depth), dtype=np.int64)
    for rank in range(1, len(order)):
        above, below = order[:rank], order[rank:]
        if depth[order[rank]] - depth[order[rank - 1]] > LAYER_GAP and not _bonded(
            above, below, depth, xy, plane, radii
        ):
            layer[below] += 1
    return depth, layer, True


def _bonded(
    above: NDArray[np.int64],
    below: NDArray[np.int64],
    depth: NDArray[np.float64],
    xy: NDArray[np.float64],
    plane: NDArray[np.float64],
    radii: NDArray[np.float64],
) -> bool:
    """Tell whether an atom above a gap is bonded to one below it."""
    reach = 2 * BOND_FACTOR * float(radii.max())
    above = above[depth[above] > depth[below].min() - reach]
    below = below[depth[below] < depth[above].max() + reach] if above.size else below
    both = np.concatenate([above, below])
    height = float(np.ptp(depth[both])) + 2 * reach  # a box so high that nothing repeats along the beam
    box = np.zeros((3, 3))
    box[:2, :2], box[2, 2] = plane, height
    along = (depth[both] - depth[both].min()) / height
    fractional = np.column_stack([xy[both] @ np.linalg.inv(plane), along])
    first, second, steps = near_pairs(fractional, box, reach)
    across = (first < len(above)) & (second >= len(above))
    bonded = np.linalg.norm(steps, axis=1) < BOND_FACTOR * (radii[both][first] + radii[both][second])
    return bool((across & bonded).any())


def _smallest_projected(
    plane: NDArray[np.float64], columns: list[Column]
) -> tuple[NDArray[np.float64], list[Column]]:
    """Divide the cell by the translations that only the projection has."""
    places = np.array([column.position for column in columns])
    kinds = [(column.composition, column.layer) for column in columns]
    smaller, _, groups = smallest_cell(plane, places, kinds)
    shape = reduced_plane(smaller)
    convert = plane @ np.linalg.inv(shape)
    kept = []
    for group in groups:
        carried = places[group] @ convert
        centre = wrapped(mean_place(carried, np.ones(len(group))))
        height = float(np.mean([columns[i].height for i in group]))
        kept.append(replace(columns[group[0]], position=(float(centre[0]), float(centre[1])), height=height))
    return shape, kept


def _labelled(columns: list[Column]) -> tuple[Column, ...]:
    """Sort by layer and weight and number the sites of each element."""
    return numbered_sites(sorted(columns, key=lambda c: (c.layer, -round(c.z_weight, 6), c.position)))
