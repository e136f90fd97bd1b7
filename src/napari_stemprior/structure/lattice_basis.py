"""Vectors and bases of a lattice: which lie along a direction, which complete a basis, which are shortest."""

from __future__ import annotations

import math

import numpy as np
from ase.geometry import minkowski_reduce
from numpy.typing import NDArray


def lattice_vector_along(
    direction: NDArray[np.float64], cell: NDArray[np.float64]
) -> tuple[int, int, int] | None:
    """Find the shortest lattice vector along a direction, to 0.1 degrees; None if there is none.

    Parameters
    ----------
    direction : (3,) array
        Of length 1.
    cell : (3, 3) array
        Rows are the cell vectors in Å.
    """
    indices = direction @ np.linalg.inv(cell)
    indices = indices / np.abs(indices).max()
    for multiple in range(1, 7):  # enough for every centred cell
        uvw = np.round(multiple * indices)
        vector = uvw @ cell
        along = float(vector @ direction)
        if along > 0 and np.linalg.norm(vector - along * direction) < 2e-3 * along:
            u, v, w = (int(i) for i in uvw)
            return u, v, w
    return None


def basis_with_third(uvw: NDArray[np.int64]) -> NDArray[np.int64]:
    """Complete a primitive [uvw] to a basis of the same lattice whose third vector it is.

    Parameters
    ----------
    uvw : (3,) array of int
        Without a common divisor.

    Returns
    -------
    (3, 3) array of int
        Rows are the vectors; the determinant is 1 or -1.
    """
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
    g, rest = a, b
    x, next_x, y, next_y = 1, 0, 0, 1
    while rest:
        times = g // rest
        g, rest = rest, g - times * rest
        x, next_x = next_x, x - times * next_x
        y, next_y = next_y, y - times * next_y
    return (g, x, y) if g >= 0 else (-g, -x, -y)


def reduced_plane(plane: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the shortest right-handed basis of a plane lattice.

    Parameters
    ----------
    plane : (2, 2) array
        Rows are the vectors in Å.

    Returns
    -------
    (2, 2) array

    Notes
    -----
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
    seconds = [v for v in vectors if math.isclose(_cross(first, v), area, rel_tol=1e-6)]
    second = min(seconds, key=lambda v: (round(float(np.hypot(*v)), 3), first @ v))
    return np.array([first, second])


def _cross(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    return float(a[0] * b[1] - a[1] * b[0])
