"""Which wrong priors are no wrong geometry: crystals whose columns lie alike, whatever they are made of."""

from __future__ import annotations

from functools import cache

import numpy as np

from napari_stemprior.structure import StructurePrior
from napari_stemprior.structure.periodic import image_distance

#: Two lattices whose scales differ by less than this are one within the calibration that `register` bears,
#: which is 6 %, and 1 % of drift; their shapes may differ by the drift.
SCALE, SHAPE = 0.07, 0.04


@cache
def twins(true: StructurePrior, other: StructurePrior) -> bool:
    """Tell whether a prior lays columns where the true crystal has them, and no others.

    Parameters
    ----------
    true, other : StructurePrior

    Returns
    -------
    bool
        True if a small strain carries one onto the other within 0.3 of the neighbour distance (0.75 Å at
        most). What is left to tell them apart is how bright the columns are.
    """
    if abs(other.area * len(true.columns) / (true.area * len(other.columns)) - 1) > 2.2 * SCALE:
        return False
    for first, second in _maps(true, other):
        if _covers(true, other, first) and _covers(other, true, second):
            return True
    return False


def _maps(true: StructurePrior, other: StructurePrior):  # type: ignore[no-untyped-def]
    """Yield (map from true to other, its inverse) of nearly equal lattices."""
    span = np.arange(-3, 4)
    for entries in np.stack(np.meshgrid(span, span, span, span, indexing="ij"), -1).reshape(-1, 4):
        integer = entries.reshape(2, 2)
        if abs(integer[0, 0] * integer[1, 1] - integer[0, 1] * integer[1, 0]) != 1:
            continue
        linear = (np.linalg.inv(true.cell) @ (integer @ other.cell)).T
        stretch = np.linalg.svd(linear, compute_uv=False)
        if abs(np.sqrt(stretch.prod()) - 1) <= SCALE and stretch[0] / stretch[1] - 1 <= SHAPE:
            yield linear, np.linalg.inv(linear)


def _covers(one: StructurePrior, two: StructurePrior, linear: np.ndarray) -> bool:
    """Tell whether some shift puts every column of `one` within the gate of one of `two`."""
    gate = min(0.3 * one.neighbour_distance, 0.75)
    moved = one.positions @ linear.T
    inverse = np.linalg.inv(two.cell)
    for start in two.positions:
        gap = (moved - moved[0] + start)[:, None] - two.positions[None]
        if image_distance(gap @ inverse, two.cell).min(1).max() < gate:
            return True
    return False
