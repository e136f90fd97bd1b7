"""The atoms in space that a prior stands for, as the two engines need them."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_stemprior.errors import StructureError
from napari_stemprior.optics.incoherent.object_function import Scatterer
from napari_stemprior.structure.elements import ATOMIC_NUMBERS, SYMBOLS
from napari_stemprior.structure.periodic import image_distance
from napari_stemprior.structure.prior import Column, StructurePrior
from napari_stemprior.structure.unit_cell import UnitCell

if TYPE_CHECKING:
    from ase import Atoms

#: Å: an atom belongs to a column this near.
_ON_COLUMN = 0.6
#: Å between the atoms of one column of a layer, where a prior has lost their heights.
_PAIR_SPACING = 3.1
#: Å by which a lattice vector across the beam may miss its depth.
_LEVEL = 0.02
#: Atoms beyond which a cell is no reference but a day's work.
_MOST_ATOMS = 60_000


def unit_cell_of(prior: StructurePrior) -> UnitCell:
    """Return the atoms of one repeat of a prior.

    A prior that was read back from a dataset, or edited, has no unit cell that fits its columns: the
    atoms of each column are then spread evenly along the beam.

    Parameters
    ----------
    prior : StructurePrior
    """
    return prior.unit_cell if prior.unit_cell is not None and _owners(prior) is not None else _spread(prior)


def scatterers(prior: StructurePrior) -> list[tuple[Scatterer, ...]]:
    """List the atoms of each column: atomic number, occupancy and depth in Å.

    Parameters
    ----------
    prior : StructurePrior
    """
    spread = [tuple(_scatterers_of(column, prior.period)) for column in prior.columns]
    unit, owners = prior.unit_cell, _owners(prior)
    if unit is None or owners is None:
        return spread
    cells = round(abs(np.linalg.det(unit.lattice[:2, :2])) / prior.area)
    if cells != 1:  # the projection is finer than the crystal: which atoms make one column is not unique
        return spread
    return [
        tuple(
            (int(z), round(float(part), 4), round(float(depth), 3))
            for z, part, depth in zip(
                unit.atomic_numbers[owners == index],
                unit.occupancy[owners == index],
                unit.positions[owners == index, 2],
                strict=True,
            )
        )
        for index in range(len(prior.columns))
    ]


def atoms_of(prior: StructurePrior, thickness: float, seed: int = 0) -> Atoms:
    """Build the specimen in a cell with two vectors across the beam, z against it.

    Parameters
    ----------
    prior : StructurePrior
    thickness : float
        Å, of a crystal that repeats along the beam; a layer has its own.
    seed : int
        Decides which atoms sit on sites that are partly filled or shared.

    Returns
    -------
    ase.Atoms
        x and y are those of the prior; the electrons come from high z.

    Raises
    ------
    StructureError
        If no two lattice vectors lie across the beam, or the cell holds too many atoms.
    """
    from ase import Atoms
    from ase.build import make_supercell

    unit = unit_cell_of(prior)
    upwards = np.array([1.0, 1.0, -1.0])
    lattice = unit.lattice * upwards
    lattice[2] *= np.sign(lattice[2, 2])
    flat = _level_vectors(lattice, prior.name)
    repeats = round(thickness / prior.period) if prior.period else 1
    cells = abs(round(np.linalg.det(flat[:, :2]))) * max(1, repeats)
    if cells * len(unit) > _MOST_ATOMS:
        raise StructureError(
            f"{prior.name}: multislice would need {cells * len(unit)} atoms; give a smaller thickness or "
            "another zone axis."
        )
    atoms = Atoms(unit.atomic_numbers, positions=unit.positions * upwards, cell=lattice, pbc=True)
    atoms = make_supercell(atoms, np.vstack([flat, [0, 0, 1]]), wrap=False)
    atoms = atoms * (1, 1, max(1, repeats))
    atoms.cell[0, 2] = atoms.cell[1, 2] = 0.0
    keep = _filled(unit, len(atoms) // len(unit), np.random.default_rng(seed))
    atoms = atoms[keep]
    if len(atoms) == 0:
        raise StructureError(f"{prior.name}: by chance no site is filled; give another seed.")
    atoms.wrap()
    return atoms


def _filled(unit: UnitCell, copies: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Draw, site by site, which of its alternatives is there in each copy of the cell."""
    keep = np.ones((copies, len(unit)), dtype=bool)
    for site in np.unique(unit.site[unit.occupancy < 1 - 1e-6]):
        rows = np.flatnonzero(unit.site == site)
        edges = np.cumsum(unit.occupancy[rows])
        chosen = np.searchsorted(edges, rng.random(copies), side="right")
        keep[:, rows] = chosen[:, None] == np.arange(len(rows))
    return keep.ravel()


def _level_vectors(lattice: NDArray[np.float64], name: str) -> NDArray[np.int64]:
    """Find a basis of the lattice vectors that lie across the beam, as integer multiples."""
    period = lattice[2, 2]
    found = []
    for i, j in product(range(13), range(-12, 13)):
        vector = i * lattice[0] + j * lattice[1]
        k = -round(vector[2] / period)
        if (i or j) and abs(vector[2] + k * period) < _LEVEL:
            found.append((float(np.hypot(*vector[:2])), (i, j, k)))
    found.sort()
    candidates = np.array([indices for _, indices in found[:60]])
    if len(candidates) > 1:
        area = np.abs(
            np.outer(candidates[:, 0], candidates[:, 1]) - np.outer(candidates[:, 1], candidates[:, 0])
        )
        if area.max() > 0:
            area = np.where(area == 0, np.iinfo(np.int64).max, area)
            first, second = np.unravel_index(int(area.argmin()), area.shape)
            pair: NDArray[np.int64] = candidates[[first, second]]
            if np.linalg.det(pair[:, :2] @ lattice[:2, :2]) < 0:
                pair = pair[::-1]
            return pair
    raise StructureError(
        f"{name}: no two lattice vectors lie across the beam, so multislice has no periodic cell; "
        "use the fast engine or another zone axis."
    )


def _owners(prior: StructurePrior) -> NDArray[np.int64] | None:
    """Return the column of each atom of the unit cell; None if they are not this prior's."""
    unit = prior.unit_cell
    if unit is None or (prior.period > 0 and abs(abs(unit.lattice[2, 2]) - prior.period) > 1e-3):
        return None
    places = unit.positions[:, :2] @ np.linalg.inv(prior.cell)
    distance = image_distance(places[:, None] - prior.fractional[None], prior.cell)
    present = np.array(
        [[SYMBOLS[z] in dict(c.composition) for c in prior.columns] for z in unit.atomic_numbers], dtype=bool
    )
    distance[~present] = np.inf
    if distance.min(axis=1).max() > _ON_COLUMN:
        return None
    owners: NDArray[np.int64] = distance.argmin(axis=1)
    cells = abs(np.linalg.det(unit.lattice[:2, :2])) / prior.area
    for index, column in enumerate(prior.columns):
        for symbol, count in column.composition:
            here = (owners == index) & (unit.atomic_numbers == ATOMIC_NUMBERS[symbol])
            if abs(unit.occupancy[here].sum() / cells - count) > 0.01:
                return None
    return owners


def _scatterers_of(column: Column, period: float) -> list[Scatterer]:
    """Spread the atoms of a column along the beam."""
    parts = [
        (ATOMIC_NUMBERS[symbol], count / max(1, np.ceil(count - 1e-6)))
        for symbol, count in column.composition
        for _ in range(max(1, int(np.ceil(count - 1e-6))))
    ]
    n = len(parts)
    spacing = period / n if period else _PAIR_SPACING
    return [
        (z, round(float(part), 4), round(float(column.height + (rank - (n - 1) / 2) * spacing), 3))
        for rank, (z, part) in enumerate(parts)
    ]


def _spread(prior: StructurePrior) -> UnitCell:
    rows = [
        (*place, depth, z, part)
        for place, column in zip(prior.positions, prior.columns, strict=True)
        for z, part, depth in _scatterers_of(column, prior.period)
    ]
    table = np.array(rows, dtype=np.float64)
    height = prior.period or float(np.ptp(table[:, 2])) + 20.0
    lattice = np.zeros((3, 3))
    lattice[:2, :2] = prior.cell
    lattice[2, 2] = -height
    return UnitCell(lattice, table[:, :3], table[:, 3].astype(np.int64), table[:, 4], np.arange(len(rows)))
