"""Numbers of a whole image that NumPy and SciPy have in one piece, made step by step."""

from __future__ import annotations

from collections.abc import Generator

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from napari_stemprior.inference.column_profiles import HERE
from napari_stemprior.progress import Progress

Floats = NDArray[np.float64]

#: Pixels that are worked on together, and rows around them that distances are looked for in at first.
_TOGETHER, _REACH = 2**19, 32


def edge_distance(ground: NDArray[np.bool_]) -> Generator[Progress, None, Floats]:
    """Return ``scipy.ndimage.distance_transform_edt``, some rows at a time.

    Rows see as much around them as their distances reach.

    Parameters
    ----------
    ground : (H, W) array of bool
        False at one pixel at least.

    Returns
    -------
    (H, W) array
        Pixels to the nearest pixel that is False.
    """
    distance = np.empty(ground.shape)
    some = max(1, _TOGETHER // ground.shape[1])
    for first in range(0, len(ground), some):
        reach, last = _REACH, min(first + some, len(ground))
        while True:
            yield HERE
            low, high = max(first - reach, 0), min(last + reach, len(ground))
            part = ground[low:high]
            found = distance_transform_edt(part)[first - low : last - low] if not part.all() else None
            if found is not None and (high - low == len(ground) or found.max() <= reach):
                distance[first:last] = found
                break
            reach *= 4
    return distance


def octiles(values: Floats) -> Generator[Progress, None, Floats]:
    """Return ``numpy.quantile`` of (N,) values at one to seven eighths, step by step."""
    place = np.linspace(0, 1, 9)[1:-1] * (len(values) - 1)
    below = place.astype(int)
    ranked, found = values.copy(), {0: 0, 8: len(values)}
    for eighth in (4, 2, 6, 1, 3, 5, 7):  # each divides what lies between two that are in their place
        yield HERE
        before = max(number for number in found if number < eighth)
        after = min(number for number in found if number > eighth)
        found[eighth] = int(below[eighth - 1])
        ranked[found[before] : found[after]].partition(found[eighth] - found[before])
    low, edges = ranked[below], [*below[1:], len(values)]
    high = [ranked[first + 1 : last + 1].min() for first, last in zip(below, edges, strict=True)]
    return np.asarray(low + (np.array(high) - low) * (place - below))
