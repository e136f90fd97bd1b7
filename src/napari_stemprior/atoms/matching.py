"""Which predicted atom belongs to which true one: strict matching, one to one.

A prediction counts only if it lies within the gate of a true atom that no other prediction takes.
Near the border an atom may be half in the picture, so pairs of which either end lies within
`BORDER` of the edge are neither rewarded nor penalised.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components, min_weight_full_bipartite_matching
from scipy.spatial import cKDTree

#: Part of the median projected neighbour distance within which a prediction is a hit.
GATE_FRACTION = 0.3
#: Largest gate in Å.
GATE_MAX = 0.75
#: Width of the border in Å that is left out.
BORDER = 1.0

# Cost of leaving a true atom without partner, in the largest distance of a candidate. It must exceed every
# detour of a chain of re-matched pairs, so that the number of pairs comes first and their distance second.
_UNMATCHED = 1e6
# Entries of the table of costs up to which a group of candidates is solved as a table.
_DENSE = 250_000


@dataclass(frozen=True, eq=False)
class Matching:
    """Who belongs to whom.

    Parameters
    ----------
    predicted, truth : (K,) arrays of int
        The pairs that count: indices into the two sets of positions.
    distance : (K,) array
        Their distances in Å.
    spurious : array of int
        Predictions without partner (false positives).
    missed : array of int
        True atoms without partner (false negatives).
    gate : float
        Largest distance of a pair in Å.
    """

    predicted: NDArray[np.int64]
    truth: NDArray[np.int64]
    distance: NDArray[np.float64]
    spurious: NDArray[np.int64]
    missed: NDArray[np.int64]
    gate: float

    @property
    def counted(self) -> NDArray[np.int64]:
        """Indices of the predictions that count, right or wrong."""
        return np.concatenate([self.predicted, self.spurious])


def gate_for(truth: ArrayLike, pixel_size: float) -> float:
    """Return the gate τ = min(0.3 × median projected neighbour distance, 0.75 Å) of true atoms.

    Parameters
    ----------
    truth : (M, 2) array-like
        Pixels (y, x).
    pixel_size : float
        Å/px.
    """
    spacing = median_spacing(truth)
    return GATE_MAX if spacing is None else min(GATE_FRACTION * spacing * pixel_size, GATE_MAX)


def median_spacing(positions: ArrayLike) -> float | None:
    """Return the median distance of (N, 2) positions to their nearest neighbours; None for fewer than two."""
    places = as_points(positions)
    if len(places) < 2:
        return None
    return float(np.median(np.asarray(cKDTree(places).query(places, k=[2])[0])))


def match(
    predicted: ArrayLike,
    truth: ArrayLike,
    pixel_size: float,
    shape: tuple[int, int] | None = None,
    *,
    gate: float | None = None,
    border: float = BORDER,
) -> Matching:
    """Pair predictions with true atoms one to one.

    Among all pairings within the gate it takes one with the most pairs, and of those the one
    with the least sum of distances: the Hungarian method on each group of candidates that share no atom with
    another group.

    Parameters
    ----------
    predicted : (N, 2) array-like
        Pixels (y, x), pixel centres on integers.
    truth : (M, 2) array-like
        The same of the true atoms.
    pixel_size : float
        Å/px.
    shape : (int, int), optional
        Rows and columns of the image; without it there is no border.
    gate : float, optional
        Å; `gate_for` the truth if not given.
    border : float
        Å.

    Returns
    -------
    Matching
    """
    found, true = as_points(predicted), as_points(truth)
    tau = gate_for(true, pixel_size) if gate is None else float(gate)
    p, t, distance = _pair(found * pixel_size, true * pixel_size, tau)
    in_p, in_t = inside(found, pixel_size, shape, border), inside(true, pixel_size, shape, border)
    alone_p, alone_t = in_p.copy(), in_t.copy()
    alone_p[p] = False
    alone_t[t] = False
    both = in_p[p] & in_t[t]
    return Matching(p[both], t[both], distance[both], np.flatnonzero(alone_p), np.flatnonzero(alone_t), tau)


def as_points(positions: ArrayLike) -> NDArray[np.float64]:
    """Return positions as an (N, 2) array, also where there are none."""
    return np.asarray(positions, dtype=np.float64).reshape(-1, 2)


def inside(
    yx: NDArray[np.float64], pixel_size: float, shape: tuple[int, int] | None, border: float
) -> NDArray[np.bool_]:
    """Tell which (N, 2) pixels (y, x) lie at least `border` Å within an image; all if it has no shape."""
    if shape is None:
        return np.ones(len(yx), dtype=bool)
    margin = border / pixel_size - 0.5  # the image reaches half a pixel beyond its outermost centres
    far = np.asarray(shape, float) - 1
    return np.asarray(((yx >= margin) & (yx <= far - margin)).all(axis=1))


def _pair(
    found: NDArray[np.float64], true: NDArray[np.float64], gate: float
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Match within the gate; all in Å. Pairs come in the order of the true atoms."""
    if not len(found) or not len(true):
        nothing = np.empty(0, dtype=np.int64)
        return nothing, nothing, np.empty(0)
    near = cKDTree(true).sparse_distance_matrix(cKDTree(found), gate, output_type="coo_matrix")
    t, p, d = near.row.astype(np.int64), near.col.astype(np.int64), np.asarray(near.data, float)
    groups, alone = _groups(t, p, len(true), len(found))
    chosen = [alone, *(group[_assigned(t[group], p[group], d[group])] for group in groups)]
    pairs = np.concatenate(chosen)
    pairs = pairs[np.argsort(t[pairs])]
    return p[pairs], t[pairs], d[pairs]


def _groups(
    t: NDArray[np.int64], p: NDArray[np.int64], trues: int, founds: int
) -> tuple[list[NDArray[np.int64]], NDArray[np.int64]]:
    """Split (E,) candidate pairs into groups that share no atom; those that are alone come apart."""
    size = trues + founds
    graph = coo_array((np.ones(len(t), np.int8), (t, trues + p)), shape=(size, size))
    _, label = connected_components(graph, directed=False)
    order = np.argsort(label[t], kind="stable")
    starts = np.flatnonzero(np.diff(label[t][order], prepend=-1))
    groups = np.split(order, starts[1:])
    single = np.diff(starts, append=len(order)) == 1
    return [groups[i] for i in np.flatnonzero(~single)], order[starts[single]]


def _assigned(t: NDArray[np.int64], p: NDArray[np.int64], d: NDArray[np.float64]) -> NDArray[np.int64]:
    """Of the (E,) candidate pairs of one group return the indices of the best: most pairs, then least sum."""
    rows, row = np.unique(t, return_inverse=True)
    columns, column = np.unique(p, return_inverse=True)
    if len(rows) * len(columns) > _DENSE:
        return _sparsely_assigned(row, column, d)
    # what is no candidate costs more than all that are, so that the number of pairs comes first
    cost = np.full((len(rows), len(columns)), 1.0 + 2.0 * min(len(rows), len(columns)) * d.max())
    edge = np.full(cost.shape, -1)
    cost[row, column], edge[row, column] = d, np.arange(len(d))
    pairs = edge[linear_sum_assignment(cost)]
    return np.asarray(pairs[pairs >= 0], np.int64)


def _sparsely_assigned(
    row: NDArray[np.intp], column: NDArray[np.intp], d: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Do the same for a group whose table of costs would be large."""
    rows, columns = int(row.max()) + 1, int(column.max()) + 1
    # every true atom has a partner of its own that stands for "none"; costs are > 0 because the
    # sparse graph drops zeros
    none = np.arange(rows)
    costs = np.concatenate([1 + d / max(d.max(), 1e-300), np.full(rows, _UNMATCHED)])
    places = (np.concatenate([row, none]), np.concatenate([column, columns + none]))
    taken, partner = min_weight_full_bipartite_matching(
        csr_array((costs, places), shape=(rows, columns + rows))
    )
    real = partner < columns
    key = row * columns + column
    order = np.argsort(key)
    return np.asarray(order[np.searchsorted(key[order], taken[real] * columns + partner[real])], np.int64)
