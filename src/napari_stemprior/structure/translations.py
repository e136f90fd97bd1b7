"""Pure translations: the smallest cell of a periodic arrangement of points, in two or three dimensions.

Of exact crystals spglib finds the same cells. Of relaxed ones, with atoms some 0.01 Å off, it loses
translations: it looks for a whole space group and lowers its tolerance until one fits.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from math import gcd

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from napari_stemprior.structure.near_pairs import with_margin
from napari_stemprior.structure.periodic import image_distance, minimum_image


def smallest_cell(
    lattice: NDArray[np.float64],
    fractional: NDArray[np.float64],
    kinds: Sequence[Hashable],
    tolerance: float = 0.05,
) -> tuple[NDArray[np.float64], NDArray[np.float64], list[list[int]]]:
    """Divide a cell by every translation that maps its points onto points of the same kind.

    Parameters
    ----------
    lattice : (D, D) array
        Rows are the cell vectors in Å.
    fractional : (N, D) array
        Positions in the basis of the cell.
    kinds : sequence of N hashables
        Only points of equal kind may be mapped onto each other.
    tolerance : float
        How far in Å a mapped point may lie from its partner.

    Returns
    -------
    lattice : (D, D) array
        The smallest cell; the same orientation, not reduced in shape.
    fractional : (M, D) array
        Mean positions of equivalent points in the new basis, in [0, 1).
    groups : list of M lists of int
        Which of the N points became each of the M.
    """
    groups = [[i] for i in range(len(fractional))]
    fractional = wrapped(fractional)
    kinds = list(kinds)
    while (shift := _translation(lattice, fractional, kinds, tolerance)) is not None:
        numerator, order = shift
        basis = _hermite([*(np.eye(len(lattice), dtype=np.int64) * order), numerator]) / order
        smaller = basis @ lattice
        places = wrapped(fractional @ np.linalg.inv(basis))
        heads, members = _gathered(places, kinds, smaller, 2 * tolerance)
        if len(heads) * order != len(places):  # points closer than the tolerance: leave the cell as it is
            break
        lattice = smaller
        fractional = wrapped(np.array([_mean_place(places[member]) for member in members]))
        groups = [[i for m in member for i in groups[m]] for member in members]
        kinds = [kinds[head] for head in heads]
    return lattice, fractional, groups


def wrapped(fractional: NDArray[np.float64]) -> NDArray[np.float64]:
    """Carry fractional coordinates into [0, 1), rounding noise just below 1 to 0."""
    inside = np.mod(fractional, 1.0)
    inside[inside > 1 - 1e-7] = 0.0
    return inside


def _gathered(
    places: NDArray[np.float64], kinds: list[Hashable], lattice: NDArray[np.float64], reach: float
) -> tuple[list[int], list[list[int]]]:
    """Gather points of one kind that lie within `reach` Å of the first of them."""
    heads: list[int] = []
    members: list[list[int]] = []
    number = {kind: i for i, kind in enumerate(dict.fromkeys(kinds))}
    label = np.array([number[kind] for kind in kinds])
    head_places, head_labels = np.empty_like(places), np.empty_like(label)
    for index, place in enumerate(places):
        count = len(heads)
        near = image_distance(head_places[:count] - place, lattice) < reach
        found = np.flatnonzero(near & (head_labels[:count] == label[index]))
        if len(found):
            members[found[0]].append(index)
        else:
            head_places[count], head_labels[count] = place, label[index]
            heads.append(index)
            members.append([index])
    return heads, members


def _mean_place(places: NDArray[np.float64]) -> NDArray[np.float64]:
    mean: NDArray[np.float64] = places[0] + minimum_image(places - places[0]).mean(axis=0)
    return mean


def _translation(
    lattice: NDArray[np.float64], fractional: NDArray[np.float64], kinds: list[Hashable], tolerance: float
) -> tuple[NDArray[np.int64], int] | None:
    """Find a translation ``numerator / order`` of the cell, or None."""
    members: dict[Hashable, list[int]] = {}
    for index, kind in enumerate(kinds):
        members.setdefault(kind, []).append(index)
    # Every kind falls into whole orbits, so the order divides every count:
    # a single vacancy ends the search here.
    common = gcd(*(len(m) for m in members.values()))
    if common == 1:
        return None
    orders = [n for n in range(2, common + 1) if common % n == 0]
    stacks = sorted((fractional[m] for m in members.values()), key=len)
    nearby = [_Nearby(stack, lattice, tolerance) for stack in stacks]
    shifts = stacks[0][1:] - stacks[0][0]
    numerators = np.round(np.array(orders)[:, None, None] * shifts).astype(np.int64)
    rest = shifts - numerators / np.array(orders)[:, None, None]
    fits = image_distance(rest, lattice) < tolerance
    for place in np.flatnonzero(fits.any(axis=0)):
        for number in np.flatnonzero(fits[:, place]):
            order, numerator = orders[number], numerators[number, place]
            if gcd(order, *numerator.tolist()) == 1:
                break
        else:
            continue
        if all(one.maps(numerator / order) for one in nearby):
            return numerator, order
    return None


class _Nearby:
    """Points of one kind, and whether a shift carries each onto one of them."""

    def __init__(self, places: NDArray[np.float64], lattice: NDArray[np.float64], tolerance: float) -> None:
        self._places, self._lattice, self._tolerance = places, lattice, tolerance
        self._tree = cKDTree(with_margin(places, lattice, tolerance)[0])

    def maps(self, shift: NDArray[np.float64]) -> bool:
        for part in (self._places[:8], self._places[8:]):  # most shifts fail at once
            if len(part):
                moved = np.mod(part + shift, 1.0) @ self._lattice
                distance, _ = self._tree.query(moved, distance_upper_bound=1.001 * self._tolerance)
                if np.any(distance > self._tolerance):
                    return False
        return True


def _hermite(rows: list[NDArray[np.int64]]) -> NDArray[np.int64]:
    """Return a (D, D) basis of the lattice that integer rows (n, D) span, by Euclid's algorithm."""
    left = [[int(i) for i in row] for row in rows]
    basis = []
    for column in range(len(left[0])):
        while len(pivots := [row for row in left if row[column]]) > 1:
            smallest = min(pivots, key=lambda row: abs(row[column]))
            left = [
                row
                if row is smallest
                else [a - row[column] // smallest[column] * b for a, b in zip(row, smallest, strict=True)]
                for row in left
            ]
        basis.append(pivots[0])
        left = [row for row in left if row is not pivots[0]]
    return np.array(basis, dtype=np.int64)
