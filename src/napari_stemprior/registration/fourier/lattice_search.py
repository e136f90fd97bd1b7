"""Find the lattice of a prior in a power spectrum: sweep rotation and scale, then refine the affine map.

A linear map here carries (x, y) in Å of the prior to (y, x) in Å of the image.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter
from scipy.optimize import minimize

from napari_stemprior.registration.fourier.power_spectrum import PowerSpectrum
from napari_stemprior.registration.fourier.reflections import Reflections

#: Mean of log(1 + r) for noise, whose power ratio r is exponential.
_NOISE_LOG = 0.5963
#: Length in Å over which the lattice must be coherent in the sweep; short, to catch strain.
CAPTURE = 45.0
#: Strain of one standard deviation for a soft penalty in the refinement.
USUAL_STRAIN = 0.05


@dataclass(frozen=True, eq=False)
class LatticeCandidate:
    """A linear map and the reflection power that speaks for it.

    Parameters
    ----------
    linear : (2, 2) array
        From (x, y) in Å of the prior to (y, x) in Å of the image.
    value : float
        Weighted mean log power at the reflections.
    significance : float
        `value` in robust standard deviations of the sweep.
    """

    linear: NDArray[np.float64]
    value: float
    significance: float


def rigid(angle: float, scale: float = 1.0, *, mirrored: bool = False) -> NDArray[np.float64]:
    """Return the map of a rotation (degrees, image x towards image y), as `Pose.from_angle` has it."""
    t = np.deg2rad(angle)
    to_xy = scale * np.array([[np.cos(t), -np.sin(t)], [np.sin(t), np.cos(t)]])
    if mirrored:
        to_xy = to_xy @ np.diag([1.0, -1.0])
    return to_xy[::-1]


def power_at_reflections(
    power: PowerSpectrum, linear: NDArray[np.float64], g: NDArray[np.float64], weight: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Weighted mean log power at the reflections, for (..., 2, 2) linear maps.

    Reflections beyond the spectrum do not count.
    """
    inverse = np.linalg.inv(linear)
    k = g @ inverse
    inside = np.linalg.norm(k, axis=-1) < power.limit
    share = np.where(inside, weight, 0.0)
    log_power = np.log1p(power.at(k)) - _NOISE_LOG
    total = share.sum(-1)
    # a map that pushes most of its reflections out of sight proves nothing
    return np.asarray((share * log_power).sum(-1) / np.maximum(total, 0.5))


def robust_weight(reflections: Reflections) -> NDArray[np.float64]:
    """Weights of the reflections in the search: amplitudes, since one strong reflection must not decide."""
    amplitude = np.abs(reflections.factor)
    return np.asarray(amplitude / amplitude.sum())


def sweep(
    power: PowerSpectrum,
    reflections: Reflections,
    scales: NDArray[np.float64],
    *,
    mirrors: tuple[bool, ...] = (False,),
    step: float = 0.75,
    keep: int = 14,
) -> list[LatticeCandidate]:
    """Try every rotation and scale; return the best local maxima.

    Parameters
    ----------
    power : PowerSpectrum
        Blurred to the capture length.
    reflections : Reflections
    scales : (s,) array
    mirrors : tuple of bool
    step : float
        Degrees between rotations.
    keep : int
        How many maxima to return.
    """
    angles = np.arange(0.0, 180.0, step)
    weight = robust_weight(reflections)
    found: list[LatticeCandidate] = []
    values = np.empty((len(mirrors), len(angles), len(scales)))
    for m, mirrored in enumerate(mirrors):
        turned = np.array([rigid(a, mirrored=mirrored) for a in angles])
        for s, scale in enumerate(scales):
            values[m, :, s] = power_at_reflections(power, scale * turned, reflections.g, weight)
    middle = np.median(values)
    spread = 1.4826 * np.median(np.abs(values - middle)) + 1e-9
    for m, mirrored in enumerate(mirrors):
        window = (max(3, round(4.0 / step) | 1), min(5, len(scales) | 1))
        peaks = values[m] == maximum_filter(values[m], window, mode=("wrap", "nearest"))
        for i, j in np.argwhere(peaks):
            value = float(values[m, i, j])
            linear = rigid(float(angles[i]), float(scales[j]), mirrored=mirrored)
            found.append(LatticeCandidate(linear, value, float((value - middle) / spread)))
    found.sort(key=lambda lattice: -lattice.value)
    return found[:keep]


def refine_power(
    power: PowerSpectrum,
    reflections: Reflections,
    start: LatticeCandidate,
    *,
    strain: float,
    evaluations: int = 150,
) -> LatticeCandidate:
    """Refine the four numbers of the linear map by Nelder-Mead on the reflection power.

    Parameters
    ----------
    power : PowerSpectrum
    reflections : Reflections
    start : LatticeCandidate
    strain : float
        Size of the first steps.
    evaluations : int
        The most evaluations.
    """
    weight = robust_weight(reflections)

    def cost(parameters: NDArray[np.float64]) -> float:
        change = parameters.reshape(2, 2)
        value = float(power_at_reflections(power, (np.eye(2) + change) @ start.linear, reflections.g, weight))
        distortion = (change + change.T) / 2
        return -value + 0.05 * float((distortion**2).sum()) / USUAL_STRAIN**2

    # steps along rotation, scale and the two shears
    moves = strain * np.array([[0, 1, -1, 0], [1, 0, 0, 1], [1, 0, 0, -1], [0, 1, 1, 0]]) / np.sqrt(2)
    simplex = np.vstack([np.zeros(4), moves])
    result = minimize(
        cost,
        np.zeros(4),
        method="Nelder-Mead",
        options={"initial_simplex": simplex, "maxfev": evaluations, "xatol": 2e-5, "fatol": 1e-4},
    )
    linear = (np.eye(2) + result.x.reshape(2, 2)) @ start.linear
    value = float(power_at_reflections(power, linear, reflections.g, weight))
    scale = (start.value or 1e-9) / (start.significance or 1e-9)
    return LatticeCandidate(linear, value, value / scale if scale > 0 else 0.0)


def same_lattice(
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    cell: NDArray[np.float64],
    tolerance: float = 0.04,
) -> bool:
    """Tell whether two linear maps put the same lattice on the image (another basis aside)."""
    change = np.linalg.inv(first @ cell.T) @ (second @ cell.T)
    return bool(
        np.abs(change - np.round(change)).max() < tolerance and abs(round(np.linalg.det(change))) == 1
    )
