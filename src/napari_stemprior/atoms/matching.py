"""Which predicted atom belongs to which true one: strict matching, one to one.

A prediction counts only if it lies within the gate of a true atom that no other prediction takes.
Near the border an atom may be half in the picture, so pairs of which either end lies within
`BORDER` of the edge are neither rewarded nor penalised.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import min_weight_full_bipartite_matching
from scipy.spatial import cKDTree

#: Part of the median projected neighbour distance within which a prediction is a hit.
GATE_FRACTION = 0.3
#: Largest gate in Å.
GATE_MAX = 0.75
#: Width of the border in Å that is left out.
BORDER = 1.0

# Cost of leaving a true atom without partner, in gates. It must exceed every detour of a chain of
# re-matched pairs, so that the number of pairs comes first and their distance second.
_UNMATCHED = 1e6


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
    with the least sum of distances (Hungarian method on the sparse graph of candidates).

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
    """Match within the gate; all in Å."""
    nothing = np.empty(0, dtype=np.int64)
    if not len(found) or not len(true):
        return nothing, nothing, np.empty(0)
    near = cKDTree(true).sparse_distance_matrix(cKDTree(found), gate, output_type="coo_matrix")
    t, p, d = near.row.astype(np.int64), near.col.astype(np.int64), np.asarray(near.data, float)
    # every true atom has a partner of its own that stands for "none"; costs are > 0 because the
    # sparse graph drops zeros
    rows = np.concatenate([t, np.arange(len(true))])
    columns = np.concatenate([p, len(found) + np.arange(len(true))])
    costs = np.concatenate([1 + d / gate, np.full(len(true), _UNMATCHED)])
    graph = csr_array((costs, (rows, columns)), shape=(len(true), len(found) + len(true)))
    row, column = min_weight_full_bipartite_matching(graph)
    real = column < len(found)
    t, p = np.asarray(row[real], np.int64), np.asarray(column[real], np.int64)
    return p, t, np.linalg.norm(found[p] - true[t], axis=1)
