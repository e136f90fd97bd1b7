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
#: Where the level of the surroundings stands among the numbers of a column.
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
    floor: Floats,
) -> Floats:
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
    singles : (6, N) array
        Of the bell times the first six.
    floor : (N,) array
        Of the weights.

    Returns
    -------
    (N, 7, 7) array
        By height, y, x, level, a, b, c, heights and levels in the image's own units. The columns lie side by
        side in memory.
    """
    m, single = _about(squares, place), _about(singles, place)
    a, b, c = height * shape
    turns = ((a, b), (b, c))
    # of the derivative along y and along x, with the terms of the polynomial of a column
    slopes = [
        {(p, q): one * m[p + 1, q] + other * m[p, q + 1] for p, q in POWERS[:SIX]} for one, other in turns
    ]
    scales = (-0.5 * height, -height, -0.5 * height)
    shapes = POWERS[3:SIX]
    out = np.empty((7, 7, len(height)))
    out[0, 0], out[_LEVEL, _LEVEL], out[0, _LEVEL] = m[0, 0], floor, single[0, 0]
    for i, slope in enumerate(slopes):
        out[0, 1 + i] = slope[0, 0]
        out[1 + i, _LEVEL] = turns[i][0] * single[1, 0] + turns[i][1] * single[0, 1]
        for j in range(i, 2):
            out[1 + i, 1 + j] = turns[j][0] * slope[1, 0] + turns[j][1] * slope[0, 1]
    for i, (power, scale) in enumerate(zip(shapes, scales, strict=True), 4):
        out[0, i], out[_LEVEL, i] = scale * m[power], scale * single[power]
        out[1, i], out[2, i] = scale * slopes[0][power], scale * slopes[1][power]
        for j in range(i, 7):
            other = shapes[j - 4]
            out[i, j] = scale * scales[j - 4] * m[power[0] + other[0], power[1] + other[1]]
    for i in range(7):
        out[i + 1 :, i] = out[i, i + 1 :]
    for line in (0, _LEVEL):
        out[line] /= unit
        out[:, line] /= unit
    return np.moveaxis(out, -1, 0)


def pulls(
    height: Floats,
    place: tuple[Floats, Floats],
    shape: Floats,
    unit: float,
    sums: Floats,
    level: Floats,
) -> Floats:
    """Return the (N, 7) pulls of something on the numbers of N columns, in the order of the equations.

    Parameters
    ----------
    height, place, shape, unit
        As for `normal_equations`.
    sums : (6, N) array
        Weighted sums of what pulls times the bell times the first six monomials.
    level : (N,) array
        Of what pulls.
    """
    m = _about(sums, place)
    a, b, c = height * shape
    out = np.stack([
        m[0, 0], a * m[1, 0] + b * m[0, 1], b * m[1, 0] + c * m[0, 1], level,
        -0.5 * height * m[2, 0], -height * m[1, 1], -0.5 * height * m[0, 2],
    ])  # fmt: skip
    out[[0, _LEVEL]] /= unit
    return out.T


def _about(sums: Floats, place: tuple[Floats, Floats]) -> dict[tuple[int, int], Floats]:
    """Return sums of monomials about the middle of the window as those about places beside it."""
    m = dict(zip(POWERS, np.array(sums), strict=False))
    degree = max(p for p, _ in m)
    y, x = place
    for other in range(degree):
        for first in range(1, degree - other + 1):
            for power in range(degree - other, first - 1, -1):
                m[power, other] -= y * m[power - 1, other]
    for other in range(degree):
        for first in range(1, degree - other + 1):
            for power in range(degree - other, first - 1, -1):
                m[other, power] -= x * m[other, power - 1]
    return m


def eased(normal: Floats) -> Floats:
    """Return normal equations a little heavier on the diagonal, so that one without pixels has an answer."""
    out = np.array(normal)
    ease(np.einsum("nii->ni", out))
    return out


def ease(diagonal: Floats) -> None:
    """Make the diagonals of normal equations a little heavier in place."""
    diagonal *= 1 + 1e-9
    diagonal += 1e-30
