"""A tiny picture of a lattice: a Gaussian on every column, and Poisson counts."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from napari_stemprior.registration import Pose
from napari_stemprior.structure import StructurePrior

Array = NDArray[np.float64]


def render(
    prior: StructurePrior,
    pose: Pose,
    shape: tuple[int, int],
    pixel_size: float,
    *,
    width: float = 0.45,
    warp: Callable[[Array], Array] | None = None,
    keep: Callable[[Array], NDArray[np.bool_]] | None = None,
) -> Array:
    """Expected relative intensity; the brightest column peaks at 1 over a background of 0.05."""
    places, index = pose.columns(prior, shape, margin=4 / pixel_size)
    if warp is not None:
        places = places + warp(places)
    if keep is not None:
        kept = keep(places)
        places, index = places[kept], index[kept]
    weight = prior.z_weights / prior.z_weights.max()
    sigma = width / pixel_size
    reach = int(np.ceil(4 * sigma))
    image = np.full(shape, 0.05)
    for (y, x), i in zip(places, index, strict=True):
        rows = np.arange(max(round(y) - reach, 0), min(round(y) + reach + 1, shape[0]))
        columns = np.arange(max(round(x) - reach, 0), min(round(x) + reach + 1, shape[1]))
        if len(rows) and len(columns):
            profile = [np.exp(-((a - b) ** 2) / (2 * sigma**2)) for a, b in ((rows, y), (columns, x))]
            image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] += weight[i] * np.outer(*profile)
    return image


def counted(image: Array, dose: float, pixel_size: float, seed: int = 0) -> NDArray[np.float32]:
    """Poisson counts at `dose` e/Å², of which the brightest column scatters 2 %."""
    rng = np.random.default_rng(seed)
    return rng.poisson(image * dose * pixel_size**2 * 0.02).astype(np.float32)


def misplaced(
    prior: StructurePrior,
    true: tuple[Array, NDArray[np.int64]],
    found: tuple[Array, NDArray[np.int64]],
    pixel_size: float,
) -> Array:
    """Distance in Å from each true column to the nearest found column of the same composition."""
    distance = np.empty(len(true[0]))
    for site, column in enumerate(prior.columns):
        same = [i for i, other in enumerate(prior.columns) if other.composition == column.composition]
        own = true[1] == site
        distance[own] = cKDTree(found[0][np.isin(found[1], same)]).query(true[0][own])[0] * pixel_size
    return distance


def worst(prior: StructurePrior, true: Pose, found: Pose, shape: tuple[int, int], pixel_size: float) -> float:
    """Largest distance in Å between the columns of two poses on an image."""
    own, other = true.columns(prior, shape), found.columns(prior, shape, margin=20)
    return float(misplaced(prior, own, other, pixel_size).max())
