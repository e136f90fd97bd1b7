"""Look for the lattices of a stack together: their reflections may lie closer than the image resolves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from napari_stemprior.registration.fit import SCALES
from napari_stemprior.registration.fourier.features import FourierFeatures
from napari_stemprior.registration.fourier.lattice_search import (
    power_at_reflections,
    rigid,
    robust_weight,
    same_lattice,
)
from napari_stemprior.registration.fourier.lattice_symmetries import lattice_symmetries
from napari_stemprior.registration.fourier.reflections import Reflections
from napari_stemprior.registration.gpa.origin import match_origin
from napari_stemprior.registration.multilayer.plane_waves import PlaneWaveFit
from napari_stemprior.structure import Prior
from napari_stemprior.structure.periodic import image_distance

#: A twist is searched this many degrees around the stated one.
TWIST_RANGE = 1.2
#: A lower layer may be strained against its bulk lattice by this much (relative).
_SCALE_RANGE = 0.02
#: Joint orientations that are carried from the power to the waves.
_ORIENTATIONS = 4
#: The strongest reflections of each layer that take part in the waves.
_WAVES = 10
#: The same where the origins are reflections.
_PHASES = 24


def orientations(
    features: FourierFeatures, stack: Prior, reflections: list[Reflections]
) -> list[NDArray[np.float64]]:
    """Sweep the rotation of the whole stack, both ways round: linear maps of the first layer, best first."""
    angles = np.arange(0.0, 180.0, 0.75)
    trials: list[tuple[float, NDArray[np.float64]]] = []
    for mirrored in (False, True):
        turned = np.array([rigid(angle, mirrored=mirrored) for angle in angles])
        for scale in SCALES:
            value = joint_power(features, stack, reflections, scale * turned)
            peak = (value >= np.roll(value, 1)) & (value >= np.roll(value, -1))
            trials += [(float(value[i]), scale * turned[i]) for i in np.flatnonzero(peak)]
    trials.sort(key=lambda item: -item[0])
    kept: list[NDArray[np.float64]] = []
    for _, linear in trials:
        if not any(_same_lattices(linear, other, stack) for other in kept):
            kept.append(linear)
            if len(kept) == _ORIENTATIONS:
                break
    return kept


def joint_power(
    features: FourierFeatures, stack: Prior, reflections: list[Reflections], linear: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return how much power lies on the reflections of all layers, for (n, 2, 2) maps of the first layer."""
    value = np.zeros(len(linear))
    for turn, layer, prior in zip(turns(stack), reflections, stack.layers, strict=True):
        share = np.sqrt(prior.z_weights.sum() / prior.area)
        value += share * power_at_reflections(features.blurred, linear @ turn, layer.g, robust_weight(layer))
    return value


def _same_lattices(first: NDArray[np.float64], second: NDArray[np.float64], stack: Prior) -> bool:
    return all(
        same_lattice(first @ turn, second @ turn, layer.cell, 0.08)
        for layer, turn in zip(stack.layers, turns(stack), strict=True)
    )


def turns(stack: Prior) -> list[NDArray[np.float64]]:
    """Return the (2, 2) turn of each layer against the first."""
    return [stack.carried(number)[0] for number in range(len(stack.layers))]


def unfolded(
    waves: PlaneWaveFit, stack: Prior, reflections: list[Reflections], linear: NDArray[np.float64]
) -> tuple[float, list[NDArray[np.float64]]]:
    """Refine the maps of all layers so that their waves together explain most."""
    strongest = [layer.g[:_WAVES] for layer in reflections]
    own_turns = turns(stack)

    def maps(parameters: NDArray[np.float64]) -> list[NDArray[np.float64]]:
        common = np.eye(2) + parameters[:4].reshape(2, 2)
        result = []
        for number, turn in enumerate(own_turns):
            own = np.eye(2)
            if number:
                rotation, scale = parameters[4 + 2 * (number - 1) : 6 + 2 * (number - 1)]
                own = (1 + scale) * np.array([[1.0, -rotation], [rotation, 1.0]])
            result.append(common @ linear @ turn @ own)
        return result

    def cost(parameters: NDArray[np.float64]) -> float:
        k = np.concatenate([g @ np.linalg.inv(m) for g, m in zip(strongest, maps(parameters), strict=True)])
        own = parameters[4:].reshape(-1, 2)
        penalty = float(
            (own[:, 0] ** 2).sum() / np.deg2rad(TWIST_RANGE) ** 2 + (own[:, 1] ** 2).sum() / _SCALE_RANGE**2
        )
        return -waves.amplitudes(k)[1] + 0.01 * penalty

    size = 4 + 2 * (len(own_turns) - 1)
    best = np.zeros(size)
    # the sweep is coarse: first the rotation and the scale of all, then of each lower layer
    for step, span in ((np.array([0, 1, -1, 0]), 0.007), (np.array([1, 0, 0, 1]), 0.007)):
        trials = [best + np.concatenate([f * span * step, np.zeros(size - 4)]) for f in (-1, -0.5, 0, 0.5, 1)]
        best = min(trials, key=cost)
    for number in range(1, len(own_turns)):
        place = 4 + 2 * (number - 1)
        trials = []
        for rotation in np.deg2rad(np.linspace(-TWIST_RANGE, TWIST_RANGE, 7)):
            trial = best.copy()
            trial[place] = rotation
            trials.append(trial)
        best = min(trials, key=cost)
    simplex = np.vstack([best, best + np.diag([0.003] * 4 + [0.005, 0.004] * (len(own_turns) - 1))])
    result = minimize(
        cost,
        best,
        method="Nelder-Mead",
        options={"initial_simplex": simplex, "maxfev": 90, "xatol": 1e-4, "fatol": 1e-5},
    )
    return -float(result.fun), maps(result.x)


@dataclass(frozen=True, eq=False)
class Start:
    """Maps and origins (Å) of all layers, and how well they agree with the image."""

    linear: list[NDArray[np.float64]]
    origin: list[NDArray[np.float64]]
    agreement: float


def origins(
    waves: PlaneWaveFit,
    stack: Prior,
    reflections: list[Reflections],
    linear: list[NDArray[np.float64]],
    *,
    as_it_lies: bool = False,
) -> list[Start]:
    """Find the origins of all layers, best first.

    It is done for every way that the stack may lie on its lattices, or `as_it_lies` alone.
    """
    strongest = [_strongest(layer) for layer in reflections]
    starts = []
    ways = [(np.eye(2),) * len(linear)] if as_it_lies else _joint_symmetries(stack)
    for symmetries in ways:
        turned = [m @ s for m, s in zip(linear, symmetries, strict=True)]
        k = np.concatenate([layer.g @ np.linalg.inv(m) for layer, m in zip(strongest, turned, strict=True)])
        amplitude, _ = waves.amplitudes(k)
        parts = np.split(amplitude, np.cumsum([len(layer.g) for layer in strongest])[:-1])
        places, agreement = [], 0.0
        for layer, prior, m, part in zip(strongest, stack.layers, turned, parts, strict=True):
            fraction, value = match_origin(layer, part, prior.cell)
            places.append(m @ (fraction @ prior.cell))
            agreement += value / float(np.linalg.norm(layer.factor) * np.linalg.norm(part) + 1e-30)
        starts.append(Start(turned, places, agreement / len(places)))
    starts.sort(key=lambda start: -start.agreement)
    distinct: list[Start] = []
    for start in starts:
        if not any(_same(start, other, stack) for other in distinct):
            distinct.append(start)
    return distinct


def _strongest(layer: Reflections) -> Reflections:
    few = slice(_PHASES)
    return Reflections(layer.hk[few], layer.g[few], layer.factor[few], layer.variants[:, few])


def _joint_symmetries(stack: Prior) -> list[tuple[NDArray[np.float64], ...]]:
    """Turns of the stack that carry every one of its lattices onto itself: one map for each layer."""
    joint = []
    for first in lattice_symmetries(stack.layers[0]):
        parts = [first]
        for layer, turn in zip(stack.layers[1:], turns(stack)[1:], strict=True):
            wanted = turn.T @ first @ turn
            nearest = min(lattice_symmetries(layer), key=lambda s: float(np.abs(s - wanted).max()))
            if float(np.abs(nearest - wanted).max()) > np.deg2rad(TWIST_RANGE) / 2:
                break
            parts.append(nearest)
        else:
            joint.append(tuple(parts))
    return joint


def _same(first: Start, second: Start, stack: Prior) -> bool:
    """Tell whether two starts put the same columns of every layer in the same places."""
    for number, layer in enumerate(stack.layers):
        inverse = np.linalg.inv(second.linear[number])
        places = layer.positions @ first.linear[number].T + first.origin[number]
        fraction = (places - second.origin[number]) @ inverse.T @ np.linalg.inv(layer.cell)
        distance = image_distance(fraction[:, None] - layer.fractional[None], layer.cell)
        nearest = distance.argmin(1)
        same = np.abs(layer.z_weights[nearest] / layer.z_weights - 1) < 1e-3
        alike = same_lattice(first.linear[number], second.linear[number], layer.cell)
        if not (alike and same.all() and distance.min(1).max() < 0.3):
            return False
    return True
