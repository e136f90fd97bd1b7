"""The normal equations of elliptical Gaussians from sums over the pixels of their windows.

A column at a place beside the middle of its window shows ``h exp(-(a y² + 2 b y x + c x²) / 2)``. Whatever
number of it changes, the image changes by that bell times a polynomial of y and x of second degree at most.
All sums that a Gauss-Newton step needs are therefore sums of the bell times monomials, and these are the same
for all columns.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: Powers of y and x of the monomials, by degree up to the fourth; the first six are those of a polynomial.
POWERS = [(p, degree - p) for degree in range(5) for p in range(degree, -1, -1)]
SIX = 6
#: Where the numbers of a Gaussian stand among the parameters; the level of its surroundings is the fourth.
_PLACE = (0, 1, 2, 4, 5, 6)
_LEVEL = 3


def monomials(window: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return the (15, P) monomials of (P, 2) steps to pixels, in the order of `POWERS`."""
    y, x = window.T.astype(float)
    return np.array([y**p * x**q for p, q in POWERS], np.float32)


def normal_equations(
    height: Floats,
    place: tuple[Floats, Floats],
    shape: Floats,
    unit: float,
    squares: Floats,
    singles: Floats,
    forces: Floats,
    floor: Floats,
    floor_force: Floats,
) -> tuple[Floats, Floats]:
    """Put the sums of N columns together.

    Parameters
    ----------
    height : (N,) array
        In units of `unit`.
    place : two (N,) arrays
        y and x from the middle of the window, pixels.
    shape : (3, N) array
        Inverse covariance a, b, c, px⁻².
    unit : float
        Of the image.
    squares : (15, N) array
        Weighted sums of bell² times the monomials.
    singles, forces : (6, N) arrays
        Of the bell times the first six, and of these times what is left over.
    floor, floor_force : (N,) arrays
        Of the weights, and of these times what is left over.

    Returns
    -------
    normal : (N, 7, 7) array
    force : (N, 7) array
        By height, y, x, level, a, b, c, heights and levels in the image's own units.
    """
    n = len(height)
    y, x = place
    a, b, c = shape
    h, half = height, -0.5 * height
    changes: list[dict[tuple[int, int], Floats]] = [
        {(0, 0): np.ones(n)},
        {(0, 0): -h * (a * y + b * x), (1, 0): h * a, (0, 1): h * b},
        {(0, 0): -h * (b * y + c * x), (1, 0): h * b, (0, 1): h * c},
        {(0, 0): half * y * y, (1, 0): -2 * half * y, (2, 0): half},
        {(0, 0): -h * x * y, (1, 0): h * x, (0, 1): h * y, (1, 1): -h},
        {(0, 0): half * x * x, (0, 1): -2 * half * x, (0, 2): half},
    ]
    sums = dict(zip(POWERS, squares, strict=True))
    floors = dict(zip(POWERS, singles, strict=False))
    pulls = dict(zip(POWERS, forces, strict=False))
    normal, force = np.zeros((7, 7, n)), np.zeros((7, n))
    for i, one in zip(_PLACE, changes, strict=True):
        force[i] = sum(w * pulls[p] for p, w in one.items())
        normal[i, _LEVEL] = normal[_LEVEL, i] = sum(w * floors[p] for p, w in one.items())
        for j, other in zip(_PLACE, changes, strict=True):
            if j < i:
                continue
            for q, v in other.items():
                normal[i, j] += v * sum(w * sums[p[0] + q[0], p[1] + q[1]] for p, w in one.items())
            normal[j, i] = normal[i, j]
    normal[_LEVEL, _LEVEL], force[_LEVEL] = floor, floor_force
    scale = np.array([unit, 1.0, 1.0, unit, 1.0, 1.0, 1.0])
    return np.moveaxis(normal, -1, 0) / (scale[:, None] * scale), force.T / scale


def eased(normal: Floats) -> Floats:
    """Return normal equations a little heavier on the diagonal, so that one without pixels has an answer."""
    m = normal.shape[1]
    out = np.array(normal)
    diagonal = np.arange(m)
    out[:, diagonal, diagonal] = out[:, diagonal, diagonal] * (1 + 1e-9) + 1e-30
    return out
