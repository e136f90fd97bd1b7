"""How bright the columns of a placed lattice are, against what their atoms scatter.

Two crystals of one lattice differ in the brightness of their columns only, and a few reflections agree with
nearly any of them once the width of a column is free. So the brightness of every column is solved for, from
all reflections at once, together with what nobody knows: the width of a column, the tails of the probe, and
how the intensity goes with Z. Three things are then asked, each with the noise taken off:

- are the columns as bright as their atoms make them (molybdenum ditelluride on one layer of 1T-TaS2: its
  molybdenum is not there);
- is there a column where the prior has none (the titanium of 1T-TiSe2, in the hollow of MoSe2);
- do columns that a translation carries onto one another differ, if their atoms do (the calcium and the
  fluorine of CaF2, on the equal columns of iron).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_stemprior.registration.fourier.normalized_image import BACKGROUND_WIDTH
from napari_stemprior.registration.fourier.reflections import EXPONENTS, Reflections, column_weights
from napari_stemprior.structure import StructurePrior
from napari_stemprior.structure.periodic import nearest_distance

#: Transfer of a column: exp(-2 a g - 2 (pi b g)²), with a (Å) for the probe, whose transfer falls nearly
#: straight from the origin, and b (Å) for its source and the thermal motion.
_TAILS = (0.0, 0.3, 0.6, 1.0)
_WIDTHS = (0.2, 0.3, 0.4, 0.5, 0.65, 0.8)
#: Standard deviation of the departures that are thought of, in brightnesses of the brightest column.
_DEPARTURE = 0.3
#: What no width or tail describes, as a share of the strongest reflection.
_MODEL = 0.04
#: An unexpected column counts from this distance (Å) of the nearest expected one; nearer it is their shape.
_APART = 0.8
#: Å between the places where unexpected columns are looked for.
_STEP = 0.25
#: Two columns lie on one another within this distance (Å).
_SAME_PLACE = 0.3
#: Standard deviations of noise that are taken off.
_CERTAIN = 2.0


@dataclass(frozen=True)
class ColumnIntensities:
    """What the brightness of the columns says of a prior, noise taken off.

    Parameters
    ----------
    misfit : float
        Root mean square departure of the columns from the expected, relative to the latter; 0 is perfect.
    interstitial : float
        Brightness of a column where the prior has none, in brightnesses of the expected brightest.
    contrast : float
        How much columns differ that a translation carries onto one another, relative to the least that Z
        makes them differ; 1 where nothing else is certain, 0 where the image repeats over a smaller cell.
    """

    misfit: float = 0.0
    interstitial: float = 0.0
    contrast: float = 1.0


@dataclass(frozen=True, eq=False)
class _Solution:
    """The best fit of all brightnesses.

    Parameters
    ----------
    column : (k,) array
        Brightness of each column, in brightnesses of the expected brightest.
    expected : (k,) array
    covariance : (k, k) array
        Of `column`, from noise.
    transfer : (n,) array
        Of a column at each reflection.
    scale : float
        Amplitude of the expected brightest column.
    gain : float
        Nats by which the best brightnesses explain the amplitudes, departures from the expected paid for.
    """

    column: NDArray[np.float64]
    expected: NDArray[np.float64]
    covariance: NDArray[np.float64]
    transfer: NDArray[np.float64]
    scale: float
    gain: float


def compare_intensities(
    prior: StructurePrior,
    reflections: Reflections,
    measured: NDArray[np.complex128],
    variance: NDArray[np.float64],
) -> ColumnIntensities:
    """Compare the brightness of the columns with what their atoms scatter.

    Parameters
    ----------
    prior : StructurePrior
    reflections : Reflections
        Of the prior.
    measured : (n,) complex array
        Amplitudes at the reflections, from the origin of the prior; 0 where nothing was measured.
    variance : (n,) array
        Their variance from noise alone.
    """
    known = np.flatnonzero(measured)
    if len(known) < 2:
        return ColumnIntensities()
    measured = measured[known]
    deviation = np.sqrt(variance[known] / 2 + (_MODEL * np.abs(measured).max()) ** 2)
    waves = np.exp(-2j * np.pi * (reflections.hk[known] @ prior.fractional.T))
    best = _solved(prior, waves, reflections.radius[known], measured, deviation)
    departure = best.column - best.expected
    certain = float(departure @ departure) - _CERTAIN**2 * float(np.trace(best.covariance))
    return ColumnIntensities(
        float(np.sqrt(max(certain, 0.0)) / np.linalg.norm(best.expected)),
        _interstitial(prior, reflections.hk[known], waves, measured, deviation, best),
        _contrast(prior, best),
    )


def log_likelihood(
    prior: StructurePrior,
    reflections: Reflections,
    measured: NDArray[np.complex128],
    variance: NDArray[np.float64],
) -> float:
    """Return the nats by which a placed prior explains the amplitudes, width, tails and brightness free.

    Differences between ways to lay a prior on one lattice tell how much the image prefers one of them. See
    `compare_intensities` for the parameters; here noise is all that is allowed for.
    """
    known = np.flatnonzero(measured)
    if len(known) < 2:
        return 0.0
    waves = np.exp(-2j * np.pi * (reflections.hk[known] @ prior.fractional.T))
    deviation = np.sqrt(variance[known] / 2)
    return _solved(prior, waves, reflections.radius[known], measured[known], deviation).gain


def _solved(
    prior: StructurePrior,
    waves: NDArray[np.complex128],
    radius: NDArray[np.float64],
    measured: NDArray[np.complex128],
    deviation: NDArray[np.float64],
) -> _Solution:
    """Fit the brightness of all columns and the common scale for every width, tail and exponent."""
    count = waves.shape[1]
    weights = np.array([column_weights(prior, exponent) for exponent in EXPONENTS])
    weights /= weights.max(axis=1, keepdims=True)
    tail, width = (v.ravel() for v in np.meshgrid(_TAILS, _WIDTHS, indexing="ij"))
    transfers = np.exp(-2 * np.outer(tail, radius) - 2 * np.pi**2 * np.outer(width**2, radius**2))
    # preprocessing takes away the slow part of every column's image
    transfers *= 1 - np.exp(-2 * (np.pi * BACKGROUND_WIDTH * radius) ** 2)
    products = np.einsum("na,nb->nab", waves.conj(), waves).real
    gram = np.tensordot((transfers / deviation) ** 2, products, 1)
    target = (transfers / deviation**2) @ (waves.conj() * measured[:, None]).real

    # unknowns: departure of each column, and the scale of all; for every transfer t and exponent p
    mixed = np.einsum("tab,pb->tpa", gram, weights)
    matrix = np.empty((len(transfers), len(weights), count + 1, count + 1))
    matrix[:, :, :count, :count] = gram[:, None]
    matrix[:, :, :count, count] = matrix[:, :, count, :count] = mixed
    matrix[:, :, count, count] = np.einsum("tpa,pa->tp", mixed, weights)
    right = np.concatenate([np.repeat(target[:, None], len(weights), 1), (target @ weights.T)[..., None]], -1)
    power = matrix[:, :, count, count]
    scale = np.maximum(right[..., count] / power, 1e-3 * np.abs(target).max() / power.max() + 1e-30)
    held = matrix + (1 / (_DEPARTURE * scale) ** 2)[..., None, None] * np.diag([*np.ones(count), 1e-9])
    solution = np.linalg.solve(held, right[..., None])[..., 0]
    gain = (right * solution).sum(-1)
    t, p = np.unravel_index(int(gain.argmax()), gain.shape)
    inverse = np.linalg.inv(held[t, p])
    covariance = (inverse @ matrix[t, p] @ inverse)[:count, :count]
    size = max(float(solution[t, p, count]), 1e-3 * float(scale[t, p]))
    return _Solution(
        weights[p] + solution[t, p, :count] / size,
        weights[p],
        covariance / size**2,
        transfers[t],
        size,
        0.5 * float(gain[t, p]),
    )


def _interstitial(
    prior: StructurePrior,
    hk: NDArray[np.int64],
    waves: NDArray[np.complex128],
    measured: NDArray[np.complex128],
    deviation: NDArray[np.float64],
    best: _Solution,
) -> float:
    """Look for one more column, all others free: the brightest that is certain."""
    steps = [max(4, int(np.ceil(np.linalg.norm(v) / _STEP))) for v in prior.cell]
    grid = np.stack(np.meshgrid(*(np.arange(n) / n for n in steps), indexing="ij"), -1).reshape(-1, 2)
    grid = grid[_distances(prior, grid).min(1) > _APART]
    if not len(grid):
        return 0.0
    shape = best.transfer / deviation
    own = _real(waves * shape[:, None])
    other = _real(np.exp(-2j * np.pi * (hk @ grid.T)) * shape[:, None])
    left = _real((measured / deviation)[:, None])[:, 0] - own @ best.column * best.scale
    # what the own columns could take over is not certain
    held = np.linalg.inv(own.T @ own + np.eye(own.shape[1]) / (_DEPARTURE * best.scale) ** 2)
    cross = own.T @ other
    free = (other**2).sum(0) - np.einsum("ag,ab,bg->g", cross, held, cross)
    free = np.maximum(free, 1e-9 * float((other**2).sum(0).max()))
    pull = other.T @ left - cross.T @ (held @ (own.T @ left))
    certain = pull / free - _CERTAIN / np.sqrt(free)
    return max(0.0, float(certain.max())) / best.scale


def _contrast(prior: StructurePrior, best: _Solution) -> float:
    """Compare columns that a simple translation carries onto one another."""
    lowest = 1.0
    for shift in ((0.5, 0), (0, 0.5), (0.5, 0.5), (1 / 3, 0), (0, 1 / 3), (1 / 3, 1 / 3), (1 / 3, 2 / 3)):
        distance = _distances(prior, prior.fractional + np.array(shift))
        target = distance.argmin(1)
        if distance.min(1).max() > _SAME_PLACE or len(set(target.tolist())) < len(target):
            continue
        expected = best.expected - best.expected[target]
        power = float(expected @ expected)
        if power < 1e-4:
            continue
        pick = np.eye(len(target)) - np.eye(len(target))[target]
        gauge = pick.T @ expected / power
        ratio = float(gauge @ best.column) + _CERTAIN * float(np.sqrt(gauge @ best.covariance @ gauge))
        lowest = min(lowest, ratio)
    return lowest


def _distances(prior: StructurePrior, fractional: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (m, k) distances in Å from places to the nearest image of each column."""
    return nearest_distance(fractional[:, None] - prior.fractional[None], prior.cell)


def _real(values: NDArray[np.complex128]) -> NDArray[np.float64]:
    """Stack real and imaginary parts."""
    return np.concatenate([values.real, values.imag])
