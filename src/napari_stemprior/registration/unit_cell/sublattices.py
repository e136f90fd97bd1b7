"""Lattices within a lattice, as integer matrices in Hermite normal form: one for each, whatever its basis."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]


def sublattices(largest: int) -> list[Integers]:
    """List the (2, 2) matrices of all lattices whose cell is 2 to `largest` times as large."""
    return [
        np.array([[first, shift], [0, area // first]])
        for area in range(2, largest + 1)
        for first in range(1, area + 1)
        if area % first == 0
        for shift in range(area // first)
    ]


def hermite_normal_form(matrix: Integers) -> Integers:
    """Return the Hermite normal form of a (2, 2) integer matrix: another basis of the same rows."""
    first, second = (np.array(row, np.int64) for row in matrix)
    while second[0]:
        first, second = second, first - (first[0] // second[0]) * second
    first, second = first * (-1 if first[0] < 0 else 1), second * (-1 if second[1] < 0 else 1)
    return np.array([first - (first[1] // second[1]) * second, second])
