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
) -> Generator[Progress, None, tuple[Integers, Floats]]:
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
    distance2 : (N, P) array
        Å² from the site; infinite where a pixel does not count.
    """
    radius = int(np.ceil(_REACH / CANONICAL_PIXEL_SIZE))
    step = np.arange(-radius, radius + 1)
    window = np.stack(np.meshgrid(step, step, indexing="ij"), -1).reshape(-1, 2)
    window = window[(window**2).sum(1) <= radius**2]
    size = np.array(shape)
    flat = np.empty((len(yx), len(window)), np.int64)
    squared = np.empty((len(yx), len(window)))
    for first in range(0, len(yx), BLOCK):
        yield HERE
        here = slice(first, first + BLOCK)
        pixels = np.floor(yx[here] + 0.5).astype(np.int64)[:, None] + window
        inside = ((pixels >= 0) & (pixels < size)).all(-1)
        distance2 = ((pixels - yx[here, None]) ** 2).sum(-1) * CANONICAL_PIXEL_SIZE**2
        clipped = np.clip(pixels, 0, size - 1)
        flat[here] = clipped[..., 0] * shape[1] + clipped[..., 1]
        if valid is not None:
            inside &= valid.ravel()[flat[here]]
        squared[here] = np.where(inside, distance2, np.inf)
    return flat, squared


def mean_profiles(
    data: Floats, pixels: Integers, distance2: Floats, index: Integers, kinds: int
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
        place = pixels[near] - low
        here = np.isfinite(distance2[near]) & (place >= 0) & (place < len(strip))
        place, square = place[here], distance2[near][here]
        kind = np.broadcast_to(index[near, None], here.shape)[here]
        basis = np.ones((size, len(strip)), np.float32)
        for number, w in enumerate(widths):
            drawn = np.bincount(
                kind * len(strip) + place, np.exp(-square / (2 * w**2)), kinds * len(strip)
            ).reshape(kinds, -1)
            basis[number : size - 1 : len(widths)] = drawn
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
            profile[mine] += parts[index[mine], number][:, None] * np.exp(-distance2[mine] / (2 * w**2))
    return np.maximum(profile, 0.0, out=profile), float(weights[-1])
