"""Pairs of points that lie near each other in what repeats, found in a time that grows with their number."""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree


def near_pairs(
    fractional: NDArray[np.float64], cell: NDArray[np.float64], reach: float
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """List the pairs of points of a lattice that lie within a distance of each other.

    Parameters
    ----------
    fractional : (N, D) array
        In the basis of the cell.
    cell : (D, D) array
        Rows are the cell vectors in Å.
    reach : float
        Å.

    Returns
    -------
    first, second : (M,) arrays of int
        A pair for each image of the second that is near the first; a point is paired with its own images too.
    vectors : (M, D) array
        Å from the first to the second.
    """
    places, owner = with_margin(fractional, cell, reach)
    inner = places[: len(fractional)]
    tree = cKDTree(places)
    pairs = cKDTree(inner).sparse_distance_matrix(tree, reach, output_type="ndarray")
    first, image = pairs["i"].astype(np.int64), pairs["j"].astype(np.int64)
    other = first != image
    first, image = first[other], image[other]
    return first, owner[image].astype(np.int64), places[image] - places[first]


def with_margin(
    fractional: NDArray[np.float64], cell: NDArray[np.float64], margin: float
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """List the points in one cell, and their images within a margin around it.

    Parameters
    ----------
    fractional : (N, D) array
        In the basis of the cell.
    cell : (D, D) array
        Rows are the cell vectors in Å.
    margin : float
        Å.

    Returns
    -------
    places : (M, D) array
        Å; the first N lie in the cell, in the order given.
    owner : (M,) array of int
        Which of the N points each is an image of.
    """
    inside = np.mod(fractional, 1.0)
    width = margin * np.linalg.norm(np.linalg.inv(cell), axis=0)  # in units of the distances between faces
    around = [range(-int(np.ceil(w)), int(np.ceil(w)) + 1) for w in width]
    shifts = np.array([shift for shift in product(*around) if any(shift)]).reshape(-1, 1, len(cell))
    moved = inside + shifts
    near = ((moved > -width) & (moved < 1 + width)).all(axis=2)
    places = np.concatenate([inside, moved[near]]) @ cell
    return places, np.concatenate([np.arange(len(inside)), np.nonzero(near)[1]])


def near_groups(count: int, first: NDArray[np.int64], second: NDArray[np.int64]) -> NDArray[np.int64]:
    """Number the groups into which pairs link points.

    Parameters
    ----------
    count : int
        Of points, N.
    first, second : (M,) arrays of int

    Returns
    -------
    (N,) array of int
        Of each point, the number of its group, by first member.
    """
    graph = coo_array((np.ones(len(first)), (first, second)), shape=(count, count))
    _, label = connected_components(graph, directed=False)
    _, order, inverse = np.unique(label, return_index=True, return_inverse=True)
    rank = np.empty(len(order), dtype=np.int64)
    rank[np.argsort(order)] = np.arange(len(order))
    grouped: NDArray[np.int64] = rank[inverse]
    return grouped
