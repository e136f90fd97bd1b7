"""The sub-pixel place of a bright spot near a click, and how bright the image is at atoms."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import gaussian_filter, map_coordinates

Floats = NDArray[np.float64]


def snap(image: NDArray[np.floating], yx: ArrayLike, radius: float) -> Floats:
    """Find the bright spot nearest to a place.

    The image is smoothed by half of `radius`; a paraboloid through the smoothed values around the
    highest of them gives the place to a fraction of a pixel.

    Parameters
    ----------
    image : (H, W) array
    yx : (2,) array-like
        Where a person clicked, px.
    radius : float
        How far the spot may be, px; about half of the distance between atoms.

    Returns
    -------
    (2,) array
        Pixel (y, x); the place itself where no spot lies within the radius.
    """
    place = np.asarray(yx, float)
    radius = max(float(radius), 1.5)
    sigma = max(radius / 3, 0.7)
    margin = int(np.ceil(radius + 4 * sigma)) + 2
    low = np.maximum(np.rint(place).astype(int) - margin, 0)
    high = np.minimum(np.rint(place).astype(int) + margin + 1, image.shape)
    if (high - low < 3).any():
        return place
    part = np.asarray(image[low[0] : high[0], low[1] : high[1]], float)
    # what lies beyond the edge has no weight: a mirrored image would draw every spot to the edge
    weight = gaussian_filter(np.ones(part.shape), sigma, mode="constant")
    smooth = gaussian_filter(part, sigma, mode="constant") / weight
    y, x = np.indices(smooth.shape)
    distance = np.hypot(y + low[0] - place[0], x + low[1] - place[1])
    reachable = np.where(distance <= radius, smooth, -np.inf)
    if not np.isfinite(reachable).any():
        return place
    top = np.array(np.unravel_index(np.argmax(reachable), smooth.shape))
    around = smooth[max(top[0] - 1, 0) : top[0] + 2, max(top[1] - 1, 0) : top[1] + 2]
    if around.max() > smooth[tuple(top)]:  # the rim of something farther away
        return place
    at_edge = ((top < 3 * sigma) & (low == 0)).any() or (
        (smooth.shape - top <= 3 * sigma) & (high == image.shape)
    ).any()
    # near the edge smoothing is lopsided, so the pixels themselves are fitted there, over a wider disc
    fitted = (_vertex(part, top, 2 * sigma) if at_edge else _vertex(smooth, top, max(sigma, 1.0))) + low
    return fitted if np.hypot(*(fitted - place)) <= radius + 1 else place


def _vertex(smooth: Floats, top: NDArray[np.int64], reach: float) -> Floats:
    """Fit a paraboloid around the highest value and return where it is highest."""
    y, x = np.indices(smooth.shape)
    dy, dx = y - top[0], x - top[1]
    near = np.hypot(dy, dx) <= max(1.5, reach)
    v, u = dy[near].astype(float), dx[near].astype(float)
    design = np.stack([np.ones_like(v), v, u, v * v, v * u, u * u], axis=1)
    if len(v) < 6:
        return top.astype(float)
    _, b, c, d, e, f = np.linalg.lstsq(design, smooth[near], rcond=None)[0]
    hessian = np.array([[2 * d, e], [e, 2 * f]])
    if d >= 0 or np.linalg.det(hessian) <= 0:  # no maximum
        return top.astype(float)
    step = np.linalg.solve(hessian, [-b, -c])
    return np.asarray(top + step if np.abs(step).max() <= max(1.5, reach) else top, float)


def brightness(image: NDArray[np.floating], yx: Floats, radius: float) -> Floats:
    """Return the mean of the image around places, weighted by a Gaussian.

    Parameters
    ----------
    image : (H, W) array
    yx : (N, 2) array
        Pixels.
    radius : float
        Of an atom, px; the Gaussian has half of it as standard deviation.

    Returns
    -------
    (N,) array
        In units of the image.
    """
    return sampled(smoothed(image, radius), yx)


def smoothed(image: NDArray[np.floating], radius: float) -> NDArray[np.float32]:
    """Smooth an image by a Gaussian with half of `radius` (px) as standard deviation."""
    return np.asarray(gaussian_filter(np.asarray(image, np.float32), max(radius / 2, 0.5), mode="nearest"))


def sampled(image: NDArray[np.floating], yx: Floats) -> Floats:
    """Return the values of an image at (N, 2) places between its pixels."""
    if not len(yx):
        return np.empty(0)
    return np.asarray(map_coordinates(image, np.asarray(yx, float).T, order=1, mode="nearest"), float)
