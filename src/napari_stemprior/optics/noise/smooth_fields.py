"""Random fields that vary smoothly over the frame."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def smooth_field(shape: tuple[int, int], length: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return a random field in [0, 1] that varies over about `length` pixels."""
    field = random_cosines(shape, length, rng)
    low, high = float(field.min()), float(field.max())
    return ((field - low) / max(high - low, 1e-9)).astype(np.float32)


def random_cosines(shape: tuple[int, int], length: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Sum cosine waves with random amplitudes down to wavelengths of about `length` pixels."""
    bases = []
    for size in shape:
        orders = np.arange(max(2, int(2 * size / max(length, 1.0)) + 1))
        bases.append(np.cos(np.pi * np.outer((np.arange(size) + 0.5) / size, orders)) / (1 + 0.5 * orders))
    amplitude = rng.normal(size=(bases[0].shape[1], bases[1].shape[1]))
    amplitude[0, 0] = 0.0
    return np.asarray(bases[0] @ amplitude @ bases[1].T)
