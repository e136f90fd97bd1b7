"""Columns fitted to a mean unit cell: where they stand, how bright they are, and how well they explain it.

The amplitudes of the reflections, phases and all, are those of Gaussian columns of one shape: a core and a
wider foot. It is the refinement of a crystal structure with known phases.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from napari_stemprior.inference.cell_columns import CellColumns
from napari_stemprior.inference.decoding import MIN_DISTANCE
from napari_stemprior.registration.fourier.normalized_image import BACKGROUND_WIDTH
from napari_stemprior.registration.unit_cell.mean_cell import MeanCell
from napari_stemprior.structure.periodic import nearest_distance

Floats = NDArray[np.float64]

#: Å: standard deviations of the core that are tried, the share of the foot, and how much wider it is.
_WIDTHS = (0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.7, 0.8)
_FEET, _WIDER = (0.0, 0.2, 0.4), 2.2
#: What the shape leaves over, of each amplitude and of the largest: columns of one crystal differ in shape.
_SHAPE_ERROR, _SHAPE_FLOOR = 0.05, 0.01
#: The same for what fringes lack in coherence: strain that is not taken out blurs the mean cell.
_INCOHERENT = 5.0
#: Rounds in which the places are moved, and the farthest step in each, Å.
_ROUNDS, _STEP = 6, 0.1
#: Å²: the largest change of the shape's covariance in a round, and of all: 0.045 makes a column of 0.45 Å a
#: quarter longer than wide. Columns that overlap are longer, and are columns.
_STRETCH, _LONGEST = 0.03, 0.045
#: Columns that the difference synthesis may add, and by how much the criterion must fall with each: 10 is
#: very strong evidence (Kass and Raftery 1995).
_MOST_ADDED, _WORTH = 12, 10.0
#: Misfit below which a cell is explained. In the validation set complete columns have at most 1.25, and those
#: that lack some, with what was added in their place, at least 2.5.
_EXPLAINED = 1.3
#: Å: grid of the difference synthesis, and the Gaussian that it is smoothed with.
_GRID, _BLUR = 0.1, 0.3
#: Places of the grid that are asked at once whether a column stands there, the brightest first.
_AT_ONCE = 64


@dataclass(frozen=True, eq=False)
class CellFit:
    """Columns of a cell, as fitted.

    Parameters
    ----------
    fractional : (N, 2) array
        Position in the cell.
    hidden : (N,) array of bool
        Whether it lies below the entrance layer.
    brightness, deviation : (N,) arrays
        Over the brightest, and what noise does to it.
    criterion : float
        Bayesian information criterion (Schwarz 1978): misfit, and a price for each number that is fitted.
    misfit : float
        Squared misfit over its expectation: 1 where the columns explain the cell.
    rest : (n,) complex array
        Amplitudes less what the columns explain.
    """

    fractional: Floats
    hidden: NDArray[np.bool_]
    brightness: Floats
    deviation: Floats
    criterion: float
    misfit: float
    rest: NDArray[np.complex128]


def complete_cell(mean: MeanCell, columns: CellColumns) -> CellFit:
    """Fit columns to a mean cell, and add those that the difference synthesis shows beside them.

    The strongest place of what the columns leave over (Fourier transform of observed less calculated
    amplitudes) is tried as a column, again and again, as long as the criterion falls by `_WORTH`. What is
    added counts only if it explains the cell: columns of another shape than assumed leave something over,
    too, and no column explains that.

    Parameters
    ----------
    mean : MeanCell
    columns : CellColumns
        At least one.
    """
    found = best = fit_cell(mean, columns)
    for _ in range(_MOST_ADDED):
        place = _strongest_rest(mean, best)
        if place is None:
            break
        more = fit_cell(
            mean,
            CellColumns(
                np.vstack([best.fractional, place]),
                np.append(best.hidden, False),
                np.append(np.ones(len(best.fractional)), 0.0),
            ),
        )
        if more.criterion > best.criterion - _WORTH:
            break
        best = more
    if best is found or best.misfit >= _EXPLAINED:
        return found
    # a probe that is a little longer along one direction may be all there is to explain
    return found if fit_cell(mean, columns, longer=True).misfit < _EXPLAINED else best


def fit_cell(mean: MeanCell, columns: CellColumns, *, longer: bool = False, rounds: int = _ROUNDS) -> CellFit:
    """Fit columns to a mean cell, from where they were found.

    Parameters
    ----------
    mean : MeanCell
    columns : CellColumns
        At least one.
    longer : bool
        Let all be longer along one direction, by up to a quarter.
    rounds : int
        Rounds in which places are moved; with 0 they stay.
    """
    size = np.abs(mean.amplitude)
    shape_error = _SHAPE_ERROR + _INCOHERENT * (1 - mean.coherence)
    variance = mean.variance + (shape_error * size) ** 2 + (_SHAPE_FLOOR * float(size.max())) ** 2
    noise = np.sqrt(np.concatenate([variance, variance]) / 2)
    target = _parts(mean.amplitude) / noise
    shapes = _shapes(mean)
    fractional, stretch = np.array(columns.fractional, float), np.zeros(3 if longer else 0)
    bends = _bends(mean.g) if longer else np.zeros((len(mean.g), 0))
    for _ in range(max(rounds, 1)):
        waves = np.exp(-2j * np.pi * mean.hk @ fractional.T)
        stretched = [one * np.exp(bends @ stretch) for one in shapes]
        trials = [nnls(_parts(waves * one[:, None]) / noise[:, None], target) for one in stretched]
        best = int(np.argmin([rest for _, rest in trials]))
        shape, brightness = stretched[best], trials[best][0]
        if not rounds:
            break
        step, change = _step(mean, waves * shape[:, None] * brightness, bends, noise, target)
        fractional = fractional + step
        if longer:
            stretch = _bounded(stretch + change)
            shape = shapes[best] * np.exp(bends @ stretch)
    waves = np.exp(-2j * np.pi * mean.hk @ fractional.T)
    design = _parts(waves * shape[:, None]) / noise[:, None]
    brightness, rest = nnls(design, target)
    counts = np.sqrt(np.concatenate([mean.variance, mean.variance]) / 2)
    counted = _parts(waves * shape[:, None]) / counts[:, None]
    deviation = np.sqrt(np.diag(np.linalg.pinv(counted.T @ counted)))
    top = max(float(brightness.max()), 1e-30)
    price = 3 * len(fractional) * float(np.log(len(target)))
    left = mean.amplitude - (waves * shape[:, None]) @ brightness
    criterion = float(rest**2) + price
    misfit = float(rest**2) / max(len(target) - 3 * len(fractional), 1)
    return CellFit(fractional, columns.hidden, brightness / top, deviation / top, criterion, misfit, left)


def _strongest_rest(mean: MeanCell, fit: CellFit) -> Floats | None:
    """Return the (2,) place in the cell where the columns leave most over; None where all are taken."""
    count = np.maximum(np.ceil(np.linalg.norm(mean.cell, axis=1) / _GRID), 4).astype(int)
    length2 = (mean.g**2).sum(axis=1)
    damped = fit.rest * np.exp(-2 * np.pi**2 * _BLUR**2 * length2)
    spectrum = np.zeros(tuple(count), complex)
    np.add.at(spectrum, (mean.hk[:, 0] % count[0], mean.hk[:, 1] % count[1]), damped)
    density = np.fft.ifft2(spectrum).real.ravel()
    brightest = np.argsort(-density, kind="stable")
    for first in range(0, len(brightest), _AT_ONCE):
        chosen = np.unravel_index(brightest[first : first + _AT_ONCE], tuple(count))
        places = np.stack(chosen, axis=-1) / count
        apart = nearest_distance(places[:, None] - fit.fractional, mean.cell).min(axis=-1)
        if (apart >= MIN_DISTANCE).any():
            return np.asarray(places[int(np.argmax(apart >= MIN_DISTANCE))])
    return None


def _shapes(mean: MeanCell) -> list[Floats]:
    """Return the (n,) transforms of the shapes of a column that are tried."""
    length2 = (mean.g**2).sum(axis=1)
    # the image was freed of its background, which is a high pass
    passed = 1 - np.exp(-2 * np.pi**2 * BACKGROUND_WIDTH**2 * length2)
    return [
        passed
        * (
            (1 - foot) * np.exp(-2 * np.pi**2 * width**2 * length2)
            + foot * np.exp(-2 * np.pi**2 * (_WIDER * width) ** 2 * length2)
        )
        for width in _WIDTHS
        for foot in _FEET
    ]


def _bounded(stretch: Floats) -> Floats:
    """Return a covariance (xx, yy, xy) that makes no column longer than a quarter, and none larger."""
    half, along = (stretch[0] - stretch[1]) / 2, stretch[2]
    size = float(np.hypot(half, along))
    part = min(1.0, _LONGEST / max(size, 1e-12))
    return np.array([half * part, -half * part, along * part])


def _bends(g: Floats) -> Floats:
    """Return what each number (xx, yy, xy) of a covariance in Å² adds to the log of (n,) waves: (n, 3)."""
    return -2 * np.pi**2 * np.stack([g[:, 0] ** 2, g[:, 1] ** 2, 2 * g[:, 0] * g[:, 1]], axis=1)


def _step(
    mean: MeanCell, waves: NDArray[np.complex128], bends: Floats, noise: Floats, target: Floats
) -> tuple[Floats, Floats]:
    """Take one step of Gauss and Newton.

    Parameters
    ----------
    waves : (n, N) complex array
        What each column adds to each reflection.
    bends : (n, 3) array
        See `_bends`; (n, 0) where the shape stays.

    Returns
    -------
    step : (N, 2) array
        In the cell; none is farther than `_STEP`.
    change : (3,) or (0,) array
        Of the shape's covariance, Å².
    """
    total = waves.sum(axis=1)
    slopes = [_parts(-2j * np.pi * mean.hk[:, axis, None] * waves) for axis in (0, 1)]
    design = np.concatenate([*slopes, _parts(bends * total[:, None])], axis=1) / noise[:, None]
    normal = design.T @ design
    # each number is damped by its own weight: places and covariances have other units
    normal += np.diag(1e-3 * np.diag(normal) + 1e-30)
    solved = np.linalg.solve(normal, design.T @ (target - _parts(total) / noise))
    places = 2 * waves.shape[1]
    step = solved[:places].reshape(2, -1).T
    length = np.linalg.norm(step @ mean.cell, axis=1)
    step = step * np.minimum(1.0, _STEP / np.maximum(length, 1e-12))[:, None]
    return np.asarray(step), np.clip(solved[places:], -_STRETCH, _STRETCH)


def _parts(values: NDArray[np.complex128]) -> Floats:
    """Put the real and the imaginary part one below the other."""
    return np.concatenate([values.real, values.imag])
