"""What a column sees around it, and at which spacings a lattice scatters: descriptions that no turn changes.

They do not depend on how the crystal lies, on the choice of its cell or on the origin, so they can be
compared with an image before any lattice has been laid on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

#: Å: distances at which columns around one are counted, each with the half of the step to either side.
_RADII = np.arange(0.7, 7.01, 0.45)
#: 1/Å: lengths of reciprocal vectors at which the lattice's power is told.
_FREQUENCIES = np.arange(0.08, 1.09, 0.05)
#: Features of a column: how many columns, and how bright ones, stand at each of the distances.
SURROUNDING_FEATURES = 2 * len(_RADII)
#: Features of a lattice: the root of its power at each of the lengths.
RING_FEATURES = len(_FREQUENCIES)


def surroundings(
    cells: Sequence[Tensor], counts: Sequence[int], fractional: Tensor, weights: Tensor
) -> tuple[Tensor, Tensor]:
    """Describe the columns of one or more lattices that lie on one another.

    Parameters
    ----------
    cells : sequence of Tensor (2, 2)
        In-plane vectors of each lattice as rows, Å.
    counts : sequence of int
        How many of the columns belong to each.
    fractional : Tensor (N, 2)
        In the cell of each column's lattice.
    weights : Tensor (N,)
        HAADF weight of the column, any unit.

    Returns
    -------
    around : Tensor (N, SURROUNDING_FEATURES) of float32
        Radial distribution of the columns of the same lattice: 1 where they are as dense as on average at
        one to 7 Å², then the same weighted by their brightness relative to the brightest column.
    rings : Tensor (RING_FEATURES,) of float32
        Square root of the structure factors' power, summed over the reciprocal vectors of one length,
        relative to that of zero frequency.
    """
    places, bright = fractional.double().numpy(), (weights / weights.max()).double().numpy()
    bounds = np.concatenate([[0], np.cumsum(counts)])
    around, power, total = [], np.zeros(RING_FEATURES), 0.0
    for cell, (first, last) in zip(cells, pairwise(bounds), strict=True):
        mine = slice(int(first), int(last))
        vectors = cell.double().numpy()
        around.append(_radial(vectors, places[mine], bright[mine]))
        rings, scale = _rings(vectors, places[mine], bright[mine])
        power, total = power + rings, total + scale
    return (
        torch.from_numpy(np.concatenate(around)).float(),
        torch.from_numpy(np.sqrt(power / max(total, 1e-12))).float(),
    )


def _radial(
    cell: NDArray[np.float64], places: NDArray[np.float64], bright: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the (N, SURROUNDING_FEATURES) radial distributions around the columns of one lattice."""
    step = _RADII[1] - _RADII[0]
    reach = _RADII[-1] + step
    heights = abs(np.linalg.det(cell)) / np.linalg.norm(cell[::-1], axis=1)  # across the other vector
    ranges = [np.arange(-n, n + 1) for n in np.ceil(reach / heights).astype(int) + 1]
    shifts = np.stack(np.meshgrid(*ranges, indexing="ij"), -1).reshape(-1, 2)
    wrapped = np.mod(places, 1.0)
    delta = (wrapped[None] - wrapped[:, None])[:, :, None] + shifts
    distance = np.linalg.norm(delta @ cell, axis=-1)
    here, there, _ = np.nonzero((distance > 0.3) & (distance < reach))
    at = (distance[(distance > 0.3) & (distance < reach)] - _RADII[0]) / step
    low = np.floor(at).astype(int)
    out = np.zeros((2, len(places), len(_RADII)))
    for number, part in ((low, 1 - (at - low)), (low + 1, at - low)):
        known = (number >= 0) & (number < len(_RADII))
        flat = here[known] * len(_RADII) + number[known]
        for row, weight in enumerate((part[known], part[known] * bright[there[known]])):
            out[row] += np.bincount(flat, weight, out[row].size).reshape(out[row].shape)
    out /= 2 * np.pi * _RADII * step / 7.0  # a column on 7 Å² is one of usual density
    return np.concatenate([out[0], out[1]], axis=1)


def _rings(
    cell: NDArray[np.float64], places: NDArray[np.float64], bright: NDArray[np.float64]
) -> tuple[NDArray[np.float64], float]:
    """Return the power of one lattice at each length of a reciprocal vector, and that of zero frequency.

    Both per area, so that a larger cell of the same crystal gives the same.
    """
    step = _FREQUENCIES[1] - _FREQUENCIES[0]
    limit = _FREQUENCIES[-1] + step
    reciprocal = np.linalg.inv(cell).T
    spans = np.ceil(limit * np.linalg.norm(cell, axis=1)).astype(int)
    orders = np.stack(np.meshgrid(*(np.arange(-n, n + 1) for n in spans), indexing="ij"), -1).reshape(-1, 2)
    length = np.linalg.norm(orders @ reciprocal, axis=1)
    near = (length > 1e-6) & (length < limit)
    orders, at = orders[near], (length[near] - _FREQUENCIES[0]) / step
    area = abs(np.linalg.det(cell))
    power = np.abs(np.exp(2j * np.pi * orders @ places.T) @ bright / area) ** 2
    out = np.zeros(RING_FEATURES)
    low = np.floor(at).astype(int)
    for number, part in ((low, 1 - (at - low)), (low + 1, at - low)):
        known = (number >= 0) & (number < RING_FEATURES)
        out += np.bincount(number[known], (part * power)[known], RING_FEATURES)
    return out, float((bright.sum() / area) ** 2)
