"""Crystals that do not exist, so that a network learns no material by heart."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_stemprior.structure.elements import SYMBOLS
from napari_stemprior.structure.periodic import nearest_distance
from napari_stemprior.structure.prior import Column, StructurePrior, numbered_sites

#: Elements that random crystals are made of: those that people image, light to heavy.
_ATOMIC_NUMBERS = np.setdiff1d(np.arange(3, 84), [4, 10, 18, 21, 36, 37, 43, 54, *range(59, 72), 76, 80, 81])
#: Smallest projected distance between columns that random crystals have, Å.
_MIN_DISTANCE = 1.0


def random_crystal(rng: np.random.Generator) -> StructurePrior:
    """Draw a crystal that does not exist, with one to eight columns in a cell of any shape."""
    kind = rng.choice(["hexagonal", "square", "rectangular", "oblique"], p=[0.35, 0.15, 0.25, 0.25])
    a = rng.uniform(2.2, 6.5) if rng.random() < 0.8 else rng.uniform(5.0, 10.0)
    b = a if kind in ("hexagonal", "square") else float(np.clip(a * rng.uniform(0.6, 1.7), 2.0, 11.0))
    angle = {"hexagonal": 120.0, "square": 90.0, "rectangular": 90.0}.get(str(kind), rng.uniform(65, 115))
    t = np.deg2rad(angle)
    cell = np.array([[a, 0.0], [b * np.cos(t), b * np.sin(t)]])
    wanted = int(rng.choice([1, 2, 3, 4, 5, 6, 8], p=[0.18, 0.27, 0.18, 0.15, 0.08, 0.08, 0.06]))
    density = rng.uniform(1.2, 2.6)  # typical distance of this crystal
    places: list[NDArray[np.float64]] = []
    for _ in range(60):
        place = np.array([1 / 3, 2 / 3]) * rng.integers(0, 3) if rng.random() < 0.3 else rng.random(2)
        if rng.random() < 0.25:
            place = rng.integers(0, 4, 2) / 4
        if all(nearest_distance(place - q, cell) > max(_MIN_DISTANCE, 0.7 * density) for q in places):
            places.append(np.mod(place, 1.0))
        if len(places) == wanted:
            break
    n = len(places)
    kinds = rng.choice(_ATOMIC_NUMBERS, size=max(1, min(n, int(rng.integers(1, 4)))))
    pick = np.concatenate([np.arange(len(kinds)), rng.integers(0, len(kinds), max(0, n - len(kinds)))])[:n]
    numbers = kinds[pick]
    counts = rng.choice([1, 1, 1, 2, 2, 3], size=len(kinds))[pick]
    mixed = rng.random(n) < 0.1
    second = np.zeros(n, int)
    second[mixed] = np.minimum(rng.choice(_ATOMIC_NUMBERS, size=int(mixed.sum())), numbers[mixed])
    # a layer has heights, a crystal that repeats along the beam has none
    heights = rng.uniform(0, 3, n) if rng.random() < 0.5 else np.zeros(n)
    columns = [
        Column((float(x), float(y)), _composition(int(z), float(count), int(other)), float(height))
        for (x, y), z, count, other, height in zip(places, numbers, counts, second, heights, strict=True)
    ]
    return StructurePrior("random", "", cell, numbered_sites(columns))


def _composition(z: int, count: float, other: int) -> tuple[tuple[str, float], ...]:
    """Return `count` atoms of one element and, unless 0, one of another that is no heavier."""
    if other == z:
        return ((SYMBOLS[z], count + 1.0),)
    return ((SYMBOLS[z], count), (SYMBOLS[other], 1.0)) if other else ((SYMBOLS[z], count),)
