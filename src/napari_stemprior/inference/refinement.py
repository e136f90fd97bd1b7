"""Positions as exact as the counts allow: Gaussians fitted to the micrograph itself.

The network says where a column lies and how well it knows (its variance); the fit starts there and takes that
as prior knowledge. Where there are few counts the network's answer stays, where there are many the fit
decides. All columns are fitted together: each sees the micrograph less its neighbours.

All columns see the same window of pixels around the pixel that they are on, so every sum over pixels that a
Gauss-Newton step needs is a product of one matrix with polynomials of the window, see `column_patches`.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from torch import Tensor

from napari_stemprior.inference.column_patches import ColumnPatches, Sums
from napari_stemprior.progress import Progress

Floats = NDArray[np.float64]

#: Å: width of a column to begin with, and the range in which it is fitted.
_WIDTH, _NARROWEST, _WIDEST = 0.45, 0.25, 0.8
#: Å: no column moves further than this from where the network saw it.
_LARGEST_MOVE = 0.35
_ROUNDS = 8
#: A fitted column this much (Å) beside the next one cannot be told from it: its position is the network's.
_TOGETHER = 0.55
#: What the progress says.
STAGE = "refining the positions"


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
    image: NDArray[np.floating],
    pixel_size: float,
    yx: Floats,
    sigma: Floats,
    valid: NDArray[np.bool_] | None = None,
    device: torch.device | str = "cpu",
) -> Generator[Progress, None, Refined]:
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
    device : torch.device or str
        Where the sums over pixels are made.
    """
    n = len(yx)
    if n == 0:
        return Refined(yx.copy(), sigma.copy(), np.zeros(0), _WIDTH)
    yield Progress(0, _ROUNDS, STAGE)
    patches = ColumnPatches(image, pixel_size, yx, valid, torch.device(device))
    yield from patches.read(STAGE)
    start = patches.local(yx)
    place = start.clone()
    amplitude, background = yield from patches.first_guess(STAGE)
    width = _WIDTH / pixel_size
    told = start.new_tensor(sigma)
    known = 1.0 / told.clamp(min=1e-3) ** 2
    limit = _LARGEST_MOVE / pixel_size
    lonely = torch.ones(n, dtype=torch.bool, device=start.device)
    if n > 1:
        apart = np.asarray(cKDTree(yx).query(yx, k=2)[0])[:, 1] * pixel_size > _TOGETHER
        lonely = torch.from_numpy(apart).to(start.device)
    for number in range(_ROUNDS):
        sums = yield from patches.sums(place, amplitude, background, width, Progress(number, _ROUNDS, STAGE))
        step, normal = _step(sums, place, amplitude, width, known, start)
        # the common width couples all columns: eliminate each column's own four (Schur complement)
        curvature, pull = step.curvature, step.pull
        widen = pull / curvature if number >= 1 and curvature > 0 else 0.0
        widen = float(np.clip(widen, -0.2 * width, 0.2 * width))
        change = step.own - widen * step.per_width
        amplitude = (amplitude + change[:, 0]).clamp(min=0.0)
        background = background + change[:, 3]
        width = float(np.clip(width + widen, _NARROWEST / pixel_size, _WIDEST / pixel_size))
        if number >= 2:  # heights, backgrounds and width first: positions mean nothing before
            moved = place + (0.9 * change[:, 1:3]).clamp(-0.5 * limit, 0.5 * limit)
            place = start + (moved - start).clamp(-limit, limit)
            place = torch.where(lonely[:, None], place, start)
    covariance = torch.linalg.inv(normal)
    error = ((covariance[:, 1, 1] + covariance[:, 2, 2]) / 2).sqrt()
    error = torch.where(lonely, error, told)
    # columns that did not move are where they were to the last digit
    stayed = (place == start).all(1).cpu().numpy()
    fitted = np.where(stayed[:, None], yx, patches.to_image(place))
    return Refined(fitted, _float64(error), _float64(amplitude) * patches.unit, width * pixel_size)


@dataclass(frozen=True, eq=False)
class _Step:
    """One Gauss-Newton step of all columns, the common width still open.

    Parameters
    ----------
    own : Tensor (N, 4)
        Of height, y, x and background if the width stays.
    per_width : Tensor (N, 4)
        What is taken off it for each pixel that the width grows.
    curvature, pull : float
        Of the width, once every column follows it; their ratio is its step.
    """

    own: Tensor
    per_width: Tensor
    curvature: float
    pull: float


def _step(
    sums: Sums, place: Tensor, amplitude: Tensor, width: float, known: Tensor, start: Tensor
) -> tuple[_Step, Tensor]:
    """Solve for each column's own four; return the (N, 4, 4) normal matrices, too.

    Parameters
    ----------
    sums : Sums
    place, start : Tensor (N, 2)
        Local pixels, now and at first.
    amplitude : Tensor (N,)
    width : float
        Pixels.
    known : Tensor (N,)
        Inverse variance of `start` along one axis, pixels⁻².
    """
    n = len(place)
    # height, y, x, and width as combinations of the bell times (1, u, v, u² + v²)
    turn = place.new_zeros(n, 4, 4)
    turn[:, 0, 0] = 1.0
    slope = amplitude / width**2
    turn[:, 1, 0], turn[:, 1, 1] = -slope * place[:, 0], slope
    turn[:, 2, 0], turn[:, 2, 2] = -slope * place[:, 1], slope
    turn[:, 3, 0] = slope / width * (place**2).sum(1)
    turn[:, 3, 1:3] = -2 * (slope / width)[:, None] * place
    turn[:, 3, 3] = slope / width
    bells = turn @ sums.bells @ turn.transpose(1, 2)
    with_floor = (turn @ sums.with_floor[..., None])[..., 0]
    residual = (turn @ sums.residual[..., None])[..., 0]
    normal = place.new_zeros(n, 4, 4)
    normal[:, :3, :3] = bells[:, :3, :3]
    normal[:, 3, :3] = normal[:, :3, 3] = with_floor[:, :3]
    normal[:, 3, 3] = sums.floor
    force = torch.cat([residual[:, :3], sums.floor_residual[:, None]], dim=1)
    coupling = torch.cat([bells[:, 3, :3], with_floor[:, 3:]], dim=1)
    normal[:, [1, 2], [1, 2]] += known[:, None]
    force[:, 1:3] += known[:, None] * (start - place)
    # relative, for the four have units of their own
    normal[:, range(4), range(4)] *= 1 + 1e-6
    both = torch.linalg.solve(normal, torch.stack([force, coupling], dim=-1))
    curvature = bells[:, 3, 3].sum() - (coupling * both[..., 1]).sum()
    pull = residual[:, 3].sum() - (coupling * both[..., 0]).sum()
    return _Step(both[..., 0], both[..., 1], float(curvature), float(pull)), normal


def _float64(values: Tensor) -> Floats:
    return values.cpu().numpy().astype(np.float64)
