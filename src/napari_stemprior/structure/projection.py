"""Projection of a crystal along the beam to a small cell of atom columns."""

from __future__ import annotations

from collections import defaultdict
from itertools import product
from math import gcd

import numpy as np
import spglib
from ase import Atoms
from ase.data import atomic_numbers
from numpy.typing import NDArray

from napari_stemprior.errors import StructureError
from napari_stemprior.structure.prior import HAADF_EXPONENT, Column, StructurePrior

#: Atoms whose projections lie closer than this (Å) are one column.
MERGE_DISTANCE = 0.4
#: A gap along the beam (Å) that separates two layers: wider than any bond, narrower than
#: a van der Waals gap (S to S across the gap of MoS2 is 2.9 Å, C to C in graphite 3.35 Å).
LAYER_GAP = 2.4
#: A gap (Å) that is vacuum rather than the space between layers.
VACUUM_GAP = 5.5


def project(
    atoms: Atoms, zone_axis: tuple[int, int, int] | None = None, *, name: str, source: str = ""
) -> StructurePrior:
    """Project a crystal along a zone axis and reduce it to its smallest projected cell.

    Parameters
    ----------
    atoms : ase.Atoms
        With a cell. Site occupancies in ``atoms.info["occupancy"]`` are honoured as ASE's
        CIF reader leaves them.
    zone_axis : tuple of int or None
        Direction [uvw] of the beam in the basis of the cell; None takes the structure as it
        lies, beam along Cartesian z.
    name : str
    source : str

    Raises
    ------
    StructureError
        If there are no atoms, no cell, the axis is [000], or no lattice vector lies along the beam.
    """
    if len(atoms) == 0:
        raise StructureError(f"{name}: the structure has no atoms.")
    cell = np.array(atoms.cell.array, float)
    if np.linalg.matrix_rank(cell[:2]) < 2 or not np.isfinite(cell).all():
        raise StructureError(f"{name}: the structure has no cell; give one that is periodic across the beam.")
    if not atoms.pbc[:2].all() and zone_axis is None:
        raise StructureError(
            f"{name}: the structure is not periodic across the beam; set its periodicity (pbc) along a and b."
        )
    if np.linalg.matrix_rank(cell) < 3:  # a layer without a third vector
        atoms = atoms.copy()
        atoms.center(vacuum=10.0, axis=2)
        cell = np.array(atoms.cell.array, float)
    frac = atoms.cell.scaled_positions(atoms.get_positions())
    species, occupancy, owners = _species(atoms)
    frac = frac[owners]
    numbers = np.array([atomic_numbers[s] for s in species])

    if zone_axis is not None:
        cell, frac, numbers, occupancy, uvw = _primitive(cell, frac, numbers, occupancy, zone_axis, name)
    else:
        uvw = _axis_along_z(cell, name)
    basis = _basis_with_third(uvw)
    lattice = basis @ cell
    frac = frac @ np.linalg.inv(basis)

    beam = lattice[2] / np.linalg.norm(lattice[2])
    if zone_axis is None:
        beam = np.array([0.0, 0.0, 1.0]) * np.sign(lattice[2][2] or 1.0)
        to_plane = np.eye(3)[:, :2]
    else:
        first = lattice[0] - (lattice[0] @ beam) * beam
        x = first / np.linalg.norm(first)
        to_plane = np.stack([x, np.cross(beam, x)], axis=1)
    period = abs(float(lattice[2] @ beam))
    plane = lattice[:2] @ to_plane
    xy = (frac @ lattice) @ to_plane
    depth = np.mod(-(frac @ lattice) @ beam, period)  # electrons travel along -z of the file: its top is hit first

    depth, layer, slab = _layers(depth, period)
    plane = _gauss_reduced(plane)
    inplane = np.mod(xy @ np.linalg.inv(plane), 1.0)
    columns = _merge(inplane, plane, numbers, occupancy, depth, layer)
    plane, columns = _smallest_cell(plane, columns)
    axis = "as is" if zone_axis is None else format_zone_axis(zone_axis)
    return StructurePrior(name, axis, plane, _labelled(columns), 0.0 if slab else period, source)


def format_zone_axis(uvw: tuple[int, ...]) -> str:
    """Write a direction the usual way, for instance ``[1-10]``."""
    return "[" + "".join(str(i) for i in uvw) + "]"


def _species(atoms: Atoms) -> tuple[list[str], NDArray[np.float64], NDArray[np.int64]]:
    """List (symbol, occupancy, atom index), several for a shared site."""
    table = atoms.info.get("occupancy")
    kinds = atoms.arrays.get("spacegroup_kinds")
    if not table or kinds is None:
        return list(atoms.get_chemical_symbols()), np.ones(len(atoms)), np.arange(len(atoms))
    species, occupancy, owners = [], [], []
    for index, (symbol, kind) in enumerate(zip(atoms.get_chemical_symbols(), kinds, strict=True)):
        for element, part in table.get(str(kind), {symbol: 1.0}).items():
            species.append(element)
            occupancy.append(float(part))
            owners.append(index)
    return species, np.array(occupancy), np.array(owners)


def _primitive(
    cell: NDArray[np.float64],
    frac: NDArray[np.float64],
    numbers: NDArray[np.int64],
    occupancy: NDArray[np.float64],
    uvw: tuple[int, int, int],
    name: str,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64], NDArray[np.float64], tuple[int, int, int]]:
    """Reduce to the primitive cell and carry the zone axis along."""
    if not any(uvw):
        raise StructureError(f"{name}: the zone axis [000] has no direction; give one such as [001].")
    direction = np.asarray(uvw, float) @ cell
    if np.allclose(occupancy, 1.0):  # spglib knows no partial occupancy
        found = spglib.find_primitive((cell, frac, numbers), symprec=1e-3)
        if found is not None:
            primitive, frac_p, numbers_p = found
            candidate = direction @ np.linalg.inv(primitive)
            # find_primitive may rotate the lattice; only then the axis is no lattice vector of it
            if np.allclose(candidate, np.round(candidate), atol=1e-3) and len(frac_p) < len(frac):
                cell, frac, numbers = np.array(primitive), np.array(frac_p), np.array(numbers_p)
                occupancy = np.ones(len(frac))
                uvw = _as_triple(np.round(candidate).astype(int))
    divisor = gcd(*uvw)
    return cell, frac, numbers, occupancy, _as_triple(np.array(uvw) // divisor)


def _as_triple(values: NDArray[np.int64]) -> tuple[int, int, int]:
    u, v, w = (int(i) for i in values)
    return u, v, w


def _axis_along_z(cell: NDArray[np.float64], name: str) -> tuple[int, int, int]:
    """Find the shortest lattice vector along z, or c itself for a layer in a skewed cell."""
    if np.allclose(cell[:2, 2], 0, atol=1e-3):
        return (0, 0, 1)  # a and b lie across the beam: c may lean, the layer does not care
    best = None
    for uvw in product(range(-4, 5), repeat=3):
        if not any(uvw):
            continue
        vector = np.array(uvw) @ cell
        if vector[2] > 0 and np.hypot(*vector[:2]) < 1e-3 * vector[2]:
            if best is None or vector[2] < best[0]:
                best = (vector[2], uvw)
    if best is None:
        raise StructureError(
            f"{name}: no lattice vector lies along z, so the beam sees no columns; give a zone axis."
        )
    return best[1]


def _basis_with_third(uvw: tuple[int, int, int]) -> NDArray[np.int64]:
    """Complete a primitive [uvw] to a unimodular basis whose third row it is."""
    third = np.array(uvw)
    if tuple(uvw) == (0, 0, 1):
        return np.eye(3, dtype=np.int64)
    small = sorted(product(range(-6, 7), repeat=3), key=lambda v: sum(i * i for i in v))[1:]
    vectors = np.array(small)
    for i, first in enumerate(vectors):
        cross = np.cross(first, vectors[: i + 400]) @ third
        hits = np.flatnonzero(np.abs(cross) == 1)
        if hits.size:
            second = vectors[hits[0]]
            rows = np.array([first, second, third])
            return rows if cross[hits[0]] > 0 else np.array([second, first, third])
    raise StructureError(f"the zone axis {format_zone_axis(uvw)} has too high indices; give smaller ones.")


def _layers(
    depth: NDArray[np.float64], period: float
) -> tuple[NDArray[np.float64], NDArray[np.int64], bool]:
    """Split a slab at its van der Waals gaps; a crystal that fills its cell is one layer."""
    order = np.argsort(depth)
    gaps = np.diff(depth[order], append=depth[order[0]] + period)
    if gaps.max() < VACUUM_GAP:
        return depth, np.zeros(len(depth), dtype=np.int64), False
    start = order[(int(np.argmax(gaps)) + 1) % len(order)]
    depth = np.mod(depth - depth[start] + 1e-6, period) - 1e-6
    order = np.argsort(depth)
    steps = np.diff(depth[order], prepend=depth[order[0]])
    layer = np.empty(len(depth), dtype=np.int64)
    layer[order] = np.cumsum(steps > LAYER_GAP)
    return np.maximum(depth, 0.0), layer, True


def _gauss_reduced(plane: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the shortest right-handed basis of a plane lattice (Lagrange and Gauss)."""
    a, b = plane[0].copy(), plane[1].copy()
    while True:
        if a @ a > b @ b + 1e-9:
            a, b = b, a
        shift = np.round((a @ b) / (a @ a))
        if shift == 0:
            break
        b = b - shift * a
    if a @ b > 1e-6:  # the obtuse of the two equivalent choices, as crystallographers draw it
        b = b - a if np.isclose((b - a) @ (b - a), b @ b, rtol=1e-4) else b
    if a[0] * b[1] - a[1] * b[0] < 0:
        b = -b
    return np.array([a, b])


def _merge(
    frac: NDArray[np.float64],
    plane: NDArray[np.float64],
    numbers: NDArray[np.int64],
    occupancy: NDArray[np.float64],
    depth: NDArray[np.float64],
    layer: NDArray[np.int64],
) -> list[Column]:
    """Join atoms that overlap in projection, the heaviest first."""
    from ase.data import chemical_symbols

    weights = occupancy * numbers.astype(float) ** HAADF_EXPONENT
    groups: list[list[int]] = []
    for index in np.lexsort((depth, -weights, layer)):
        for group in groups:
            delta = frac[index] - frac[group[0]]
            delta -= np.round(delta)
            if np.linalg.norm(delta @ plane) < MERGE_DISTANCE:
                group.append(int(index))
                break
        else:
            groups.append([int(index)])
    columns = []
    for group in groups:
        w = weights[group]
        delta = frac[group] - frac[group[0]]
        delta -= np.round(delta)
        centre = np.mod(frac[group[0]] + (w[:, None] * delta).sum(0) / w.sum(), 1.0)
        counts: dict[int, float] = defaultdict(float)
        for index in group:
            counts[int(numbers[index])] += float(occupancy[index])
        ranked = sorted(counts.items(), key=lambda item: -item[1] * item[0] ** HAADF_EXPONENT)
        composition = tuple((chemical_symbols[z], round(n, 4)) for z, n in ranked)
        height = float((w * depth[group]).sum() / w.sum())
        columns.append(
            Column((float(centre[0]), float(centre[1])), composition, height, int(layer[group].min()))
        )
    return columns


def _smallest_cell(
    plane: NDArray[np.float64], columns: list[Column]
) -> tuple[NDArray[np.float64], list[Column]]:
    """Divide the cell by every projected translation that maps the columns onto themselves."""
    while True:
        kinds = defaultdict(list)
        for column in columns:
            kinds[(column.composition, column.layer)].append(np.array(column.position))
        rarest = min(kinds.values(), key=len)
        if len(rarest) == 1:
            return plane, columns
        for other in rarest[1:]:
            shift = other - rarest[0]
            if _is_translation(shift, kinds, plane):
                break
        else:
            return plane, columns
        shift = shift - np.round(shift)
        candidates = np.array([shift, *np.eye(2), shift + [1, 0], shift - [1, 0], shift + [0, 1], shift - [0, 1]])
        vectors = candidates @ plane
        order = round(1 / _fraction(shift))
        best = None
        for i, j in product(range(len(vectors)), repeat=2):
            area = vectors[i][0] * vectors[j][1] - vectors[i][1] * vectors[j][0]
            if np.isclose(area, abs(np.linalg.det(plane)) / order, rtol=1e-3):
                best = np.array([vectors[i], vectors[j]])
                break
        if best is None:
            return plane, columns
        smaller = _gauss_reduced(best)
        convert = plane @ np.linalg.inv(smaller)
        kept: list[Column] = []
        for column in columns:
            place = np.mod(np.array(column.position) @ convert, 1.0)
            for other_column in kept:
                delta = place - np.array(other_column.position)
                delta -= np.round(delta)
                if (
                    np.linalg.norm(delta @ smaller) < 0.05
                    and other_column.composition == column.composition
                    and other_column.layer == column.layer
                ):
                    break
            else:
                kept.append(
                    Column((float(place[0]), float(place[1])), column.composition, column.height, column.layer)
                )
        if len(kept) * order != len(columns):
            return plane, columns
        plane, columns = smaller, kept


def _is_translation(
    shift: NDArray[np.float64], kinds: dict[object, list[NDArray[np.float64]]], plane: NDArray[np.float64]
) -> bool:
    for places in kinds.values():
        stack = np.array(places)
        delta = (stack + shift)[:, None] - stack[None]
        delta -= np.round(delta)
        if (np.linalg.norm(delta @ plane, axis=-1).min(axis=1) > 0.05).any():
            return False
    return True


def _fraction(shift: NDArray[np.float64]) -> float:
    """One over the smallest n for which n * shift is a lattice vector."""
    for n in range(2, 13):
        if np.allclose(n * shift, np.round(n * shift), atol=0.02):
            return 1 / n
    return 1.0


def _labelled(columns: list[Column]) -> tuple[Column, ...]:
    """Sort by layer and weight and number the sites of each element."""
    ordered = sorted(columns, key=lambda c: (c.layer, -c.z_weight, c.position))
    seen: dict[str, int] = defaultdict(int)
    labelled = []
    for column in ordered:
        seen[column.element] += 1
        site = f"{column.element}{seen[column.element]}"
        labelled.append(Column(column.position, column.composition, column.height, column.layer, site))
    return tuple(labelled)
