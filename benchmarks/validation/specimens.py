"""Specimens whose atoms are known, and their projection to columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.build import cut, mx2
from ase.data import atomic_numbers
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from napari_stemprior.optics.multislice.engine import orthogonal
from napari_stemprior.structure import HAADF_EXPONENT, StructurePrior, project
from napari_stemprior.structure.library import build_atoms, entries
from napari_stemprior.structure.prior import MERGE_DISTANCE

#: Distance in Å between the metal planes of the two layers of a dichalcogenide bilayer.
INTERLAYER = 6.45


@dataclass(frozen=True)
class Columns:
    """The atom columns of one rectangular cell.

    Parameters
    ----------
    xy : (N, 2) array
        Å.
    element, site : (N,) arrays of str
    layer : (N,) array of int
    cell : (float, float)
        Å along x and y.
    """

    xy: NDArray[np.float64]
    element: NDArray[np.str_]
    site: NDArray[np.str_]
    layer: NDArray[np.int64]
    cell: tuple[float, float]


def rectangular(name: str) -> Atoms:
    """Return a library layer in a rectangular cell, each atom with its ``site``."""
    box, _ = orthogonal(build_atoms(entries()[name]))
    return with_sites(box, name)


def along_110(name: str, thickness: float) -> Atoms:
    """Return a cubic library crystal with the beam along [110], `thickness` Å or a little more."""
    centred = entries()[name]["kind"] == "bulk"  # face-centred: half the diagonals are lattice vectors
    half = 0.5 if centred else 1.0
    return along(name, (0, 0, 1), (half, -half, 0), (half, half, 0), thickness)


def along(
    name: str,
    first: tuple[float, float, float],
    second: tuple[float, float, float],
    beam: tuple[float, float, float],
    thickness: float,
) -> Atoms:
    """Return a library crystal in a box of three lattice vectors at right angles, the last along the beam."""
    box = cut(build_atoms(entries()[name]), a=first, b=second, c=beam)
    straight = Atoms(
        box.numbers, scaled_positions=box.get_scaled_positions(), cell=np.diag(box.cell.lengths()), pbc=True
    )
    straight = with_sites(straight, name)
    return straight * (1, 1, int(np.ceil(thickness / straight.cell.lengths()[2])))


def rhenium_disulfide() -> Atoms:
    """Return a layer of ReS2 strained by under 1 % and sheared by 1.3 degrees, to fit a rectangle."""
    layer = build_atoms(entries()["ReS2"])
    a, b = layer.cell.lengths()[:2]
    side = float(np.sqrt(a * b))
    turn = np.deg2rad(120.0 if layer.cell.angles()[2] > 90 else 60.0)
    cell = layer.cell.array.copy()
    cell[0], cell[1] = (side, 0, 0), (side * np.cos(turn), side * np.sin(turn), 0)
    layer.set_cell(cell, scale_atoms=True)
    box, _ = orthogonal(layer)
    return with_sites(box, "ReS2")


def bilayer(top: str, bottom: str, *, twisted: bool, shift: tuple[float, float] = (0.0, 0.0)) -> Atoms:
    """Stack two 2H layers on a common lattice, the lower strained to fit the upper.

    Parameters
    ----------
    top, bottom : str
        Formulas such as ``"MoS2"``.
    twisted : bool
        By 21.79 degrees on the common cell of seven; otherwise parallel.
    shift : (float, float)
        Of the lower layer in Å.

    Returns
    -------
    ase.Atoms
        In a rectangular cell, with ``site`` and ``layer``.
    """
    from ase.build import make_supercell

    parts = []
    for level, formula in enumerate((top, bottom)):
        entry = entries()[formula]
        layer = mx2(formula, a=entries()[top]["a"], thickness=entry["thickness"], vacuum=8.0)
        layer.set_array("layer", np.full(len(layer), level))
        layer.pbc = True
        if twisted:
            # (3, 1) and (3, 2) have the same length; on the 120 degree basis they enclose 21.79 degrees
            first, second = ((3, 1), (-1, 2)) if level == 0 else ((3, 2), (-2, 1))
            layer = make_supercell(layer, [[*first, 0], [*second, 0], [0, 0, 1]])
            turn = np.degrees(np.arctan2(layer.cell[0][1], layer.cell[0][0]))
            layer.rotate(-turn, "z", rotate_cell=True)
        layer.positions[:, 2] -= layer.positions[:, 2].mean() + level * INTERLAYER
        if level:
            layer.positions[:, :2] += shift
        parts.append(layer)
    upper, lower = parts
    if not np.allclose(upper.cell[:2], lower.cell[:2], atol=1e-6):
        raise ValueError("the two layers do not share a lattice")
    both = upper + lower
    both.cell[2] = [0, 0, 30.0]
    both.positions[:, 2] += 20.0
    box, _ = orthogonal(both)
    return with_sites(box, f"{top} on {bottom}")


def with_sites(atoms: Atoms, name: str) -> Atoms:
    """Give each atom the site label of its column in the projected cell, and its layer."""
    prior = prior_of(atoms, name)
    shifts = np.array([(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1)]) @ prior.cell
    places = (prior.positions[:, None] + shifts).reshape(-1, 2)
    folded = np.mod(atoms.positions[:, :2] @ np.linalg.inv(prior.cell), 1.0) @ prior.cell
    _, nearest = cKDTree(places).query(folded, k=min(6, len(places)))
    labels = []
    layers = []
    wanted = atoms.arrays.get("layer")
    for index, (symbol, candidates) in enumerate(zip(atoms.get_chemical_symbols(), nearest, strict=True)):
        columns = [prior.columns[c // len(shifts)] for c in np.atleast_1d(candidates)]
        fits = [
            c
            for c in columns
            if symbol in dict(c.composition) and (wanted is None or c.layer == wanted[index])
        ]
        column = (fits or columns)[0]
        labels.append(column.site)
        layers.append(column.layer if wanted is None else wanted[index])
    atoms.set_array("site", np.array(labels))
    if wanted is None:
        atoms.set_array("layer", np.array(layers))
    return atoms


def prior_of(atoms: Atoms, name: str, source: str = "") -> StructurePrior:
    """Project the atoms as they lie."""
    return project(atoms, None, name=name, source=source)


def columns_of(atoms: Atoms) -> Columns:
    """Join atoms nearer than `MERGE_DISTANCE` in projection, periodic across the beam."""
    cell = atoms.cell.lengths()[:2]
    xy = np.mod(atoms.positions[:, :2], cell)
    xy[xy >= cell] = 0.0
    pairs = cKDTree(xy, boxsize=cell).query_pairs(MERGE_DISTANCE, output_type="ndarray")
    n = len(atoms)
    graph = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(n, n))
    count, group = connected_components(graph, directed=False)
    weight = np.array([float(atomic_numbers[s]) ** HAADF_EXPONENT for s in atoms.get_chemical_symbols()])
    heaviest = np.full(count, -1)
    for index in np.lexsort((-atoms.arrays["layer"], weight)):  # the last one written wins
        heaviest[group[index]] = index
    offset = xy - xy[heaviest[group]]
    offset -= np.round(offset / cell) * cell
    total = np.bincount(group, weight, count)
    centre = xy[heaviest] + np.stack(
        [np.bincount(group, weight * offset[:, k], count) / total for k in (0, 1)], axis=1
    )
    layer = np.full(count, np.iinfo(np.int64).max)
    np.minimum.at(layer, group, atoms.arrays["layer"].astype(np.int64))
    return Columns(
        np.mod(centre, cell),
        np.array(atoms.get_chemical_symbols())[heaviest],
        atoms.arrays["site"][heaviest],
        layer,
        (float(cell[0]), float(cell[1])),
    )


def with_vacancies(
    atoms: Atoms,
    fraction: float,
    rng: np.random.Generator,
    *,
    single: float = 0.0,
    layer: int | None = None,
    seldom: Mapping[str, float] | None = None,
) -> tuple[Atoms, Columns]:
    """Remove whole columns, no two of them neighbours.

    Parameters
    ----------
    atoms : ase.Atoms
        From `rectangular` or `bilayer`, repeated.
    fraction : float
        Of the columns that may go.
    rng : numpy Generator
    single : float
        Fraction of the columns of two atoms that lose one of them: they stay columns.
    layer : int, optional
        Only columns of this layer go; those that lie on a column of a higher one stay, since nobody
        could tell them apart.
    seldom : mapping of str to float, optional
        How often a column of an element goes, as a part of how often those of the others do.

    Returns
    -------
    atoms : ase.Atoms
    vacancies : Columns
        What is missing.
    """
    columns = columns_of(atoms)
    boxed = cKDTree(columns.xy, boxsize=columns.cell)
    able = np.flatnonzero(columns.layer == layer) if layer is not None else np.arange(len(columns.xy))
    among = cKDTree(columns.xy[able], boxsize=columns.cell)
    spacing = float(np.median(among.query(columns.xy[able], k=2)[0][:, 1]))
    if seldom is None:
        order = rng.permutation(able)
    else:
        often = np.array([seldom.get(element, 1.0) for element in columns.element[able]])
        order = rng.choice(able, len(able), replace=False, p=often / often.sum())
    chosen: list[int] = []
    for index in order:
        if len(chosen) == round(fraction * len(able)):
            break
        if not set(boxed.query_ball_point(columns.xy[index], 1.9 * spacing)) & set(chosen):
            chosen.append(int(index))
    owner = boxed.query(np.mod(atoms.positions[:, :2], columns.cell))[1]
    gone = np.isin(owner, chosen)
    pairs = [c for c in np.flatnonzero(np.bincount(owner) == 2) if c not in chosen]
    for column in rng.permutation(pairs)[: round(single * len(pairs))]:
        gone[rng.choice(np.flatnonzero(owner == column))] = True
    keep = np.array(sorted(chosen))
    missing = Columns(
        columns.xy[keep], columns.element[keep], columns.site[keep], columns.layer[keep], columns.cell
    )
    return atoms[~gone], missing
