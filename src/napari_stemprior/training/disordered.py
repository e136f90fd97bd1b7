"""Scenes without a crystal: vacuum, films, particles, supports with single atoms and small clusters.

Most of a specimen holder shows no lattice. A network that has seen crystals only finds columns in any noise.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree

from napari_stemprior.network.config import CANONICAL_PIXEL_SIZE
from napari_stemprior.optics.noise.smooth_fields import smooth_field

Floats = NDArray[np.float64]
#: Å: no two atoms of a cluster come nearer; a short metal bond is 2.3 Å, seen at a slant it is shorter.
_BOND = 1.6
#: Å: a film's atoms in projection lie anywhere; its thickness varies over this length.
_FILM_LENGTH = 25.0
#: Share of the films that are of heavier atoms than carbon (silica, nitrides, oxides, metallic glass).
_HEAVY_FILMS = 0.3


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
    level = rng.uniform(0.03, 0.12) if rng.random() > _HEAVY_FILMS else 10 ** rng.uniform(-0.9, 0.0)
    intensity = level * rng.uniform(0.3, 1.0, len(yx))
    row, column = np.clip(np.round(yx).astype(int), 0, size - 1).T
    if rng.random() < 0.5:  # speckle: atoms that scatter together, in domains of some ångströms
        domains = smooth_field((size, size), rng.uniform(1.5, 6.0) / CANONICAL_PIXEL_SIZE, rng)
        intensity = intensity * np.exp(rng.uniform(0, 2.5) * (domains[row, column] - 0.5))
    keep = rng.random(len(yx)) < thickness[row, column] ** rng.uniform(0, 1)
    if rng.random() < 0.35:  # the film has an edge, a hole or a step
        keep &= ~covered(rng, yx, size) | (rng.random(len(yx)) < rng.choice([0.0, rng.uniform(0, 0.7)]))
    return yx[keep], intensity[keep]


def covered(rng: np.random.Generator, yx: Floats, size: int) -> NDArray[np.bool_]:
    """Tell which (N, 2) positions lie beyond a straight edge or within a lobed hole of any size."""
    delta = yx - rng.uniform(0, 1, 2) * size
    if rng.random() < 0.5:
        angle = rng.uniform(0, 2 * np.pi)
        return np.asarray(delta @ np.array([np.sin(angle), np.cos(angle)]) > 0)
    bearing = np.arctan2(delta[:, 0], delta[:, 1])
    lobes = 1 + 0.3 * np.cos(rng.integers(1, 5) * bearing + rng.uniform(0, 6))
    return np.asarray(np.linalg.norm(delta, axis=1) < rng.uniform(0.05, 0.6) * size * lobes)


def smooth_ground(rng: np.random.Generator, size: int) -> Floats:
    """Draw what scatters without any atom that could be told: vacuum, contamination, particles of any size.

    As at low magnification or out of focus: bodies from a few ångströms to more than the field, round or with
    facets, sharp or soft, on a level ground.

    Parameters
    ----------
    rng : numpy Generator
    size : int

    Returns
    -------
    (size, size) array
        Scattering per Å², in units of one atom of Z = 42.
    """
    ground = np.full((size, size), 10 ** rng.uniform(-2.0, 0.5))
    y, x = np.indices((size, size)).astype(float)
    for _ in range(int(rng.choice([0, 1, 2, 4, 12], p=[0.3, 0.25, 0.2, 0.15, 0.1]))):
        radius = 10 ** rng.uniform(0.3, 1.6) / CANONICAL_PIXEL_SIZE  # 2 to 40 Å
        dy, dx = y - rng.uniform(0, size), x - rng.uniform(0, size)
        if rng.random() < 0.3:  # facets
            turns = rng.uniform(0, np.pi) + np.pi / 3 * np.arange(6)
            distance = np.max([np.sin(t) * dy + np.cos(t) * dx for t in turns], axis=0)
        else:
            distance = np.hypot(dy, rng.uniform(0.6, 1.6) * dx)
        body = np.clip(1 - (distance / radius) ** 2, 0, None) ** rng.choice([0.0001, 0.5, 1.0, 2.0])
        ground += ground[0, 0] * 10 ** rng.uniform(-1, 1) * gaussian_filter(body, rng.uniform(1, 8))
    if rng.random() < 0.4:
        ground *= 1 + rng.uniform(0, 2) * smooth_field(
            (size, size), rng.uniform(3, 40) / CANONICAL_PIXEL_SIZE, rng
        )
    return ground


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
