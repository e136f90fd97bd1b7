"""Scenes without a crystal: vacuum, amorphous films, supports with single atoms and small clusters on them.

Most of a specimen holder shows no lattice. A network that has seen crystals only finds columns in any noise.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from napari_stemprior.network.config import CANONICAL_PIXEL_SIZE
from napari_stemprior.optics.noise.smooth_fields import smooth_field

Floats = NDArray[np.float64]
#: Å: no two atoms of a cluster come nearer; a short metal bond is 2.3 Å, seen at a slant it is shorter.
_BOND = 1.6
#: Å: a film's atoms in projection lie anywhere; its thickness varies over this length.
_FILM_LENGTH = 25.0


def amorphous_film(rng: np.random.Generator, size: int) -> tuple[Floats, Floats]:
    """Draw the atoms of an amorphous film on a field of `size` canonical pixels.

    Parameters
    ----------
    rng : numpy Generator
    size : int

    Returns
    -------
    positions : (N, 2) array
        (y, x) in pixels.
    intensities : (N,) array
        In units of one atom of Z = 42; an atom of carbon has about 0.05.
    """
    side = size * CANONICAL_PIXEL_SIZE
    density = 10 ** rng.uniform(-0.3, 0.7)  # atoms per Å^2: 5 to 50 Å of amorphous carbon
    yx = rng.uniform(0, size, (int(density * side**2), 2))
    thickness = smooth_field((size, size), _FILM_LENGTH / CANONICAL_PIXEL_SIZE, rng)
    row, column = np.clip(np.round(yx).astype(int), 0, size - 1).T
    yx = yx[rng.random(len(yx)) < thickness[row, column] ** rng.uniform(0, 1)]
    return yx, rng.uniform(0.03, 0.12) * rng.uniform(0.3, 1.0, len(yx))


def isolated_atoms(rng: np.random.Generator, size: int) -> tuple[Floats, Floats]:
    """Draw single heavy atoms and clusters of a few on a field of `size` canonical pixels.

    Parameters
    ----------
    rng : numpy Generator
    size : int

    Returns
    -------
    positions : (N, 2) array
        (y, x) in pixels.
    intensities : (N,) array
        In units of one atom of Z = 42.
    """
    side = size * CANONICAL_PIXEL_SIZE
    seeds = rng.uniform(0, size, (int(rng.poisson(side**2 * 10 ** rng.uniform(-3.0, -1.6))), 2))
    members = 1 + (rng.random(len(seeds)) < rng.uniform(0, 0.6)) * rng.integers(1, 8, len(seeds))
    reach = rng.uniform(2.0, 3.2) / CANONICAL_PIXEL_SIZE
    clouds = [
        seed + reach * np.sqrt(n - 1) * rng.normal(0, 0.6, (int(n), 2))
        for seed, n in zip(seeds, members, strict=True)
    ]
    yx = np.concatenate([*clouds, np.zeros((0, 2))])
    yx = apart(yx[((yx >= 0) & (yx < size - 1)).all(axis=1)], _BOND / CANONICAL_PIXEL_SIZE)
    element = rng.uniform(0.4, 3.0)
    return yx, element * rng.uniform(0.85, 1.15, len(yx))


def apart(positions: Floats, distance: float) -> Floats:
    """Return those of the (N, 2) positions that keep a distance from every earlier one."""
    if len(positions) < 2:
        return positions
    pairs = cKDTree(positions).query_pairs(distance, output_type="ndarray")
    keep = np.ones(len(positions), bool)
    for first, second in pairs[np.argsort(pairs[:, 0], kind="stable")]:
        if keep[first]:
            keep[second] = False
    return positions[keep]
