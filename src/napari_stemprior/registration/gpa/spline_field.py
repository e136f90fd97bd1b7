"""A smooth displacement of a lattice from all its fringes at once.

Following the phases from window to window flattens a bend that is no longer than the window, and at the
border the window looks inwards only. Here the displacement is a spline whose likelihood, given all fringes
and what their windows blur, is weighed against how much it bends; how stiff it is, the marginal likelihood
decides (MacKay, Neural Computation 4 (1992) 415): a perfect crystal comes out rigid, a bent one as bent as
its dose can tell, and beyond what is seen the field goes on straight.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import BSpline
from scipy.linalg import cho_factor, cho_solve

from napari_stemprior.progress import Progress
from napari_stemprior.registration.gpa.demodulation import Fringes
from napari_stemprior.registration.stage import FITTING

#: Å between the knots of the spline: strain shorter than some 30 Å is not followed.
SPACING = 8.0
#: The most numbers of a field, for some 110 x 110 Å; a larger image would take more than a second.
_MOST = 600
#: Roughness (second derivative in 1/Å, over a square Å) of the fields that are thought of, stiff to soft.
_ROUGHNESS = (1e-4, 0.005, 0.02, 0.05, 0.1)
_ROUNDS = 4
#: Steps in Å below which a round ends the search.
_ENOUGH = 0.004
_TAU = 2 * np.pi


@dataclass(frozen=True, eq=False)
class SplineDisplacement:
    """A displacement as a cubic spline.

    Parameters
    ----------
    coefficients : (a, b, 2) array
        Å (y, x).
    extent : (2,) array
        Height and width in Å of what it covers.
    error : float
        Standard deviation in Å of a component that noise, and bends too short to see, leave open.
    """

    coefficients: NDArray[np.float64]
    extent: NDArray[np.float64]
    error: float

    def at(self, y: NDArray[np.float64], x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the displacement in Å on the grid y x x (Å), (gy, gx, 2); the border's beyond the border."""
        rows, columns = (_splines(places, length) for places, length in zip((y, x), self.extent, strict=True))
        return np.asarray(np.einsum("ya,xb,abi->yxi", rows, columns, self.coefficients, optimize=True))


def is_small(extent: NDArray[np.float64]) -> bool:
    """Tell whether a field of such an extent (Å) can be bent at reasonable cost."""
    return 2 * int(np.prod([_count(length) for length in extent])) <= _MOST


def spline_displacement(
    fringes: Fringes,
    matched: NDArray[np.complex128],
    noise: NDArray[np.float64],
    start: NDArray[np.float64],
    extent: NDArray[np.float64],
) -> Generator[Progress, None, SplineDisplacement]:
    """Fit a smooth displacement to all fringes at once, step by step.

    Parameters
    ----------
    fringes : Fringes
    matched : (n, gy, gx) complex array
        From `templated`.
    noise : (n,) array
        Background power of each reflection.
    start : (gy, gx, 2) array
        DisplacementField in Å good to a fraction of a spacing, which tells the phases' branches apart.
    extent : (2,) array
        Height and width of the image in Å; see `is_small`.
    """
    axes = fringes.places[:, 0, 0], fringes.places[0, :, 1]
    blurred = [_windowed(a, length, fringes.width) for a, length in zip(axes, extent, strict=True)]
    design = np.einsum("ya,xb->yxab", *blurred).reshape(axes[0].size * axes[1].size, -1)
    stiffness = _stiffness(extent)
    count = len(stiffness)
    problem = _Problem(fringes, matched.reshape(len(matched), -1), noise, design)
    tie = 1e-3 * np.trace(design.T @ design) / np.trace(stiffness)
    first = np.linalg.solve(
        design.T @ design + tie * stiffness + 1e-9 * np.eye(count), design.T @ start.reshape(-1, 2)
    )
    best: tuple[float, NDArray[np.float64], float] | None = None
    falls = 0
    for roughness in _ROUGHNESS:
        penalty, field = stiffness / roughness**2, first
        for _ in range(_ROUNDS):
            yield FITTING
            slope, curvature = problem.expanded(field)
            pull = slope - penalty @ field
            matrix = curvature.copy()
            for axis in (0, 1):
                matrix[:, axis, :, axis] += penalty + 1e-6 * np.eye(count)
            factor = cho_factor(matrix.reshape(2 * count, 2 * count), lower=True, check_finite=False)
            move = cho_solve(factor, pull.ravel()).reshape(count, 2)
            field = field + move
            if float(np.abs(design @ move).max()) < _ENOUGH:
                break
        yield FITTING
        bending = float(np.einsum("ai,ab,bi->", field, penalty, field))
        volume = 2 * float(np.log(np.diag(factor[0])).sum())
        # three numbers of each component, shift and gradient, do not bend
        marginal = problem.likelihood(field) - bending / 2 - volume / 2 - 2 * (count - 3) * np.log(roughness)
        falls = falls + 1 if best is not None and marginal < best[0] else 0
        if falls == 2:
            break
        if best is None or marginal > best[0]:
            yield FITTING
            open_ = cho_solve(factor, np.kron(design, np.eye(2)).T)
            error = float(
                np.sqrt(np.einsum("pa,ap->", np.kron(design, np.eye(2)), open_) / (2 * len(design)))
            )
            best = (marginal, field, error)
    assert best is not None
    sides = [_count(length) for length in extent]
    return SplineDisplacement(best[1].reshape(*sides, 2), np.asarray(extent, dtype=float), best[2])


class _Problem:
    """The likelihood of the fringes, given the coefficients of a displacement."""

    def __init__(
        self,
        fringes: Fringes,
        matched: NDArray[np.complex128],
        noise: NDArray[np.float64],
        design: NDArray[np.float64],
    ) -> None:
        self._k, self._matched, self._design = fringes.k, matched, design
        self._outer = _TAU**2 * self._k[:, :, None] * self._k[:, None, :]
        self._area = fringes.area.ravel()
        self._gain = float((np.abs(fringes.reflections.factor) ** 2 * noise.mean() / noise).sum())
        step = fringes.places[1, 0, 0] * fringes.places[0, 1, 1]
        # windows overlap: all of them together hold the information of the image once
        self._unit = 2 * step / (_TAU * fringes.width**2) / float(noise.mean())

    def expanded(self, field: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return slope (m, 2) and negative curvature (m, 2, m, 2) of the log likelihood."""
        turned, weight = self._turned(field)
        slope = -_TAU * (turned.imag.T @ self._k) * weight[:, None]
        bent = np.einsum("np,nab->pab", np.maximum(turned.real, 0), self._outer) * weight[:, None, None]
        count = self._design.shape[1]
        curvature = np.empty((count, 2, count, 2))
        for a in (0, 1):
            for b in (0, 1):
                curvature[:, a, :, b] = self._design.T @ (bent[:, a, b][:, None] * self._design)
        return self._design.T @ slope, curvature

    def likelihood(self, field: NDArray[np.float64]) -> float:
        """Return the log likelihood, but for a constant."""
        turned, weight = self._turned(field)
        return float((weight * turned.real.sum(0)).sum())

    def _turned(self, field: NDArray[np.float64]) -> tuple[NDArray[np.complex128], NDArray[np.float64]]:
        """Take a displacement out of the fringes; return what they count for, too."""
        turned = self._matched * np.exp(1j * _TAU * (self._k @ (self._design @ field).T))
        match = turned.real.sum(0) / self._area
        positive = np.sort(np.maximum(match, 0))
        total = np.cumsum(positive)
        usual = positive[np.searchsorted(total, total[-1] / 2)] if total[-1] > 0 else 0.0
        # where no lattice is seen, its phases say nothing
        return turned, np.clip(match, 0, usual) / self._gain * self._unit


def _count(length: float) -> int:
    """Return the number of splines along a length in Å."""
    return max(4, int(np.ceil(length / SPACING)) + 3)


def _knots(length: float) -> tuple[NDArray[np.float64], int]:
    count = _count(length)
    return (np.arange(count + 4) - 3) * length / (count - 3), count


def _splines(places: NDArray[np.float64], length: float, derivative: int = 0) -> NDArray[np.float64]:
    """Return (p, count) cubic splines, or their derivatives, at places in Å."""
    knots, count = _knots(length)
    spline = BSpline(knots, np.eye(count), 3)
    inside = np.clip(places, 0, length * (1 - 1e-9))
    return np.asarray((spline.derivative(derivative) if derivative else spline)(inside))


def _windowed(places: NDArray[np.float64], length: float, width: float) -> NDArray[np.float64]:
    """Return (p, count) splines as Gaussian windows see them that end at the border."""
    fine = np.arange(0.5, length)
    window = np.exp(-((places[:, None] - fine) ** 2) / (2 * width**2))
    window /= window.sum(axis=1, keepdims=True)
    return np.asarray(window @ _splines(fine, length))


def _stiffness(extent: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (m, m) the integral of the squared second derivatives."""
    grams = []
    for length in extent:
        fine = np.arange(0.5, length)
        tables = [_splines(fine, length, derivative) for derivative in (0, 1, 2)]
        grams.append([table.T @ table for table in tables])
    (flat, slope, curved), (flat_x, slope_x, curved_x) = grams
    return np.asarray(np.kron(curved, flat_x) + 2 * np.kron(slope, slope_x) + np.kron(flat, curved_x))
