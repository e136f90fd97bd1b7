"""The power of the modes of an image under a Hann taper, some rows and columns at a time."""

from __future__ import annotations

from collections.abc import Generator

import numpy as np
from numpy.typing import NDArray

from napari_stemprior.inference.map_readings import STAGE
from napari_stemprior.progress import Progress

Floats = NDArray[np.float64]

#: Between two steps of what is asked of a whole image.
ASKING = Progress(0, 1, STAGE)
#: Pixels that are transformed together.
_TOGETHER = 2**19


def hann_taper(shape: tuple[int, int]) -> tuple[Floats, Floats]:
    """Return the (H, 1) and (W,) factors of the taper."""
    return np.hanning(shape[0])[:, None], np.hanning(shape[1])


def tapered_power(image: NDArray[np.floating], along: NDArray[np.bool_]) -> Generator[Progress, None, Floats]:
    """Return the power of an image under a Hann taper, step by step.

    Parameters
    ----------
    image : (H, W) array
        Any unit.
    along : (W // 2 + 1,) array of bool
        Frequencies along a row that are wanted, in the order of ``numpy.fft.rfftfreq``.

    Returns
    -------
    (H, K) array
        All frequencies along the columns, and those wanted along the rows.
    """
    height, width = image.shape
    down, across = hann_taper((height, width))
    waves = np.empty((height, int(along.sum())), np.complex128)
    some = max(1, _TOGETHER // width)
    for first in range(0, height, some):
        rows = slice(first, first + some)
        waves[rows] = np.fft.rfft(image[rows] * (down[rows] * across))[:, along]
        if height > some:
            yield ASKING
    power = np.empty(waves.shape)
    some = max(1, _TOGETHER // height)
    for first in range(0, waves.shape[1], some):
        columns = slice(first, first + some)
        power[:, columns] = np.abs(np.fft.fft(waves[:, columns], axis=0)) ** 2
        if waves.shape[1] > some:
            yield ASKING
    return power
