"""Positions as exact as the counts allow: Gaussians fitted to the micrograph itself.

The network says where a column lies and how well it knows (its variance); the fit starts there and takes that
as prior knowledge. Where there are few counts the network's answer stays, where there are many the fit
decides. All columns are fitted together: each sees the micrograph less its neighbours.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

Floats = NDArray[np.float64]

#: Å: how far around a column its pixels count, and how far its Gaussian is drawn.
_REACH, _DRAWN = 1.1, 1.7
#: Å: width of a column to begin with, and the range in which it is fitted.
_WIDTH, _NARROWEST, _WIDEST = 0.45, 0.25, 0.8
#: Å: no column moves further than this from where the network saw it.
_LARGEST_MOVE = 0.35
_ROUNDS = 8
#: A fitted column this much (Å) beside the next one cannot be told from it: its position is the network's.
_TOGETHER = 0.55


@dataclass(frozen=True, eq=False)
class Refined:
    """Positions and what the fit says of them.

    Parameters
    ----------
    yx : (N, 2) array
        Pixels.
    sigma : (N,) array
        Standard error along one axis in pixels.
    amplitude : (N,) array
        Height of the Gaussian above its surroundings, in units of the micrograph.
    width : float
        Standard deviation of the Gaussian in Å.
    """

    yx: Floats
    sigma: Floats
    amplitude: Floats
    width: float


def refine(
    image: NDArray[np.float32],
    pixel_size: float,
    yx: Floats,
    sigma: Floats,
    valid: NDArray[np.bool_] | None = None,
) -> Refined:
    """Fit a Gaussian to every column.

    Weighted Gauss-Newton steps on height, position and local background, one common width. The weights come
    from the residuals, whose variance is taken to grow linearly with the signal, as that of counted electrons
    does whatever the detector's gain and offset.

    Parameters
    ----------
    image : (H, W) array
    pixel_size : float
        Å per pixel.
    yx : (N, 2) array
        Where the columns are thought to lie, pixels.
    sigma : (N,) array
        How well that is known along one axis, pixels.
    valid : (H, W) array of bool, optional
        Pixels that count; all without it.
    """
    n = len(yx)
    if n == 0:
        return Refined(yx.copy(), sigma.copy(), np.zeros(0), _WIDTH)
    patches = _Patches(np.asarray(image, np.float64), pixel_size, yx, valid)
    start, place = yx, yx.copy()
    amplitude, background = patches.first_guess()
    width = _WIDTH / pixel_size
    known = 1.0 / np.maximum(sigma, 1e-3) ** 2
    limit = _LARGEST_MOVE / pixel_size
    covariance = np.zeros((n, 2, 2))
    lonely = np.ones(n, bool)
    if n > 1:
        lonely = np.asarray(cKDTree(yx).query(yx, k=2)[0])[:, 1] * pixel_size > _TOGETHER
    for number in range(_ROUNDS):
        delta = patches.pixels - place[:, None]
        bell = np.exp(-(delta**2).sum(-1) / (2 * width**2)) * patches.near
        own = amplitude[:, None] * bell
        total = patches.drawn(place, amplitude, width)
        residual = patches.values - total - background[:, None]
        weight = patches.near / _variance(total + background[:, None], residual, patches.near)
        slope = own[..., None] * delta / width**2
        jacobian = np.concatenate([bell[..., None], slope, patches.near[..., None]], axis=-1)
        normal = np.einsum("npi,np,npj->nij", jacobian, weight, jacobian)
        force = np.einsum("npi,np,np->ni", jacobian, weight, residual)
        normal[:, [1, 2], [1, 2]] += known[:, None]
        force[:, 1:3] += known[:, None] * (start - place)
        # relative, for the four have units of their own
        normal[:, range(4), range(4)] *= 1 + 1e-6
        # the common width couples all columns: eliminate each column's own four (Schur complement)
        spread = own * (delta**2).sum(-1) / width**3
        coupling = np.einsum("npi,np,np->ni", jacobian, weight, spread)
        both = np.linalg.solve(normal, np.stack([force, coupling], axis=-1))
        curvature = (spread**2 * weight).sum() - (coupling * both[..., 1]).sum()
        pull = (spread * weight * residual).sum() - (coupling * both[..., 0]).sum()
        widen = pull / curvature if number >= 1 and curvature > 0 else 0.0
        widen = float(np.clip(widen, -0.2 * width, 0.2 * width))
        step = both[..., 0] - widen * both[..., 1]
        amplitude = np.maximum(amplitude + step[:, 0], 0.0)
        background = background + step[:, 3]
        width = float(np.clip(width + widen, _NARROWEST / pixel_size, _WIDEST / pixel_size))
        if number >= 2:  # heights, backgrounds and width first: positions mean nothing before
            moved = place + np.clip(0.9 * step[:, 1:3], -0.5 * limit, 0.5 * limit)
            place = start + np.clip(moved - start, -limit, limit)
            place[~lonely] = start[~lonely]
        covariance = np.linalg.inv(normal)[:, 1:3, 1:3]
    error = np.sqrt(np.trace(covariance, axis1=1, axis2=2) / 2)
    error[~lonely] = sigma[~lonely]
    return Refined(place, error, amplitude, width * pixel_size)


class _Patches:
    """The pixels around every column: a wide patch to draw it, a narrow one within to fit it."""

    def __init__(
        self, image: Floats, pixel_size: float, yx: Floats, valid: NDArray[np.bool_] | None = None
    ) -> None:
        radius = max(2, int(np.ceil(_DRAWN / pixel_size)))
        step = np.arange(-radius, radius + 1)
        window = np.stack(np.meshgrid(step, step, indexing="ij"), -1).reshape(-1, 2)
        distance = np.hypot(*window.T) * pixel_size
        order = np.argsort(distance, kind="stable")  # the narrow patch is the head of the wide one
        window, distance = window[order], distance[order]
        window = window[distance <= max(_DRAWN, 2.0 * pixel_size)]
        count = int((distance <= max(_REACH, 1.5 * pixel_size)).sum())
        shape = np.array(image.shape)
        # floor, since round() would take both 1.5 and 2.5 to 2
        centre = np.clip(np.floor(yx + 0.5).astype(np.int64), 0, shape - 1)
        pixels = centre[:, None] + window
        inside = ((pixels >= 0) & (pixels < shape)).all(-1)
        clipped = np.clip(pixels, 0, shape - 1)
        flat = clipped[..., 0] * image.shape[1] + clipped[..., 1]
        if valid is not None:
            inside &= valid.ravel()[flat]
        self._wide, self._wide_inside = pixels, inside
        self._flat, self._size = flat, image.size
        self._count = count
        self.pixels = pixels[:, :count].astype(float)
        self.near = inside[:, :count].astype(float)
        self.values = image.ravel()[flat[:, :count]]

    def first_guess(self) -> tuple[Floats, Floats]:
        """Return height above, and level of, the surroundings of each column."""
        low = np.nanpercentile(np.where(self.near > 0, self.values, np.nan), 20, axis=1)
        core = self.near[:, :9]
        core_mean = (self.values[:, :9] * core).sum(1) / np.maximum(core.sum(1), 1)
        return np.maximum(core_mean - low, 0.0), low

    def drawn(self, place: Floats, amplitude: Floats, width: float) -> Floats:
        """Add up all columns; return (N, P) values at the pixels that are fitted."""
        distance2 = ((self._wide - place[:, None]) ** 2).sum(-1)
        bells = amplitude[:, None] * np.exp(-distance2 / (2 * width**2)) * self._wide_inside
        sums = np.bincount(self._flat.ravel(), bells.ravel(), self._size)
        return np.asarray(sums[self._flat[:, : self._count]])


def _variance(signal: Floats, residual: Floats, near: Floats) -> Floats:
    """Estimate the noise of each pixel: linear in the signal, from the residuals in classes of signal."""
    level, error2 = signal[near > 0], residual[near > 0] ** 2
    edges = np.quantile(level, np.linspace(0, 1, 9))
    index = np.clip(np.searchsorted(edges, level, side="right") - 1, 0, 7)
    count = np.maximum(np.bincount(index, minlength=8), 1)
    x = np.bincount(index, level, 8) / count
    y = np.bincount(index, error2, 8) / count
    mean = max(float(error2.mean()), 1e-30)
    if np.ptp(x) <= 0:
        return np.full_like(signal, mean)
    slope = max(0.0, float(np.polyfit(x, y, 1)[0]))
    offset = float(y.mean() - slope * x.mean())
    return np.asarray(np.maximum(offset + slope * signal, 0.1 * mean))
