"""What the image shows in the Voronoi cell of each column, background taken off."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.spatial import Delaunay, QhullError, cKDTree

from napari_stemprior.atoms import AtomTable
from napari_stemprior.measurement.fit_windows import averaged
from napari_stemprior.measurement.pixel_noise import PixelNoise
from napari_stemprior.measurement.processors import processors

Floats = NDArray[np.float64]

#: Å: a cell ends here, where no neighbour ends it before: at holes and edges.
REACH = 1.8
#: Neighbours whose half-planes bound a cell.
_NEIGHBOURS = 8
#: Å: side of the tiles in which the background is averaged, and the blur before it.
_TILE, _BLUR = 10.0, 0.3
#: Corners of cells that tell a background.
_LEAST_CORNERS = 4
#: Å: finer pixels are averaged to this at most; those that a border of a cell crosses count in part.
_COARSE = 0.25
#: Pixels that are worked on together, so that they stay in the cache of a processor.
_TOGETHER = 2**17


@dataclass(frozen=True, eq=False)
class CellIntensities:
    """Integrated intensities of N Voronoi cells.

    Parameters
    ----------
    value, error : (N,) arrays
        Units of the image times Å², background off; NaN where `reason` says why. The error is that of
        independent pixel noise and of the background.
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
    filled = np.asarray(image, np.float64)
    good = np.isfinite(filled) if valid is None else valid
    factor = max(1, int(_COARSE / atoms.pixel_size + 1e-6))
    if not good.all():
        filled = np.where(good, filled, 0.0)
    image, good = averaged(filled, good, factor)
    size = atoms.pixel_size * factor
    yx = (atoms.yx + 0.5) / factor - 0.5
    if not n:
        none = np.empty(0)
        return CellIntensities(none, none, none, none, np.empty(0, object))
    bright, count, whole, counted = np.empty((4, n))
    found = cKDTree(yx).query(yx, k=min(_NEIGHBOURS + 1, n), workers=processors())[1]
    near = np.asarray(found).reshape(n, -1)[:, 1:]
    radius = reach / size
    width = int(np.ceil(radius + 1))
    along = np.arange(-width, width + 1)
    window = np.stack(np.meshgrid(along, along, indexing="ij"), -1).reshape(-1, 2)
    window = window[np.hypot(*window.T) <= radius + 1]
    # both sides of a half-plane are linear in the step to a pixel, so a product of matrices gives all pixels
    plane = np.concatenate([window.T, np.ones((1, len(window)))]).astype(np.float32)
    far_out = np.hypot(*window.T) > radius - 1.5  # only there the circle cuts a pixel
    # with a rim of pixels that do not count, every window lies on the image
    flat_image, flat_good = (np.pad(part, 2 * width).ravel() for part in (image.astype(np.float32), good))
    across = image.shape[1] + 4 * width
    steps = window @ [across, 1]

    def cell(own: NDArray[np.int64]) -> None:
        middle = np.floor(yx[own] + 0.5).astype(np.int64)
        offset = (middle - yx[own]).astype(np.float32)
        share = np.ones((len(own), len(window)), np.float32)
        y, x = (offset[:, a, None] + window[far_out, a].astype(np.float32) for a in (0, 1))
        share[:, far_out] = np.clip(radius + 0.5 - np.sqrt(y * y + x * x), 0, 1)
        half = np.empty_like(share)
        for column in range(near.shape[1]):  # on this side of the line half-way to a neighbour
            there = (yx[near[own, column]] - yx[own]).astype(np.float32)
            far = np.maximum(np.sqrt((there**2).sum(1)), 1e-3)
            unit = there / far[:, None]
            line = np.stack([-unit[:, 0], -unit[:, 1], far / 2 + 0.5 - (unit * offset).sum(1)], axis=1)
            np.matmul(line, plane, out=half)
            np.clip(half, 0, 1, out=half)
            share *= half
        on = np.clip(middle, -width, np.array(image.shape) - 1 + width) + 2 * width
        flat = (on @ [across, 1])[:, None] + steps
        seen = share * flat_good.take(flat)
        taken = flat_image.take(flat)
        count[own], whole[own] = seen.sum(1, dtype=float), share.sum(1, dtype=float)
        bright[own] = (taken * seen).sum(1, dtype=float)
        if noise is not None:
            counted[own] = (noise.variance(taken) * seen**2).sum(1) / factor**2

    order = np.argsort(np.floor(yx[:, 0] / 16) * 1e6 + yx[:, 1], kind="stable")
    step = max(1, _TOGETHER // len(window))
    with ThreadPoolExecutor(processors()) as pool:
        ground = pool.submit(background, image, size, good, yx)  # the longest piece first
        list(pool.map(cell, [order[first : first + step] for first in range(0, n, step)]))
        level, doubt = ground.result()
    cut = count < 0.98 * whole
    value = np.where(cut, np.nan, (bright - level * count) * size**2)
    area = np.where(cut, np.nan, count * size**2)
    error = np.full(n, np.nan)
    if noise is not None:
        error = np.where(cut, np.nan, np.sqrt(counted + np.nan_to_num(doubt * count) ** 2) * size**2)
    reason = np.where(cut, "its cell is cut by the edge of the image or bad pixels", "").astype(object)
    return CellIntensities(value, error, area, level, reason)


def background(
    image: Floats, pixel_size: float, valid: NDArray[np.bool_], yx: Floats
) -> tuple[Floats, Floats]:
    """Return the smooth background of an image at its columns, and its standard error.

    What the image shows at the places that are farthest from the columns around them: the corners of the
    Voronoi cells, the farther half of them. These are chosen by where the columns are and not by what the
    image shows, so that noise does not make them dark. Their mean in tiles of 10 Å is interpolated between
    the middles of the tiles. Where columns overlap no place is free of their tails, and the background is an
    upper bound.

    Parameters
    ----------
    image : (H, W) array
    pixel_size : float
        Å per pixel.
    valid : (H, W) array of bool
    yx : (N, 2) array
        Columns, pixels.

    Returns
    -------
    value, error : (N,) arrays
        In units of the image; 0 and NaN where there are too few columns to tell.
    """
    corners = _corners(yx, 3.0 / pixel_size)
    place = np.floor(corners + 0.5).astype(np.int64)
    inside = ((place >= 0) & (place < np.array(image.shape))).all(1)
    corners, place = corners[inside], place[inside]
    seen = valid[place[:, 0], place[:, 1]]
    corners = corners[seen]
    if len(corners) < _LEAST_CORNERS:
        return np.zeros(len(yx)), np.full(len(yx), np.nan)
    filled = image if valid.all() else np.where(valid, image, float(np.median(image[valid])))
    if (blur := _BLUR / pixel_size) > 0.3:
        filled = gaussian_filter(filled, blur)
    shown = np.asarray(map_coordinates(filled, corners.T, order=1, mode="nearest"), float)
    sides = np.array(image.shape)
    counts = np.maximum(1, np.rint(sides * pixel_size / _TILE)).astype(int)
    tile = np.minimum(((corners + 0.5) / sides * counts).astype(int), counts - 1) @ [counts[1], 1]
    total = int(counts.prod())
    number = np.bincount(tile, minlength=total)
    mean = np.bincount(tile, shown, total) / np.maximum(number, 1)
    overall = float(shown.mean())
    few = number < _LEAST_CORNERS
    square = np.bincount(tile, (shown - mean[tile]) ** 2, total) / np.maximum(number - 1, 1)
    error = np.sqrt(np.where(few, shown.var(), square) / np.maximum(number, 1))
    mean[few] = overall
    error[few] = float(shown.std()) / np.sqrt(_LEAST_CORNERS)
    at = ((yx + 0.5) / sides * counts - 0.5).T
    value, deviation = (
        np.asarray(map_coordinates(part.reshape(counts), at, order=1, mode="nearest"), float)
        for part in (mean, error)
    )
    return value, deviation


def _corners(yx: Floats, farthest: float) -> Floats:
    """Return the half of the corners of Voronoi cells that is farther from its columns, up to `farthest`."""
    if len(yx) < _LEAST_CORNERS:
        return np.empty((0, 2))
    try:
        triangles = Delaunay(yx).simplices
    except QhullError:  # all on one line
        return np.empty((0, 2))
    a, b, c = (yx[triangles[:, i]] for i in range(3))
    b, c = b - a, c - a
    twice = 2 * (b[:, 0] * c[:, 1] - b[:, 1] * c[:, 0])
    good = np.abs(twice) > 1e-6
    a, b, c, twice = a[good], b[good], c[good], twice[good]
    bb, cc = (b**2).sum(1), (c**2).sum(1)
    middle = np.stack([c[:, 1] * bb - b[:, 1] * cc, b[:, 0] * cc - c[:, 0] * bb], axis=1) / twice[:, None]
    radius = np.linalg.norm(middle, axis=1)
    near = radius <= farthest
    if not near.any():
        return np.empty((0, 2))
    return np.asarray((a + middle)[near & (radius >= np.median(radius[near]))])
