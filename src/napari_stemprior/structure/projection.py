"""Projection of a crystal along the beam to a small cell of atom columns."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from math import gcd

import numpy as np
from ase import Atoms
from ase.build.general_surface import ext_gcd
from ase.data import covalent_radii
from ase.geometry import minkowski_reduce
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from napari_stemprior.errors import StructureError
from napari_stemprior.structure.elements import ATOMIC_NUMBERS, SYMBOLS
from napari_stemprior.structure.periodic import image_distance, minimum_image, nearest_distance
from napari_stemprior.structure.prior import (
    HAADF_EXPONENT,
    MERGE_DISTANCE,
    Column,
    StructurePrior,
    numbered_sites,
)
from napari_stemprior.structure.translations import smallest_cell, wrapped
from napari_stemprior.structure.unit_cell import UnitCell

#: A gap along the beam (Å) that may separate two layers: narrower than any van der Waals gap
#: (S to S across the gap of MoS2 is 2.9 Å, C to C in graphite 3.35 Å). Planes of large atoms
#: lie as far apart, so a bond across the gap still holds them together.
LAYER_GAP = 2.4
#: Two atoms are bonded up to this many times the sum of their covalent radii.
BOND_FACTOR = 1.25
#: A gap (Å) that is vacuum rather than the space between layers.
VACUUM_GAP = 5.5

#: Cells around a cell, itself first.
_AROUND = np.array(sorted(((i, j) for i in (-1, 0, 1) for j in (-1, 0, 1)), key=lambda c: c != (0, 0)))

#: What sits on one site: atomic numbers with their occupancies.
_Site = tuple[tuple[int, float], ...]


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
    basis = _basis_with_third(uvw // gcd(*uvw.tolist()))
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
    plane = _reduced(lattice[:2] @ across)
    xy = (frac @ lattice) @ across
    downwards = -(frac @ lattice) @ beam  # electrons travel against the zone axis
    depth, layer, is_slab = _layers(downwards, _spacing(lattice @ beam), xy, plane, sites)

    columns = _merge(xy @ np.linalg.inv(plane), plane, sites, depth, layer)
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


def format_zone_axis(uvw: tuple[int, ...]) -> str:
    """Write a direction the usual way, for instance ``[1-10]``; large indices with spaces."""
    return "[" + (" " if max(map(abs, uvw)) > 9 else "").join(str(i) for i in uvw) + "]"


def _checked(atoms: Atoms, zone_axis: tuple[int, int, int] | None, name: str) -> tuple[Atoms, list[_Site]]:
    """Return the filled sites and what is on them, or say what is wrong with the structure."""
    sites = _sites(atoms)
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


def _sites(atoms: Atoms) -> list[_Site]:
    """List what sits on each site; ASE keeps shared and partly filled sites beside the atoms."""
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
    direction = np.linalg.inv(cell)[2]
    direction = direction / np.abs(direction).max()
    for multiple in range(1, 7):  # enough for every centred cell
        vector: NDArray[np.float64] = np.round(multiple * direction) @ cell
        if vector[2] > 0 and np.hypot(vector[0], vector[1]) < 2e-3 * vector[2]:
            return vector
    raise StructureError(
        f"{name}: no lattice vector lies along z, so the beam sees no columns; give a zone axis."
    )


def _basis_with_third(uvw: NDArray[np.int64]) -> NDArray[np.int64]:
    """Complete a primitive [uvw] to a basis of the same lattice whose third vector it is."""
    u, v, w = (int(i) for i in uvw)
    g, p, q = _extended_gcd(u, v)
    if g == 0:
        return np.array([[1, 0, 0], [0, w, 0], [0, 0, w]])
    _, r, s = _extended_gcd(g, w)  # r g + s w = 1, as the indices have no common divisor
    first = (q, -p, 0)  # spans the plane of u and v together with (u, v) / g
    second = (s * u // g, s * v // g, -r)
    return np.array([first, second, (u, v, w)])


def _extended_gcd(a: int, b: int) -> tuple[int, int, int]:
    """Return g, x, y with a x + b y = g = gcd(a, b), which is not negative."""
    x, y = ext_gcd(a, b)
    g = a * x + b * y
    return (g, x, y) if g >= 0 else (-g, -x, -y)


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
    sites: list[_Site],
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
    delta = (xy[above][:, None] - xy[below][None]) @ np.linalg.inv(plane)
    distance = np.hypot(nearest_distance(delta, plane), depth[above][:, None] - depth[below][None])
    return bool((distance < BOND_FACTOR * (radii[above][:, None] + radii[below][None])).any())


def _reduced(plane: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the shortest right-handed basis of a plane lattice.

    Of equivalent choices: the first vector nearest to +x, so that a square or hexagonal lattice
    does not turn with rounding noise, and the obtuse angle, as crystallographers draw it.
    """
    embedded = np.zeros((3, 3))
    embedded[:2, :2] = plane
    a, b = minkowski_reduce(embedded, pbc=(True, True, False))[0][:2, :2]
    steps = [(i, j) for i in range(-2, 3) for j in range(-2, 3) if (i, j) != (0, 0)]
    vectors = [i * a + j * b for i, j in steps]
    first = min(vectors, key=lambda v: (round(float(np.hypot(*v)), 3), -round(float(v[0]), 3), -v[1]))
    area = abs(_cross(a, b))
    seconds = [v for v in vectors if np.isclose(_cross(first, v), area, rtol=1e-6)]
    second = min(seconds, key=lambda v: (round(float(np.hypot(*v)), 3), first @ v))
    return np.array([first, second])


def _cross(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    return float(a[0] * b[1] - a[1] * b[0])


def _merge(
    frac: NDArray[np.float64],
    plane: NDArray[np.float64],
    sites: list[_Site],
    depth: NDArray[np.float64],
    layer: NDArray[np.int64],
) -> list[Column]:
    """Join atoms that overlap in projection until no two columns lie too close."""
    weights = np.array([sum(part * z**HAADF_EXPONENT for z, part in site) for site in sites])
    groups: list[list[int]] = []
    centres = np.empty((0, 2))
    for index in np.lexsort((depth, layer, -np.round(weights, 6))):
        near = image_distance(centres - frac[index], plane)
        if near.size and near.min() < MERGE_DISTANCE:
            group = groups[int(near.argmin())]
            group.append(int(index))
            centres[near.argmin()] = _centre(frac[group], weights[group])
        else:
            groups.append([int(index)])
            centres = np.vstack([centres, frac[index]])
    while (pair := _closest_pair(centres, plane)) is not None:  # centres move as atoms join
        kept, gone = pair
        groups[kept] += groups.pop(gone)
        centres = np.delete(centres, gone, axis=0)
        centres[kept] = _centre(frac[groups[kept]], weights[groups[kept]])

    columns = []
    for group, centre in zip(groups, wrapped(centres), strict=True):
        counts: dict[int, float] = defaultdict(float)
        for z, part in (pair for index in group for pair in sites[index]):
            counts[z] += part
        ranked = sorted(counts.items(), key=lambda item: (-item[1] * item[0] ** HAADF_EXPONENT, item[0]))
        composition = tuple((SYMBOLS[z], round(count, 4)) for z, count in ranked)
        height = float(np.average(depth[group], weights=weights[group]))
        place = (float(centre[0]), float(centre[1]))
        columns.append(Column(place, composition, round(height, 6), int(layer[group].min())))
    return columns


def _centre(places: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    delta = minimum_image(places - places[0])
    centre: NDArray[np.float64] = places[0] + np.average(delta, axis=0, weights=weights)
    return centre


def _closest_pair(centres: NDArray[np.float64], plane: NDArray[np.float64]) -> tuple[int, int] | None:
    """Return the two columns that lie nearest to each other, if nearer than columns may."""
    count = len(centres)
    images = (np.mod(centres, 1.0) + _AROUND[:, None]).reshape(-1, 2) @ plane
    inner = images[:count]  # the first of `_AROUND` is the cell itself
    near = cKDTree(images).query_ball_point(inner, MERGE_DISTANCE)
    best: tuple[float, int, int] | None = None
    for first, others in enumerate(near):
        for other in others:
            second = other % count
            distance = float(np.linalg.norm(images[other] - inner[first]))
            if first < second and distance < MERGE_DISTANCE and (best is None or distance < best[0]):
                best = (distance, first, second)
    return None if best is None else best[1:]


def _smallest_projected(
    plane: NDArray[np.float64], columns: list[Column]
) -> tuple[NDArray[np.float64], list[Column]]:
    """Divide the cell by the translations that only the projection has."""
    places = np.array([column.position for column in columns])
    kinds = [(column.composition, column.layer) for column in columns]
    smaller, _, groups = smallest_cell(plane, places, kinds)
    shape = _reduced(smaller)
    convert = plane @ np.linalg.inv(shape)
    kept = []
    for group in groups:
        carried = places[group] @ convert
        centre = wrapped(_centre(carried, np.ones(len(group))))
        height = float(np.mean([columns[i].height for i in group]))
        kept.append(replace(columns[group[0]], position=(float(centre[0]), float(centre[1])), height=height))
    return shape, kept


def _labelled(columns: list[Column]) -> tuple[Column, ...]:
    """Sort by layer and weight and number the sites of each element."""
    return numbered_sites(sorted(columns, key=lambda c: (c.layer, -round(c.z_weight, 6), c.position)))
