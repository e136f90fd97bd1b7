"""Atoms that overlap in projection, joined to columns."""

from __future__ import annotations

import heapq
from collections import defaultdict

import numpy as np
from numpy.typing import NDArray

from napari_stemprior.structure.elements import SYMBOLS, Content
from napari_stemprior.structure.near_pairs import near_pairs
from napari_stemprior.structure.periodic import image_distance, minimum_image
from napari_stemprior.structure.prior import HAADF_EXPONENT, MERGE_DISTANCE, Column
from napari_stemprior.structure.translations import wrapped


def merged_columns(
    frac: NDArray[np.float64],
    plane: NDArray[np.float64],
    sites: list[Content],
    depth: NDArray[np.float64],
    layer: NDArray[np.int64],
) -> list[Column]:
    """Join atoms that overlap in projection until no two columns lie too close.

    Parameters
    ----------
    frac : (N, 2) array
        In the basis of the plane cell.
    plane : (2, 2) array
        Rows are the vectors in Å.
    sites : list of N contents
        What sits on each site: atomic numbers with their occupancies.
    depth : (N,) array
        Å.
    layer : (N,) array of int

    Returns
    -------
    list of Column
        Without site labels.
    """
    weights = np.array([sum(part * z**HAADF_EXPONENT for z, part in site) for site in sites])
    groups: list[list[int]] = []
    found = np.empty_like(frac)
    for index in np.lexsort((depth, layer, -np.round(weights, 6))):
        count = len(groups)
        near = image_distance(found[:count] - frac[index], plane)
        if count and near.min() < MERGE_DISTANCE:
            group = groups[int(near.argmin())]
            group.append(int(index))
            found[near.argmin()] = mean_place(frac[group], weights[group])
        else:
            found[count] = frac[index]
            groups.append([int(index)])
    groups, centres = _far_apart(groups, found[: len(groups)], frac, weights, plane)

    columns = []
    for group, centre in zip(groups, wrapped(centres), strict=True):
        counts: dict[int, float] = defaultdict(float)
        for z, part in (pair for index in group for pair in sites[index]):
            counts[z] += part
        ranked = sorted(counts.items(), key=lambda item: (-item[1] * item[0] ** HAADF_EXPONENT, item[0]))
        composition = tuple((SYMBOLS[z], round(count, 4)) for z, count in ranked)
        height = float(np.average(depth[group], weights=weights[group]))
        place = (float(centre[0]), float(centre[1]))
        columns.append(Column(place, composition, round(height, 6), int(layer[group].min())))
    return columns


def mean_place(places: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the weighted mean of fractional places, each in its image nearest to the first.

    Parameters
    ----------
    places : (N, 2) array
    weights : (N,) array

    Returns
    -------
    (2,) array
    """
    delta = minimum_image(places - places[0])
    centre: NDArray[np.float64] = places[0] + np.average(delta, axis=0, weights=weights)
    return centre


def _far_apart(
    groups: list[list[int]],
    centres: NDArray[np.float64],
    frac: NDArray[np.float64],
    weights: NDArray[np.float64],
    plane: NDArray[np.float64],
) -> tuple[list[list[int]], NDArray[np.float64]]:
    """Join the two nearest groups, whose centre then moves, until no two lie nearer than columns may."""
    first, second, steps = near_pairs(centres, plane, MERGE_DISTANCE)
    apart = np.linalg.norm(steps, axis=1)
    heap = [
        (float(d), int(i), int(j), 0, 0)
        for i, j, d in zip(first, second, apart, strict=True)
        if i < j and d < MERGE_DISTANCE
    ]
    heapq.heapify(heap)
    moves, alive = [0] * len(groups), np.ones(len(groups), dtype=bool)
    while heap:
        _, kept, gone, *known = heapq.heappop(heap)
        if not (alive[kept] and alive[gone] and known == [moves[kept], moves[gone]]):
            continue
        groups[kept] += groups[gone]
        alive[gone] = False
        moves[kept] += 1
        centres[kept] = mean_place(frac[groups[kept]], weights[groups[kept]])
        distance = image_distance(centres - centres[kept], plane)
        for other in np.flatnonzero(alive & (distance < MERGE_DISTANCE)).tolist():
            if other != kept:
                i, j = min(kept, other), max(kept, other)
                heapq.heappush(heap, (float(distance[other]), i, j, moves[i], moves[j]))
    return [group for group, there in zip(groups, alive, strict=True) if there], centres[alive]
