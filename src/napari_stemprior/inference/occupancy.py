"""Is a site occupied? The micrograph's own answer, close to the best that counted electrons allow.

Equal sites of a crystal should be equally bright. The mean profile of each kind of column is learned from
the micrograph; then the height of every column is fitted, all together so that neighbours do not lend it
theirs; and each is compared with its equals around it. The logarithm of the ratio of the likelihoods "as
bright as its equals" and "nothing here" is what the most powerful test uses (Neyman and Pearson, Phil.
Trans. R. Soc. A 231 (1933) 289).
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from torch import Tensor

from napari_stemprior.inference.calibration import MIN_EQUALS
from napari_stemprior.inference.column_heights import ColumnHeights
from napari_stemprior.inference.column_profiles import (
    BLOCK,
    HERE,
    REACH,
    WIDTHS,
    SitePatches,
    mean_profiles,
    patch_window,
    site_patches,
)
from napari_stemprior.inference.tensor_smoothing import gaussian_smoothed_steps
from napari_stemprior.inference.tensor_statistics import octiles, quantile
from napari_stemprior.inference.vacancy_prior import empty_share
from napari_stemprior.network.config import CANONICAL_PIXEL_SIZE
from napari_stemprior.network.devices import exact_dtype
from napari_stemprior.progress import Progress
from napari_stemprior.recording.inpainting import inpaint

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

#: How many equals around a site say what is usual there.
_AROUND = 40
#: Å over which the brightness of a film varies at least.
_FILM = 3.0
#: Holes are thought to cover at most this share of an image.
_HOLES = 0.1
#: What is usual at a place, as a share of what is usual in the image: gain and thickness vary; more than this
#: is a film or a hole. A gain that varies by 30 % rms costs TiO2 6 % of its columns with 0.85 and 1, none so.
_DIMMEST, _BRIGHTEST = 0.5, 1.6
#: A log-likelihood ratio beyond this is as good as certain.
_CERTAIN = 12.0
#: What the misfit exceeds its own noise by before it counts.
_EXCESS = 1.1
#: How often the scatter of the columns and which of them are there are learned from each other.
_ROUNDS = 2
#: Median of the square of a standard normal variable.
_CHI_SQUARE_MEDIAN = 0.4549
#: Of a median, in units of that of a mean (normal errors).
_MEDIAN_VARIANCE = np.pi / 2
#: Pieces of a row whose scatter tells how exact its mean is, and their least length in pixels.
_ROW_PIECES, _ROW_PIECE = 8, 12
#: Pixels that are worked on together.
_TOGETHER = 2**19


def occupancy(
    image: NDArray[np.floating],
    yx: Floats,
    kind: Integers,
    column: Integers | None = None,
    valid: NDArray[np.bool_] | None = None,
    row_noise: bool = False,
    device: torch.device | str = "cpu",
) -> Generator[Progress, None, tuple[Floats, Floats, Floats]]:
    """Compare every site with its equals, step by step.

    Parameters
    ----------
    image : (H, W) array
        At `CANONICAL_PIXEL_SIZE`, any unit.
    yx : (N, 2) array
        Where the columns are or should be, canonical pixels.
    kind : (N,) array of int
        Sites of one kind are equal.
    column : (N,) array of int, optional
        Of the cell. Columns of one kind may still differ, for their neighbours' tails do; what the
        micrograph shows of that is allowed for.
    valid : (H, W) array of bool, optional
        Pixels that count; all without it.
    row_noise : bool
        The recording had row offsets; what is left of them shows once the columns are known. In a recording
        without, a row of columns that differs from the next would be taken for one.
    device : torch.device or str
        Where all that grows with pixels is computed, in float64 where the device has it.

    Returns
    -------
    share : (N,) array
        Height of the column in units of its kind's usual one: 1 as usual, 0 nothing.
    llr : (N,) array
        Log of P(image | occupied) / P(image | vacant), within ±12; 0 where nothing can be said.
    spread : (N,) array
        Of the shares of its kind by noise, one standard deviation; infinite where nothing can be said.
    """
    n = len(yx)
    share, llr, spreads = np.ones(n), np.zeros(n), np.full(n, np.inf)
    kinds, index = np.unique(kind, return_inverse=True)
    if n < MIN_EQUALS:
        return share, llr, spreads
    filled = image if valid is None else inpaint(np.asarray(image, np.float32), valid)
    device = torch.device(device)
    exact = exact_dtype(device)
    shape = (image.shape[0], image.shape[1])
    data = torch.from_numpy(np.ascontiguousarray(filled)).to(exact).to(device).ravel()
    yield HERE
    patches = yield from site_patches(yx, shape, valid, device)
    yield HERE
    profile, floor = yield from mean_profiles(data, patches, index, len(kinds))
    model = yield from patches.drawn(profile)
    above = data - floor
    slope, offset = yield from _noise(above - model, model)
    least = 1e-3 * (offset + slope * float(model.max())) + 1e-30
    variance = (offset + slope * model.clamp_(min=0)).clamp_(min=least)
    del model
    heights = yield from ColumnHeights.of(patches, profile, 1.0 / variance)
    del variance
    measured, drawn = yield from heights.fit(above)
    for _ in range(2):  # what no column accounts for is a film, if it is broad
        columns = yield from patches.drawn(profile, drawn.clamp(0, _BRIGHTEST))
        left = (above - columns).reshape(shape)
        film = yield from gaussian_smoothed_steps(left, _FILM / CANONICAL_PIXEL_SIZE, HERE)
        yield HERE
        # what lacks over a width of columns is a hole, not the lack of a film: the heights must show it
        film = film.clamp_(min=quantile(film.ravel(), _HOLES))
        if row_noise:
            film = film + _row_offsets(left - film)
        measured, drawn = yield from heights.fit(above - film.ravel())
    del heights
    yield HERE
    rest = above - film.ravel()
    drawn = drawn.clamp_(min=0.0)
    asked = yield from _tested(rest, patches, profile, drawn, slope, offset)
    share, test = measured.cpu().numpy().astype(np.float64), asked.value
    columns = yield from patches.drawn(profile, drawn)
    seen = profile.amax(dim=1).cpu().numpy() > 0
    del profile
    left = (rest - columns).reshape(shape)
    excess = yield from _excess(left, (offset + slope * columns).reshape(shape), patches, valid)
    for number in range(len(kinds)):
        yield HERE
        mine = np.flatnonzero(index == number)
        if len(mine) < MIN_EQUALS or not seen[mine].any():
            continue
        # the mean profile counts vacancies in
        share[mine] /= max(float(np.median(share[mine])), 0.2)
        bright = max(float(np.median(test[mine])), 0.2)
        test[mine] /= bright
        usual = yield from _usual(test[mine], yx[mine], None if column is None else column[mine])
        delta = test[mine] - usual
        noise = excess / _EXCESS * asked.variance[mine] / bright**2
        there = np.ones(len(mine))
        for _ in range(_ROUNDS):  # vacancies are no scatter of the columns
            middle = _weighted_median(delta, there)
            spread = max(1.4826 * _weighted_median(np.abs(delta - middle), there), 1e-3)
            # counts would scatter less than recordings do: the same ratio, over-dispersed; where the profiles
            # do not describe the image, what they leave over between columns is left over on them, too
            scale = asked.information[mine] / np.maximum(spread**2, noise)
            ratio = np.clip(scale * (test[mine] - asked.even[mine] * usual), -_CERTAIN, _CERTAIN)
            empty = empty_share(ratio)
            there = 1 / (1 + np.exp(-ratio) * empty / (1 - empty))
        spreads[mine], llr[mine] = spread, ratio
    return share, llr, spreads


def _excess(
    left: Tensor, variance: Tensor, patches: SitePatches, valid: NDArray[np.bool_] | None
) -> Generator[Progress, None, float]:
    """Return by how much what is left over the width of a column exceeds the noise of independent pixels.

    Row offsets, afterglow and resampling make neighbouring pixels alike; at many counts the profiles are not
    exact. Asked away from the columns, where nothing has been fitted to what is left.

    Parameters
    ----------
    left : Tensor (H, W)
        What no column and no film accounts for.
    variance : Tensor (H, W)
        Of a pixel.
    patches : SitePatches
    valid : (H, W) array of bool, optional
    """
    width = WIDTHS[0] / CANONICAL_PIXEL_SIZE
    found = (yield from gaussian_smoothed_steps(left, width, HERE)).square_().ravel()
    expected = yield from gaussian_smoothed_steps(variance, float(width / np.sqrt(2)), HERE)
    expected = expected.ravel() / (4 * np.pi * width**2)
    distance2 = yield from _site_distance2(patches)
    if valid is None:
        counts = distance2 > 0
    else:
        counts = torch.from_numpy(np.ascontiguousarray(valid)).to(left.device).ravel()
    if not bool(counts.any()):
        return 1.0
    yield HERE
    away = counts & (distance2 >= distance2[counts].median()) & (expected > 0)
    if not bool(away.any()):
        return 1.0
    yield HERE
    return max(1.0, float((found[away] / expected[away]).median()) / _CHI_SQUARE_MEDIAN)


def _site_distance2(patches: SitePatches) -> Generator[Progress, None, Tensor]:
    """Return the (H * W,) squared distances (px²) to the pixel of the nearest site, of `REACH` at most."""
    squared = torch.from_numpy((patch_window() ** 2).sum(1).astype(np.float32)).to(patches.pixels.device)
    farthest = (REACH / CANONICAL_PIXEL_SIZE) ** 2
    nearest = torch.full((patches.size,), farthest, dtype=torch.float32, device=squared.device)
    for here in patches.blocks():
        yield HERE
        counts = patches.distance2[here].isfinite()
        from_site = torch.where(counts, squared, farthest).ravel()
        nearest.scatter_reduce_(0, patches.pixels[here].ravel(), from_site, "amin")
    return nearest


@dataclass(frozen=True, eq=False)
class _Test:
    """The most powerful test of "a usual column" against "none" at every site.

    Parameters
    ----------
    value : (N,) array
        The log-likelihood ratio, scaled and shifted: 1 on average where there is a usual column, 0 where
        there is none.
    variance : (N,) array
        Of the value where there is a column, if pixels are independent.
    information : (N,) array
        The log-likelihood ratio grows with the value by this over the value's variance at a column; 1 if the
        variance is the same with a column and without.
    even : (N,) array
        The value at which both are as likely; 0.5 if the variance is the same.
    """

    value: Floats
    variance: Floats
    information: Floats
    even: Floats


def _tested(
    above: Tensor, patches: SitePatches, profile: Tensor, drawn: Tensor, slope: float, offset: float
) -> Generator[Progress, None, _Test]:
    """Weigh the pixels of every site as the test of a usual column against none does.

    Variance that grows linearly with the signal is that of counts after a gain, so the log-likelihood ratio
    of Poisson counts serves: a pixel counts by the logarithm of the ratio of the two rates, most where
    neither the neighbours nor the ground send electrons. Noise that exceeds that of counts makes the ratio
    smaller in the same proportion (McCullagh and Nelder, Generalized Linear Models (1989), chapter 9).

    Parameters
    ----------
    above : Tensor (H * W,)
        Flat image above its ground.
    patches : SitePatches
    profile : Tensor (N, P)
        Of the patches.
    drawn : Tensor (N,)
        Heights with which the neighbours are drawn.
    slope, offset : float
        Variance = offset + slope × signal.
    """
    peak = float(profile.max()) + 1e-30
    gain = max(slope, 1e-3 * offset / peak, 1e-30)
    ground = offset / gain
    total = yield from patches.drawn(profile, drawn)
    least = 1e-3 * peak
    answers = torch.empty(4, len(patches), dtype=profile.dtype, device=profile.device)
    for here in patches.blocks():
        yield HERE
        own = profile[here]
        without = torch.addcmul(patches.of(total, here), drawn[here, None], own, value=-1).clamp_(min=0.0)
        without = without.add_(ground).clamp_(min=least).div_(gain)
        with_it = torch.add(without, own, alpha=1 / gain)
        weight = (with_it / without).log_()
        value = torch.linalg.vecdot(patches.of(above, here).add_(ground), weight) / gain
        low, high = torch.linalg.vecdot(without, weight), torch.linalg.vecdot(with_it, weight)
        apart = (high - low).clamp_(min=1e-30)
        information = torch.linalg.vecdot(with_it, weight.square_()) / apart
        even = (own.sum(dim=1) / gain - low) / apart
        answers[:, here] = torch.stack([(value - low) / apart, information / apart, information, even])
    return _Test(*answers.cpu().numpy().astype(np.float64))


def _row_offsets(left: Tensor) -> Tensor:
    """Estimate (H, 1) row offsets from what no column accounts for, less what chance makes of them.

    The scatter between pieces of one row says how exact its mean is; it allows for noise that is correlated
    along the row, as afterglow makes it.
    """
    height, width = left.shape
    if width < _ROW_PIECES * _ROW_PIECE:
        return left.new_zeros(height, 1)
    length = width // _ROW_PIECES
    pieces = left[:, : length * _ROW_PIECES].reshape(height, _ROW_PIECES, length).mean(dim=2)
    mean = pieces.mean(dim=1, keepdim=True)
    chance = float(pieces.var(dim=1, correction=1).mean()) / _ROW_PIECES
    total = float(mean.square().mean())
    return mean * max(0.0, 1 - chance / max(total, 1e-30))


def _noise(residual: Tensor, model: Tensor) -> Generator[Progress, None, tuple[float, float]]:
    """Fit variance = offset + slope × signal."""
    edges = yield from octiles(model)
    sums = np.zeros((4, 8))
    for first in range(0, len(model), _TOGETHER):
        yield HERE
        signal, rest = model[first : first + _TOGETHER], residual[first : first + _TOGETHER]
        group = torch.bucketize(signal, edges, right=False)
        for total, values in zip(sums, (None, signal, rest, rest.square()), strict=True):
            total += torch.bincount(group, values, 8).cpu().numpy()
    count = np.maximum(sums[0], 1)
    x, mean, y = sums[1:] / count
    y = y - mean**2
    slope = max(0.0, float(np.polyfit(x, y, 1)[0])) if np.ptp(x) > 0 else 0.0
    level = float(np.average(y, weights=count))
    return slope, max(level - slope * float(np.average(x, weights=count)), 0.02 * level)


def _weighted_median(values: Floats, weights: Floats) -> float:
    order = np.argsort(values)
    reached = np.cumsum(weights[order])
    return float(values[order[min(int(np.searchsorted(reached, 0.5 * reached[-1])), len(values) - 1)]])


def _usual(share: Floats, yx: Floats, column: Integers | None) -> Generator[Progress, None, Floats]:
    """Return what is usual at each site, where film and thickness may vary; a hole is not usual."""
    k = min(_AROUND, len(yx))
    tree, around = cKDTree(yx), np.empty(len(yx))
    for first in range(0, len(yx), BLOCK):
        yield HERE
        mine = yx[first : first + BLOCK]
        near = np.asarray(tree.query(mine, k=k)[1]).reshape(len(mine), k)
        around[first : first + BLOCK] = np.median(share[near], axis=1)
    whole = float(np.median(share))
    if column is not None:
        around += _differences(share - around, column)
    return np.clip(around, min(_DIMMEST * whole, whole), max(_BRIGHTEST * whole, whole))


def _differences(delta: Floats, column: Integers) -> Floats:
    """Return by how much each column of the cell is brighter than its kind; noise is no difference.

    Medians over the sites of each column, drawn to zero as far as noise alone would scatter them (James and
    Stein, Proc. 4th Berkeley Symp. Math. Stat. Prob. 1 (1961) 361).
    """
    columns, index = np.unique(column, return_inverse=True)
    if len(columns) < 2:
        return np.zeros(len(delta))
    groups = [delta[index == number] for number in range(len(columns))]
    middle = np.array([float(np.median(group)) for group in groups])
    within = np.array([float(np.median(np.abs(g - m))) for g, m in zip(groups, middle, strict=True)])
    count = np.array([len(group) for group in groups])
    noise = _MEDIAN_VARIANCE * (1.4826 * float(np.median(within))) ** 2 / count
    real = max(float(np.average(middle**2 - noise, weights=count)), 0.0)
    kept = np.where(count >= MIN_EQUALS, real / (real + noise + 1e-30), 0.0)
    return np.asarray((kept * middle)[index])
