"""The pixels around columns that are fitted: averaged where fine, and the discs that are looked at."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Pixels = NDArray[np.float32]


def averaged(image: Floats, valid: NDArray[np.bool_], factor: int) -> tuple[Floats, NDArray[np.bool_]]:
    """Return the means over blocks of `factor` × `factor` pixels, and which blocks are good throughout."""
    if factor == 1:
        return image, valid
    height, width = (side // factor * factor for side in image.shape)
    blocks = (height // factor, factor, width // factor, factor)
    return (
        image[:height, :width].reshape(blocks).mean(axis=(1, 3)),
        np.asarray(valid[:height, :width].reshape(blocks).all(axis=(1, 3))),
    )


def low_level(values: Pixels, near: NDArray[np.bool_]) -> Pixels:
    """Return the 20th percentile of each row, of the pixels that count; 0 where none does."""
    rank = int(0.2 * (values.shape[1] - 1))
    if near.all():
        return np.partition(values, rank, axis=1)[:, rank]
    out = np.zeros(len(values), np.float32)
    whole = near.all(1)
    out[whole] = np.partition(values[whole], rank, axis=1)[:, rank]
    some = near.any(1) & ~whole
    if some.any():
        out[some] = np.nanpercentile(np.where(near[some], values[some], np.nan), 20, axis=1)
    return out


def disc(radius: float) -> NDArray[np.int64]:
    """Return the (P, 2) steps to the pixels of a disc, nearest first."""
    reach = int(np.ceil(radius))
    step = np.arange(-reach, reach + 1)
    window = np.stack(np.meshgrid(step, step, indexing="ij"), -1).reshape(-1, 2)
    distance = np.hypot(*window.T)
    return window[np.argsort(distance, kind="stable")][: int((distance <= radius).sum())]
