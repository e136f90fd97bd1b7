"""What the image shows in the Voronoi cell of each column, background taken off."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.spatial import cKDTree

from napari_stemprior.atoms import AtomTable
from napari_stemprior.measurement.gaussian_fit import averaged
from napari_stemprior.measurement.pixel_noise import PixelNoise

Floats = NDArray[np.float64]

#: Å: a cell ends here, where no neighbour ends it before: at holes and edges.
REACH = 1.8
#: Neighbours whose half-planes bound a cell.
_NEIGHBOURS = 8
#: Å: side of the tiles in which the background is sought, and the blur before it.
_TILE, _BLUR = 10.0, 0.3
#: Share of the pixels of a tile that are background at most.
_DARKEST = 0.05
#: Å: finer pixels are averaged to this at most; those that a border of a cell crosses count in part.
_COARSE = 0.25
_CHUNK = 8192


@dataclass(frozen=True, eq=False)
class CellIntensities:
    """Integrated intensities of N Voronoi cells.

    Parameters
    ----------
    value, error : (N,) arrays
        Units of the image times Å², background off; NaN where `reason` says why. The error is that of
        independent pixel noise; that of the background is not in it.
    area : (N,) array
        Å².
    background : (N,) array
        Units of the image.
    reason : (N,) array of str
    """

    value: Floats
    error: Floats
    area: Floats
    background: Floats
    reason: NDArray[np.object_]


def cell_intensities(
    image: NDArray[np.floating],
    atoms: AtomTable,
    noise: PixelNoise | None = None,
    valid: NDArray[np.bool_] | None = None,
    reach: float = REACH,
) -> CellIntensities:
    """Integrate the image over the Voronoi cell of each column.

    Integrating over the cell is robust against probe and focus (E and others, Ultramicroscopy 133 (2013)
    109). A pixel belongs to the nearest column and to none that is farther than `reach`.

    Parameters
    ----------
    image : (H, W) array
    atoms : AtomTable
    noise : PixelNoise, optional
        For the errors; NaN without it.
    valid : (H, W) array of bool, optional
    reach : float
        Å.

    Returns
    -------
    CellIntensities
    """
    n = len(atoms)
    image = np.asarray(image, float)
    good = np.isfinite(image) if valid is None else valid
    factor = max(1, int(_COARSE / atoms.pixel_size + 1e-6))
    image, good = averaged(np.where(good, image, 0.0), good, factor)
    size = atoms.pixel_size * factor
    yx = (atoms.yx + 0.5) / factor - 0.5
    level = background(image, size, good, yx)
    value, error, area = np.full(n, np.nan), np.full(n, np.nan), np.full(n, np.nan)
    reason = np.full(n, "", object)
    if not n:
        return CellIntensities(value, error, area, level, reason)
    near = np.asarray(cKDTree(yx).query(yx, k=min(_NEIGHBOURS + 1, n))[1]).reshape(n, -1)[:, 1:]
    radius = reach / size
    width = int(np.ceil(radius + 1))
    step = np.arange(-width, width + 1)
    window = np.stack(np.meshgrid(step, step, indexing="ij"), -1).reshape(-1, 2)
    window = window[np.hypot(*window.T) <= radius + 1]
    shape = np.array(image.shape)
    for first in range(0, n, _CHUNK):
        own = np.arange(first, min(first + _CHUNK, n))
        middle = np.floor(yx[own] + 0.5).astype(np.int64)
        y, x = ((middle - yx[own])[:, a, None].astype(np.float32) + window[:, a].astype(np.float32)
                for a in (0, 1))  # fmt: skip
        share = np.clip(radius + 0.5 - np.sqrt(y * y + x * x), 0, 1)
        for column in range(near.shape[1]):  # on this side of the line half-way to a neighbour
            there = (yx[near[own, column]] - yx[own]).astype(np.float32)
            far = np.maximum(np.sqrt((there**2).sum(1)), 1e-3)[:, None]
            share *= np.clip(far / 2 + 0.5 - (y * there[:, :1] + x * there[:, 1:]) / far, 0, 1)
        pixels = middle[:, None] + window
        inside = ((pixels >= 0) & (pixels < shape)).all(-1)
        flat = np.clip(pixels[..., 0], 0, shape[0] - 1) * shape[1] + np.clip(pixels[..., 1], 0, shape[1] - 1)
        seen = np.where(inside & good.ravel()[flat], share, 0)
        taken = image.ravel()[flat]
        count, whole = seen.sum(1), share.sum(1)
        value[own] = ((taken * seen).sum(1) - level[own] * count) * size**2
        area[own] = count * size**2
        if noise is not None:
            error[own] = np.sqrt((noise.variance(taken) * seen**2).sum(1)) * size**2 / factor
        cut = own[count < 0.98 * whole]
        reason[cut] = "its cell is cut by the edge of the image or bad pixels"
        for values in (value, error, area):
            values[cut] = np.nan
    return CellIntensities(value, error, area, level, reason)


def background(image: Floats, pixel_size: float, valid: NDArray[np.bool_], yx: Floats) -> Floats:
    """Return the smooth background of an image at places: what its darkest pixels show.

    The 5th percentile of the blurred image in tiles of 10 Å, interpolated between their middles. Between
    columns that overlap no place is free of their tails, so the background is an upper bound there.

    Parameters
    ----------
    image : (H, W) array
    pixel_size : float
        Å per pixel.
    valid : (H, W) array of bool
    yx : (N, 2) array
        Pixels.

    Returns
    -------
    (N,) array
        In units of the image.
    """
    filled = np.where(valid, image, 0.0)
    blur = _BLUR / pixel_size
    if blur > 0.3:
        share = gaussian_filter(valid.astype(float), blur) if not valid.all() else np.ones(image.shape)
        filled = gaussian_filter(filled, blur) / np.maximum(share, 1e-6)
    counts = [max(1, round(side * pixel_size / _TILE)) for side in image.shape]
    bounds = [
        np.linspace(0, side, count + 1).astype(int) for side, count in zip(image.shape, counts, strict=True)
    ]
    tiles = np.full(counts, np.nan)
    for i in range(counts[0]):
        for j in range(counts[1]):
            here = (slice(*bounds[0][i : i + 2]), slice(*bounds[1][j : j + 2]))
            dark = filled[here][valid[here]]
            if len(dark):
                tiles[i, j] = np.partition(dark, rank := int(_DARKEST * (len(dark) - 1)))[rank]
    tiles[np.isnan(tiles)] = np.nanmedian(tiles) if np.isfinite(tiles).any() else 0.0
    sides = np.array(image.shape)
    return np.asarray(
        map_coordinates(tiles, ((yx + 0.5) / sides * counts - 0.5).T, order=1, mode="nearest"), float
    )
