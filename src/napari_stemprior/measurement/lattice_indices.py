"""Which site of which cell each atom occupies: the indices (h, k, site)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import breadth_first_order, connected_components, minimum_spanning_tree
from scipy.spatial import cKDTree

from napari_stemprior.atoms import AtomTable
from napari_stemprior.errors import MeasurementError
from napari_stemprior.registration import LatticeFit
from napari_stemprior.registration.lattice_fit import MIN_RELIABILITY, straight_sites
from napari_stemprior.registration.pose import Pose
from napari_stemprior.structure import StructurePrior
from napari_stemprior.structure.periodic import image_distance

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

#: Atoms that a lattice needs to be measured: an affine map has three numbers along each axis.
LEAST_ATOMS = 6
#: A step from an atom to the next may miss a lattice vector by this part of the distance between columns.
_TOLERANCE = 0.3
#: Neighbours from which an atom can be reached.
_STEPS = 8
#: Parts of the lattice smaller than this are no crystal.
_LEAST_PART = 4
#: Atoms that a further grain has at least, and how many further grains are looked for.
_LEAST_GRAIN, _MOST_GRAINS = 25, 7

#: A prior, its pose, and the number of its first column.
PosedLayer = tuple[StructurePrior, Pose, int]


@dataclass(frozen=True, eq=False)
class LatticeIndices:
    """The lattice indices of atoms.

    Parameters
    ----------
    h, k : (N,) arrays of int
        The cell along its first and second vector; 0 where `column` is -1.
    column : (N,) array of int
        The column of the cell; of a stack, counted through the cells of all layers. -1 where the atom has
        no site.
    lattice : (N,) array of int
        Which of `priors` the atom belongs to; -1 for none.
    part : (N,) array of int
        Parts of the lattice that no chain of neighbours connects, 0 the largest; -1 where there is no site.
    ideal : (N, 2) array
        Å (x, y) in the frame of the prior; NaN where there is no site.
    reason : (N,) array of str
        Why an atom has no site; empty where it has one.
    priors : tuple of StructurePrior
        The lattices that are placed, entrance side first; of a single layer, that of each grain.
    first : tuple of int
        Number of the first column of each lattice.
    """

    h: Integers
    k: Integers
    column: Integers
    lattice: Integers
    part: Integers
    ideal: Floats
    reason: NDArray[np.object_]
    priors: tuple[StructurePrior, ...]
    first: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.h)

    @property
    def known(self) -> NDArray[np.bool_]:
        """(N,) whether the atom has a site."""
        return np.asarray(self.column >= 0)

    @property
    def sublattice(self) -> Integers:
        """(N,) number of the lattice and column together; -1 where there is no site."""
        columns = max(self.first) + len(self.priors[-1].columns)
        return np.asarray(np.where(self.known, self.lattice * columns + self.column, -1))

    @property
    def site(self) -> NDArray[np.object_]:
        """(N,) labels of the sites; empty where there is none."""
        return self._of_column("site")

    @property
    def element(self) -> NDArray[np.object_]:
        """(N,) the element that belongs there; empty where there is no site."""
        return self._of_column("element")

    def _of_column(self, name: str) -> NDArray[np.object_]:
        labels = np.full(max(self.first) + len(self.priors[-1].columns) + 1, "", object)
        for prior, first in zip(self.priors, self.first, strict=True):
            labels[first : first + len(prior.columns)] = [getattr(c, name) for c in prior.columns]
        return np.asarray(labels[self.column], object)  # -1 is the last, which stays empty

    def find(self, lattice: Integers, h: Integers, k: Integers, column: Integers) -> Integers:
        """Return which atom sits at given indices, -1 where none does; arrays that broadcast."""
        known = np.flatnonzero(self.known)
        reach = 1 + max(int(np.abs(a).max(initial=0)) for a in (self.h, self.k, h, k))
        columns = max(self.first) + len(self.priors[-1].columns)

        def key(m: Integers, i: Integers, j: Integers, c: Integers) -> Integers:
            return ((m * (2 * reach + 1) + i + reach) * (2 * reach + 1) + (j + reach)) * columns + c

        mine = key(self.lattice[known], self.h[known], self.k[known], self.column[known])
        order = np.argsort(mine)
        wanted = key(lattice, h, k, column)
        place = np.minimum(np.searchsorted(mine[order], wanted), max(len(known) - 1, 0))
        if not len(known):
            return np.full(np.shape(wanted), -1, np.int64)
        found = known[order[place]]
        return np.asarray(np.where(mine[order[place]] == wanted, found, -1), np.int64)


def index_atoms(atoms: AtomTable, fit: LatticeFit) -> LatticeIndices:
    """Find the lattice indices of every atom.

    The site is that of the fit that is nearest, of the same layer. The cell is counted from atom to atom: a
    step to a neighbour is a lattice vector plus the difference of two columns, whatever strain has added up
    across the image. Atoms are connected by the steps that miss a lattice vector least (minimum spanning
    tree), and each connected part is counted from the pose.

    Parameters
    ----------
    atoms : AtomTable
        Atoms only, see `AtomTable.atoms`.
    fit : LatticeFit

    Returns
    -------
    LatticeIndices

    Raises
    ------
    MeasurementError
        If there are too few atoms, or too few of them lie on sites.
    """
    if len(atoms) < LEAST_ATOMS:
        raise MeasurementError(
            f"There are {len(atoms)} atoms; a lattice is measured from {LEAST_ATOMS} or more."
        )
    yx = atoms.yx
    column, reason = _nearest_columns(atoms, fit)
    n = len(atoms)
    h, k = np.zeros(n, np.int64), np.zeros(n, np.int64)
    lattice, part = np.full(n, -1, np.int64), np.full(n, -1, np.int64)
    ideal = np.full((n, 2), np.nan)
    placed = list(zip(fit.layers, fit.poses, fit.first_columns, strict=True))
    free = column >= 0
    for number in range(len(placed) + (_MOST_GRAINS if len(placed) == 1 else 0)):
        if number >= len(placed):  # what the first lattice does not reach may be another grain
            grain = _other_grain(yx, column, free & ~_large(part), fit, placed[0])
            if grain is None:
                break
            placed.append(grain)
        prior, pose, start = placed[number]
        mine = free & (column >= start) & (column < start + len(prior.columns))
        own = np.flatnonzero(mine & ~_large(part) if number else mine)
        if len(own) < LEAST_ATOMS:
            continue
        place = column[own] - start
        cells, parts = _counted(yx[own], place, prior, pose)
        taken = parts >= 0 if len(placed) == len(fit.poses) else parts == 0
        own, cells, parts, place = own[taken], cells[taken], parts[taken], place[taken]
        h[own], k[own] = cells.T
        lattice[own], part[own] = number, parts + (part.max() + 1 if number >= len(fit.poses) else 0)
        ideal[own] = (cells + prior.fractional[place]) @ prior.cell
    cut = (column >= 0) & (part < 0)
    reason[cut] = "it is not connected with the lattice"
    known = part >= 0
    twice = _twice(atoms, [pose for _, pose, _ in placed], h, k, column, ideal, lattice, known)
    reason[twice] = "another atom is nearer to its site"
    known &= ~twice
    h[~known], k[~known], lattice[~known], part[~known], ideal[~known] = 0, 0, -1, -1, np.nan
    column = np.where(known, column, -1)
    if np.count_nonzero(known) < LEAST_ATOMS:
        raise MeasurementError(
            f"Only {np.count_nonzero(known)} of {n} atoms lie on sites of {fit.prior.name}; fit the lattice "
            "to this image first, or choose the right prior."
        )
    return LatticeIndices(
        h,
        k,
        column,
        lattice,
        part,
        ideal,
        reason,
        tuple(p for p, _, _ in placed),
        tuple(i for *_, i in placed),
    )


def _large(part: Integers) -> NDArray[np.bool_]:
    """Tell which atoms belong to a part of the lattice that may be a grain."""
    sizes = np.bincount(part[part >= 0], minlength=1)
    return np.asarray((part >= 0) & (sizes[part] >= _LEAST_GRAIN))


def _other_grain(
    yx: Floats, column: Integers, rest: NDArray[np.bool_], fit: LatticeFit, placed: PosedLayer
) -> PosedLayer | None:
    """Return the pose among the rivals that connects most of the atoms that are left, if it connects many."""
    prior, _, start = placed
    own = np.flatnonzero(rest)
    if len(own) < _LEAST_GRAIN:
        return None
    most, best = _LEAST_GRAIN - 1, None
    for pose in fit.rivals:
        connected = int(np.count_nonzero(_counted(yx[own], column[own] - start, prior, pose)[1] == 0))
        if connected > most:
            most, best = connected, pose
    return None if best is None else (prior, best, start)


def _nearest_columns(atoms: AtomTable, fit: LatticeFit) -> tuple[Integers, NDArray[np.object_]]:
    yx = atoms.yx
    if fit.sites is not None:
        sites = fit.sites.where(fit.sites.reliability >= MIN_RELIABILITY)
    else:
        rows, columns = np.ceil(yx.max(0)).astype(int) + 2
        sites = straight_sites(fit, (max(int(rows), 1), max(int(columns), 1)), 5.0)
    if len(sites) < LEAST_ATOMS:
        raise MeasurementError(
            f"The lattice of {fit.prior.name} has no sites here; fit it to the image first."
        )
    index, distance = sites.nearest(yx, atoms.rows["layer"].to_numpy(np.int64))
    near = (index >= 0) & (distance <= sites.reach)
    reason = np.where(near, "", "it lies on no site of the lattice").astype(object)
    return np.where(near, sites.column[index], -1), reason


def _counted(yx: Floats, place: Integers, prior: StructurePrior, pose: Pose) -> tuple[Integers, Integers]:
    """Return the (M, 2) cells of atoms on known columns, and (M,) the connected part; -1 for none."""
    count = len(yx)
    xy = pose.to_angstrom(yx)
    inverse = np.asarray(np.linalg.inv(prior.cell), float)
    basis = prior.positions[place]
    near = np.asarray(cKDTree(xy).query(xy, k=min(_STEPS + 1, count))[1])[:, 1:]
    a, b = np.repeat(np.arange(count), near.shape[1]), near.ravel()
    miss = _step(xy, basis, inverse, a, b)
    residual = image_distance(miss, prior.cell)
    good = residual < _TOLERANCE * prior.closest_in_layer
    weights = coo_matrix((residual[good] + 1e-9, (a[good], b[good])), (count, count)).tocsr()
    weights = weights.maximum(weights.T)
    _, parts = connected_components(weights, directed=False)
    tree = minimum_spanning_tree(weights).tocoo()
    roots = np.unique(parts, return_index=True)[1]
    # a further node that is tied to one atom of each part reaches all of them at once
    rows = np.concatenate([tree.row, roots])
    columns = np.concatenate([tree.col, np.full(len(roots), count)])
    graph = coo_matrix((np.ones(len(rows)), (rows, columns)), (count + 1, count + 1)).tocsr()
    before = np.asarray(breadth_first_order(graph, count, directed=False)[1])[:count].astype(np.int64)
    before = np.where(before == count, np.arange(count), before)
    cells = np.rint(_step(xy, basis, inverse, before, np.arange(count))).astype(np.int64)
    while not np.array_equal(before, before[before]):  # sums along the way to the root, in doubling strides
        cells, before = cells + cells[before], before[before]
    absolute = pd.DataFrame((xy - basis) @ inverse - cells).groupby(parts).transform("median").to_numpy()
    sizes = np.bincount(parts)
    order = np.argsort(np.argsort(-sizes, kind="stable"), kind="stable")
    numbered = np.where(sizes[parts] >= _LEAST_PART, order[parts], -1)
    return cells + np.rint(absolute).astype(np.int64), numbered.astype(np.int64)


def _step(xy: Floats, basis: Floats, inverse: Floats, a: Integers, b: Integers) -> Floats:
    """Return the cells between atoms `a` and `b`, not yet whole numbers."""
    return np.asarray((xy[b] - xy[a] - basis[b] + basis[a]) @ inverse)


def _twice(
    atoms: AtomTable,
    poses: list[Pose],
    h: Integers,
    k: Integers,
    column: Integers,
    ideal: Floats,
    lattice: Integers,
    known: NDArray[np.bool_],
) -> NDArray[np.bool_]:
    """Tell which atoms share a site with one that is nearer to it."""
    twice = np.zeros(len(h), bool)
    here = np.flatnonzero(known)
    distance = np.zeros(len(here))
    for number, pose in enumerate(poses):
        own = lattice[here] == number
        distance[own] = np.linalg.norm(pose.to_pixels(ideal[here[own]]) - atoms.yx[here[own]], axis=1)
    frame = pd.DataFrame(
        {"l": lattice[here], "h": h[here], "k": k[here], "c": column[here], "d": distance, "row": here}
    )
    later = frame.sort_values("d", kind="stable").duplicated(["l", "h", "k", "c"])
    twice[frame.loc[later[later].index, "row"]] = True
    return twice
