"""Distances in what repeats: the image of a point that lies nearest."""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import NDArray


def minimum_image(delta: NDArray[np.float64]) -> NDArray[np.float64]:
    """Carry differences of fractional coordinates by whole cells to where each is nearest to 0.

    Parameters
    ----------
    delta : (..., D) array
        In units of the cell vectors.

    Returns
    -------
    (..., D) array
        Each from -1/2 to 1/2. Of a rectangular cell this is the shortest of all images. Of any other cell it
        is so where the shortest is shorter than half the smallest height of the cell, which is at least 0.43
        of the shorter side of a reduced plane cell; farther away another image may be shorter, even of a
        reduced cell: see `nearest_distance`.
    """
    folded: NDArray[np.float64] = delta - np.round(delta)
    return folded


def image_distance(delta: NDArray[np.float64], cell: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how long differences of fractional coordinates are after `minimum_image`.

    Parameters
    ----------
    delta : (..., D) array
        In units of the cell vectors.
    cell : (D, D) array
        Rows are the cell vectors, in Å or, of reciprocal space, in its inverse.

    Returns
    -------
    (...,) array
        In the units of the cell; exact below half the smallest height of the cell, and never too short.
    """
    distance: NDArray[np.float64] = np.linalg.norm(minimum_image(delta) @ cell, axis=-1)
    return distance


def nearest_distance(delta: NDArray[np.float64], cell: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how far apart points in a plane are, the nearest of all images counted.

    Parameters
    ----------
    delta : (..., 2) array
        Differences of fractional coordinates.
    cell : (2, 2) array
        Rows are the cell vectors in Å.

    Returns
    -------
    (...,) array
        Å; exact at any distance for a reduced cell, whose nearest image is one of nine. For other cells it is
        never too short.
    """
    around = np.array(list(product((-1, 0, 1), repeat=2)))
    images = minimum_image(delta)[..., None, :] + around
    distance: NDArray[np.float64] = np.linalg.norm(images @ cell, axis=-1).min(axis=-1)
    return distance


def rotational_symmetry(cell: NDArray[np.float64]) -> float:
    """Return the smallest rotation in degrees (60, 90 or 180) that carries a lattice onto itself.

    Parameters
    ----------
    cell : (2, 2) array
        Rows are the cell vectors, any unit.
    """
    inverse = np.linalg.inv(cell)
    for angle in (60.0, 90.0):
        t = np.deg2rad(angle)
        turned = cell @ np.array([[np.cos(t), np.sin(t)], [-np.sin(t), np.cos(t)]]) @ inverse
        if np.abs(turned - np.rint(turned)).max() < 0.01:
            return angle
    return 180.0
