"""Small images of a crystal with counted electrons, made without the package."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def crystal(
    shape: tuple[int, int] = (192, 224), angle: float = 17.0, spacing: float = 14.0, honeycomb: bool = False
) -> NDArray[np.float64]:
    """Return columns of a square lattice or a honeycomb, brightness 0.1 to 1."""
    y, x = np.indices(shape, float)
    t = np.deg2rad(angle)
    u, v = x * np.cos(t) + y * np.sin(t), -x * np.sin(t) + y * np.cos(t)
    if honeycomb:
        waves = [
            np.cos(2 * np.pi * (u * np.cos(a) + v * np.sin(a)) / spacing) for a in np.deg2rad([0, 60, 120])
        ]
        return 0.1 + 0.2 * (3 - sum(waves))
    squares = (1 + np.cos(2 * np.pi * u / spacing)) * (1 + np.cos(2 * np.pi * v / spacing)) / 4
    return 0.1 + 0.9 * squares**2


def counts(image: NDArray[np.float64], electrons: float = 30.0, seed: int = 0) -> NDArray[np.float32]:
    """Count electrons; so many at brightness 1."""
    return np.random.default_rng(seed).poisson(image * electrons).astype(np.float32)


def overlap(found: NDArray[np.bool_], true: NDArray[np.bool_]) -> float:
    """Return intersection over union."""
    return float((found & true).sum() / (found | true).sum())
