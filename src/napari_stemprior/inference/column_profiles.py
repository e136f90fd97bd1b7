"""What the columns of each kind look like on average, learned from the micrograph."""

from __future__ import annotations

from collections.abc import Generator

import numpy as np
from numpy.typing import NDArray

from napari_stemprior.network.config import CANONICAL_PIXEL_SIZE
from napari_stemprior.progress import Progress

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

#: Å: widths of the Gaussians that a column's profile is made of.
WIDTHS = (0.32, 0.55, 0.95)
#: Å around a column to which its profile reaches.
_REACH = 1.6
#: Sites that are worked on together, so that memory does not grow with their pixels.
BLOCK = 4096
#: Pixels whose share of the normal equations is summed up together.
_STRIP = 2**18
#: More kinds than this share too few sites for a profile of three widths each.
_MANY_KINDS = 12
#: What the progress says.
HERE = Progress(0, 1, "asking the sites")


def site_patches(
    yx: Floats, shape: tuple[int, ...], valid: NDArray[np.bool_] | None
) -> Generator[Progress, None, tuple[Integers, NDArray[np.float32]]]:
    """Find the pixels around every site, step by step.

    Parameters
    ----------
    yx : (N, 2) array
        Sites, canonical pixels.
    shape : (int, int)
        Of the image.
    valid : (H, W) array of bool, or None
        Pixels that count; None where all do.

    Returns
    -------
    pixels : (N, P) array of int
        Into the flat image.
    distance2 : (N, P) array of float32
        Å² from the site; infinite where a pixel does not count.
    """
    radius = int(np.ceil(_REACH / CANONICAL_PIXEL_SIZE))
    step = np.arange(-radius, radius + 1)
    window = np.stack(np.meshgrid(step, step, indexing="ij"), -1).reshape(-1, 2)
    window = window[(window**2).sum(1) <= radius**2]
    flat = np.empty((len(yx), len(window)), np.int64)
    squared = np.empty((len(yx), len(window)), np.float32)
    for first in range(0, len(yx), BLOCK):
        yield HERE
        here = slice(first, first + BLOCK)
        centre = np.floor(yx[here] + 0.5).astype(np.int64)
        row, column = (centre[:, axis, None] + window[:, axis] for axis in (0, 1))
        off = yx[here, :, None] - centre[:, :, None]
        distance2 = (window[:, 0] - off[:, 0]) ** 2 + (window[:, 1] - off[:, 1]) ** 2
        squared[here] = distance2 * CANONICAL_PIXEL_SIZE**2
        whole = (centre >= radius).all() and (centre < np.array(shape) - radius).all()
        if not whole:
            outside = (row < 0) | (row >= shape[0]) | (column < 0) | (column >= shape[1])
            squared[here][outside] = np.inf
            row, column = np.clip(row, 0, shape[0] - 1), np.clip(column, 0, shape[1] - 1)
        np.add(row * shape[1], column, out=flat[here])
        if valid is not None:
            squared[here][~valid.ravel()[flat[here]]] = np.inf
    return flat, squared


def mean_profiles(
    data: Floats, pixels: Integers, distance2: NDArray[np.float32], index: Integers, kinds: int
) -> Generator[Progress, None, tuple[Floats, float]]:
    """Learn the mean profile of each kind, step by step.

    A sum of Gaussians of `WIDTHS` for each kind and a level, by least squares over the whole image.

    Parameters
    ----------
    data : (H, W) array
        Canonical.
    pixels, distance2 : (N, P) array
        Of `site_patches`.
    index : (N,) array of int
        Kind of each site, counted from 0.
    kinds : int

    Returns
    -------
    profile : (N, P) array
        At the patches.
    level : float
        Between the columns.
    """
    widths = WIDTHS if kinds <= _MANY_KINDS else WIDTHS[1:2]
    size = kinds * len(widths) + 1
    normal, right = np.zeros((size, size)), np.zeros(size)
    first, last = pixels.min(axis=1), pixels.max(axis=1)
    for low in range(0, data.size, _STRIP):
        yield HERE
        strip = data.ravel()[low : low + _STRIP].astype(np.float32)
        near = np.flatnonzero((first < low + len(strip)) & (last >= low))
        place, square = pixels[near] - low, distance2[near]
        place[(place < 0) | (place >= len(strip))] = len(strip)  # into a column that does not count
        number_of = (index[near, None] * (len(strip) + 1) + place).ravel()
        basis = np.ones((size, len(strip)), np.float32)
        for number, w in enumerate(widths):
            drawn = np.bincount(number_of, _bell(square, w).ravel(), kinds * (len(strip) + 1))
            basis[number : size - 1 : len(widths)] = drawn.reshape(kinds, -1)[:, :-1]
        normal += basis @ basis.T
        right += basis @ strip
    normal[np.diag_indices_from(normal)] *= 1 + 1e-4  # the widths overlap
    weights = np.linalg.solve(normal, right)
    parts = weights[:-1].reshape(kinds, len(widths))
    profile = np.zeros(distance2.shape)
    for start in range(0, len(profile), BLOCK):
        yield HERE
        mine = slice(start, start + BLOCK)
        for number, w in enumerate(widths):
            profile[mine] += parts[index[mine], number][:, None] * _bell(distance2[mine], w)
    return np.maximum(profile, 0.0, out=profile), float(weights[-1])


def _bell(distance2: NDArray[np.float32], width: float) -> NDArray[np.float32]:
    """Return a Gaussian of height 1 at squared distances; 0 at infinite ones."""
    return np.asarray(np.exp(distance2 * np.float32(-0.5 / width**2)))
