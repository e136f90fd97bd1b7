"""Distances to the neighbours that the crystal says an atom has."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_stemprior.atoms import AtomTable
from napari_stemprior.errors import MeasurementError
from napari_stemprior.measurement.column_fit import ColumnFit
from napari_stemprior.measurement.lattice_indices import LatticeIndices
from napari_stemprior.structure import StructurePrior

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

#: Columns up to so many times as far as the nearest one form the first shell.
SHELL = 1.15


@dataclass(frozen=True, eq=False)
class Shell:
    """The columns around one column of a prior.

    Parameters
    ----------
    step : (n, 2) array of int
        Cells (h, k) from the column to each.
    column : (n,) array of int
        In the cell of the prior.
    vector : (n, 2) array
        Å (x, y) in the prior.
    """

    step: Integers
    column: Integers
    vector: Floats

    def __len__(self) -> int:
        return len(self.step)


def shell_of(prior: StructurePrior, column: int, of: NDArray[np.bool_], reach: float = SHELL) -> Shell:
    """Return the nearest columns of some kind around a column.

    Parameters
    ----------
    prior : StructurePrior
    column : int
    of : (n,) array of bool
        Which columns of the cell count.
    reach : float
        In distances to the nearest one.
    """
    steps = np.array([(i, j) for i in range(-3, 4) for j in range(-3, 4)])
    others = np.flatnonzero(of)
    step = np.repeat(steps, len(others), axis=0)
    other = np.tile(others, len(steps))
    vector = step @ prior.cell + prior.positions[other] - prior.positions[column]
    distance = np.linalg.norm(vector, axis=1)
    far = distance > 0.1
    if not far.any():
        return Shell(step[:0], other[:0], vector[:0])
    near = far & (distance <= reach * distance[far].min())
    return Shell(step[near], other[near].astype(np.int64), vector[near])


def around(indices: LatticeIndices, atoms: Integers, shell: Shell) -> Integers:
    """Return (len(atoms), len(shell)) numbers of the atoms in a shell, -1 where one is missing."""
    lattice = indices.lattice[atoms][:, None]
    first = np.array(indices.first)[lattice]
    return indices.find(
        lattice,
        indices.h[atoms][:, None] + shell.step[:, 0],
        indices.k[atoms][:, None] + shell.step[:, 1],
        first + shell.column,
    )


@dataclass(frozen=True, eq=False)
class NeighbourDistances:
    """Distances of N atoms to their first shell, Å; NaN where no neighbour is there.

    Parameters
    ----------
    mean, mean_error : (N,) arrays
        Of the neighbours that are there.
    nearest, nearest_error : (N,) arrays
    count, expected : (N,) arrays of int
        Neighbours found, and those that the crystal has.
    """

    mean: Floats
    mean_error: Floats
    nearest: Floats
    nearest_error: Floats
    count: Integers
    expected: Integers


def neighbour_distances(
    atoms: AtomTable, indices: LatticeIndices, position_error: Floats, columns: ColumnFit | None = None
) -> NeighbourDistances:
    """Measure the distances to the first shell of columns of the same layer.

    Parameters
    ----------
    atoms : AtomTable
    indices : LatticeIndices
    position_error : (N,) array
        Standard error of a position along one axis, Å.
    columns : ColumnFit, optional
        Says what overlapping columns have in common of their errors; without it nothing.

    Returns
    -------
    NeighbourDistances
    """
    n = len(atoms)
    nan = np.full((4, n), np.nan)
    count, expected = np.zeros(n, np.int64), np.zeros(n, np.int64)
    xy = atoms.yx_angstrom[:, ::-1]
    for number, (prior, first) in enumerate(zip(indices.priors, indices.first, strict=True)):
        for column in range(len(prior.columns)):
            own = np.flatnonzero((indices.lattice == number) & (indices.column == first + column))
            shell = shell_of(prior, column, prior.layer_numbers == prior.layer_numbers[column])
            if not len(own) or not len(shell):
                continue
            other = around(indices, own, shell)
            there = other >= 0
            distance = np.linalg.norm(xy[other] - xy[own][:, None], axis=-1)
            distance[~there] = np.nan
            expected[own], count[own] = len(shell), there.sum(1)
            some = there.any(1)
            own, other, there, distance = own[some], other[some], there[some], distance[some]
            n_there = there.sum(1)
            nan[0, own] = np.nansum(distance, axis=1) / n_there
            # the atom's own error moves the mean by that of the mean direction to its neighbours
            unit = np.where(there[..., None], (xy[other] - xy[own][:, None]) / distance[..., None], 0.0)
            pull = np.linalg.norm(unit.sum(1), axis=1) / n_there
            variance = np.where(there, position_error[other] ** 2, 0.0)
            shared = np.zeros_like(variance)
            if columns is not None:
                shared = np.where(there, columns.shared_variance(own[:, None], other, distance), 0.0)
            # what the atom and a neighbour have in common counts as that neighbour lies to the others
            common = (np.einsum("nja,na->nj", unit, unit.sum(1)) * shared).sum(1) / n_there**2
            own_variance = position_error[own] ** 2
            nan[1, own] = np.sqrt(
                np.maximum(variance.sum(1) / n_there**2 + pull**2 * own_variance - common, 0)
            )
            nearest = np.nanargmin(distance, axis=1)
            row = np.arange(len(own))
            nan[2, own] = distance[row, nearest]
            nan[3, own] = np.sqrt(np.maximum((variance - shared)[row, nearest] + own_variance, 0))
    return NeighbourDistances(nan[0], nan[1], nan[2], nan[3], count, expected)


def centres_and_others(
    indices: LatticeIndices, centre: str, other: str
) -> list[tuple[int, int, NDArray[np.bool_], NDArray[np.bool_]]]:
    """Find the columns of every lattice that are centres, and the columns that may be about them.

    Parameters
    ----------
    indices : LatticeIndices
    centre, other : str
        Site labels or elements.

    Returns
    -------
    list of (int, int, array of bool, array of bool)
        Lattice and column of a centre; which columns of that lattice are others, and which are centres. Empty
        where no lattice has both.

    Raises
    ------
    MeasurementError
        If the prior has no such site.
    """
    out = []
    for number, prior in enumerate(indices.priors):
        centres, others = (
            np.array([name in (c.site, c.element) for c in prior.columns]) for name in (centre, other)
        )
        if others.any():
            out += [(number, int(column), others & ~centres, centres) for column in np.flatnonzero(centres)]
    names = dict.fromkeys(name for p in indices.priors for c in p.columns for name in (c.element, c.site))
    missing = [name for name in (centre, other) if name not in names]
    if missing:
        raise MeasurementError(f"The prior has no site {missing[0]}; it has {', '.join(names)}.")
    return out
