"""Place the layers of a stack on an image, each with its own lattice.

The nodes of two lattices that are little twisted lie closer than the image resolves. So the lattices are
looked for together, as waves whose amplitudes are fitted at once: a node counts for what it explains beyond
the others. Then each layer is locked on the image from which the others have been taken out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize

from napari_stemprior.registration.demodulation import match_origin
from napari_stemprior.registration.lattice_search import node_value, rigid, robust_weight, same_lattice
from napari_stemprior.registration.layer_model import Layer, LayerModel
from napari_stemprior.registration.placement import SCALES, Placement, from_pose, lock, to_pose
from napari_stemprior.registration.pose import Pose
from napari_stemprior.registration.reciprocal import Nodes, lattice_symmetries, nodes
from napari_stemprior.registration.spectrum import Flattened, check_pixel_size, checked_image, flatten
from napari_stemprior.registration.view import View, view
from napari_stemprior.registration.waves import Waves
from napari_stemprior.structure import Stack, StructurePrior

#: A twist is searched this many degrees around the stated one.
TWIST_RANGE = 1.2
#: A lower layer may be strained against its bulk lattice by this much (relative).
_SCALE_RANGE = 0.02
#: Joint orientations that are carried from the power to the waves, and from there to the origins.
_ORIENTATIONS, _ORIGINS = 4, 2
#: A start whose origins agree by so much worse than the best one's is not carried on.
_WORSE = 0.1
#: A stack must explain more than its strongest layer alone, by this part of what the other layers should add.
_GAIN = 0.45
#: Lattices whose maps differ by more can no longer be taken for one.
_NEAR = 0.12
#: What remains of a score when two like layers are taken the wrong way up.
_UPSIDE_DOWN = 0.98
#: The strongest nodes of each layer that take part in the waves.
_WAVES = 10
#: The same where the origins are found.
_PHASES = 24
#: Rounds of locking each layer on what the others leave.
_ROUNDS = 2
_PATIENT_ROUNDS = 4


@dataclass(frozen=True)
class StackPose:
    """Where the layers of a stack lie.

    Parameters
    ----------
    poses : tuple of Pose
        One a layer, entrance side first.
    score : float
        From 0 to 1: that of the layer that fits worst.
    """

    poses: tuple[Pose, ...]
    score: float

    @property
    def is_fit(self) -> bool:
        """Whether every layer fits."""
        return self.score > 0.5


def register_stack(image: ArrayLike, pixel_size: float, stack: Stack, candidates: int = 4) -> list[StackPose]:
    """Find how the lattices of a stack lie on an image.

    Parameters
    ----------
    image : (H, W) array-like
        Atom columns bright.
    pixel_size : float
        Å per pixel; up to 6 % off is borne.
    stack : Stack
        Its twists are believed within some 1.2 degrees, and either way round; its shifts are not used,
        every layer finds its own.
    candidates : int
        How many to return at most.

    Returns
    -------
    list of StackPose
        Best first, at least one.

    Raises
    ------
    RegistrationError
        If the image is not 2-D, too small, constant, or holds NaN.
    PixelSizeError
        If the pixel size does not suit the layers and the image.
    """
    array = checked_image(image)
    size = min(check_pixel_size(array.shape, pixel_size, layer) for layer in stack.layers)
    flat = flatten(array, size)
    seen = view(flat)
    found = [nodes(layer, seen.resolution) for layer in stack.layers]
    waves = Waves(flat)
    joints = [_unfolded(waves, stack, found, joint) for joint in _orientations(seen, stack, found)]
    joints.sort(key=lambda item: -item[0])
    starts = [
        start
        for _, linear in joints[:_ORIGINS]
        for start in _origins(waves, stack, found, linear)[: max(1, candidates)]
    ]
    starts.sort(key=lambda start: -start.agreement)
    starts = [s for s in starts if s.agreement > starts[0].agreement - _WORSE][: max(1, candidates)]
    model = LayerModel(flat)
    results = [_locked(seen, model, stack, found, start) for start in starts]
    results = [_needed(r, seen, model, stack, found) if r.is_fit else r for r in results]
    if not any(r.is_fit for r in results):  # lattices that coincide have origins that waves cannot tell apart
        more = [_locked(seen, model, stack, found, start, one_by_one=True) for start in starts[:2]]
        results += [_needed(r, seen, model, stack, found) if r.is_fit else r for r in more]
    results.sort(key=lambda result: -result.score)
    if _is_homobilayer(stack):
        results = _both_ways_up(results[0], model, stack)
    return results[: max(1, candidates)]


def separated(
    image: ArrayLike, pixel_size: float, stack: Stack, poses: Sequence[Pose]
) -> tuple[list[NDArray[np.float32]], float, int]:
    """Return for each layer the flattened image without the other layers.

    Parameters
    ----------
    image : (H, W) array-like
    pixel_size : float
        Å per pixel.
    stack : Stack
    poses : sequence of Pose
        One a layer.

    Returns
    -------
    images : list of (h, w) arrays
    pixel_size : float
        Å per pixel of these.
    binning : int
        Pixels of the image along one side of theirs.
    """
    flat = flatten(checked_image(image), pixel_size)
    layers = [
        Layer(layer, pose.scaled(1 / flat.binning)) for layer, pose in zip(stack.layers, poses, strict=True)
    ]
    return LayerModel(flat).without_others(layers), flat.pixel_size, flat.binning


def _orientations(seen: View, stack: Stack, found: list[Nodes]) -> list[NDArray[np.float64]]:
    """Sweep the rotation of the whole stack, both ways round: linear maps of the first layer, best first."""
    angles = np.arange(0.0, 180.0, 0.75)
    share = np.sqrt([layer.z_weights.sum() / layer.area for layer in stack.layers])
    trials: list[tuple[float, NDArray[np.float64]]] = []
    for mirrored in (False, True):
        turned = np.array([rigid(angle, mirrored=mirrored) for angle in angles])
        for scale in SCALES:
            value = np.zeros(len(angles))
            for number, layer in enumerate(found):
                maps = scale * turned @ stack.carried(number)[0]
                value += share[number] * node_value(seen.blurred, maps, layer.g, robust_weight(layer))
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


def _same_lattices(first: NDArray[np.float64], second: NDArray[np.float64], stack: Stack) -> bool:
    return all(
        same_lattice(first @ turn, second @ turn, layer.cell, 0.08)
        for layer, turn in zip(stack.layers, _turns(stack), strict=True)
    )


def _turns(stack: Stack) -> list[NDArray[np.float64]]:
    return [stack.carried(number)[0] for number in range(len(stack.layers))]


def _unfolded(
    waves: Waves, stack: Stack, found: list[Nodes], linear: NDArray[np.float64]
) -> tuple[float, list[NDArray[np.float64]]]:
    """Refine the maps of all layers so that their waves together explain most."""
    strongest = [layer.g[:_WAVES] for layer in found]
    turns = _turns(stack)

    def maps(parameters: NDArray[np.float64]) -> list[NDArray[np.float64]]:
        common = np.eye(2) + parameters[:4].reshape(2, 2)
        result = []
        for number, turn in enumerate(turns):
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

    size = 4 + 2 * (len(turns) - 1)
    best = np.zeros(size)
    # the sweep is coarse: first the rotation and the scale of all, then of each lower layer
    for step, span in ((np.array([0, 1, -1, 0]), 0.007), (np.array([1, 0, 0, 1]), 0.007)):
        trials = [best + np.concatenate([f * span * step, np.zeros(size - 4)]) for f in (-1, -0.5, 0, 0.5, 1)]
        best = min(trials, key=cost)
    for number in range(1, len(turns)):
        place = 4 + 2 * (number - 1)
        trials = []
        for rotation in np.deg2rad(np.linspace(-TWIST_RANGE, TWIST_RANGE, 7)):
            trial = best.copy()
            trial[place] = rotation
            trials.append(trial)
        best = min(trials, key=cost)
    simplex = np.vstack([best, best + np.diag([0.003] * 4 + [0.005, 0.004] * (len(turns) - 1))])
    result = minimize(
        cost,
        best,
        method="Nelder-Mead",
        options={"initial_simplex": simplex, "maxfev": 90, "xatol": 1e-4, "fatol": 1e-5},
    )
    return -float(result.fun), maps(result.x)


@dataclass(frozen=True)
class _Start:
    """Maps and origins (Å) of all layers, and how well they agree with the image."""

    linear: list[NDArray[np.float64]]
    origin: list[NDArray[np.float64]]
    agreement: float


def _origins(
    waves: Waves, stack: Stack, found: list[Nodes], linear: list[NDArray[np.float64]]
) -> list[_Start]:
    """Find the origins of all layers for every way that the stack may lie on its lattices, best first."""
    strongest = [_strongest(layer) for layer in found]
    starts = []
    for symmetries in _joint_symmetries(stack):
        turned = [m @ s for m, s in zip(linear, symmetries, strict=True)]
        k = np.concatenate([layer.g @ np.linalg.inv(m) for layer, m in zip(strongest, turned, strict=True)])
        amplitude, _ = waves.amplitudes(k)
        parts = np.split(amplitude, np.cumsum([len(layer.g) for layer in strongest])[:-1])
        origins, agreement = [], 0.0
        for layer, prior, m, part in zip(strongest, stack.layers, turned, parts, strict=True):
            fraction, value = match_origin(layer, part, prior.cell)
            origins.append(m @ (fraction @ prior.cell))
            agreement += value / float(np.linalg.norm(layer.factor) * np.linalg.norm(part) + 1e-30)
        starts.append(_Start(turned, origins, agreement / len(origins)))
    starts.sort(key=lambda start: -start.agreement)
    distinct: list[_Start] = []
    for start in starts:
        if not any(_same(start, other, stack) for other in distinct):
            distinct.append(start)
    return distinct


def _strongest(layer: Nodes) -> Nodes:
    few = slice(_PHASES)
    return Nodes(layer.hk[few], layer.g[few], layer.factor[few], layer.variants[:, few])


def _joint_symmetries(stack: Stack) -> list[tuple[NDArray[np.float64], ...]]:
    """Turns of the stack that carry every one of its lattices onto itself: one map for each layer."""
    joint = []
    for first in lattice_symmetries(stack.layers[0]):
        parts = [first]
        for layer, turn in zip(stack.layers[1:], _turns(stack)[1:], strict=True):
            wanted = turn.T @ first @ turn
            nearest = min(lattice_symmetries(layer), key=lambda s: float(np.abs(s - wanted).max()))
            if float(np.abs(nearest - wanted).max()) > np.deg2rad(TWIST_RANGE) / 2:
                break
            parts.append(nearest)
        else:
            joint.append(tuple(parts))
    return joint


def _locked(
    seen: View,
    model: LayerModel,
    stack: Stack,
    found: list[Nodes],
    start: _Start,
    *,
    one_by_one: bool = False,
) -> StackPose:
    """Lock every layer on what the others leave of the image; one by one, on what those before it leave."""
    flat = seen.flat
    linear, origin = list(start.linear), list(start.origin)
    order = list(range(len(linear)))
    placed: dict[int, Placement] = {}
    if one_by_one:
        order.sort(key=lambda number: -float(stack.layers[number].z_weights.max()))
    for _ in range(_PATIENT_ROUNDS if one_by_one else _ROUNDS):
        for number in order:
            there = [n for n in order if n == number or n in placed or not one_by_one]
            layers = [
                Layer(stack.layers[n], Pose(linear[n] / flat.pixel_size, origin[n] / flat.pixel_size))
                for n in there
            ]
            rest = seen
            if len(there) > 1:
                left = model.without_others(layers, only=there.index(number))[0]
                rest = view(Flattened(left, flat.pixel_size, flat.binning))
            layer = stack.layers[number]
            locked = lock(rest, found[number], layer, linear[number])
            # locking may have chosen another orientation of the basis: take the one that the stack has
            kept = min(
                lattice_symmetries(layer),
                key=lambda s: float(np.abs(locked.linear @ s - linear[number]).max()),
            )
            placement = locked.placement(kept)
            placed[number] = placement
            linear[number], origin[number] = placement.linear, placement.origin
    poses = tuple(to_pose(placed[number], flat) for number in range(len(linear)))
    return StackPose(poses, min(pose.score for pose in poses))


def _needed(result: StackPose, seen: View, model: LayerModel, stack: Stack, found: list[Nodes]) -> StackPose:
    """Lower the score of a stack on an image that one layer alone explains about as well.

    Two lattices that lie close can share what one of them has made, so each fits what the other leaves.
    """
    flat = seen.flat
    layers = _layers(stack, result, flat)
    together = model.explained(layers)
    power = np.array(
        [
            (layer.z_weights.sum() / layer.area) ** 2 * float((np.abs(n.factor) ** 2).sum())
            for layer, n in zip(stack.layers, found, strict=True)
        ]
    )
    alone = 0.0
    for number, layer in enumerate(stack.layers):
        linear, _ = from_pose(result.poses[number], flat)
        # a lone lattice lies between those that share it, in whatever basis they are described
        others = [_nearest(linear, from_pose(pose, flat)[0], layer) for pose in result.poses]
        for other in others:
            start = (linear + other) / 2
            locked = lock(seen, found[number], layer, start)
            placements = [locked.placement(symmetry) for symmetry in lattice_symmetries(layer)]
            best = max(placements, key=lambda placement: placement.evidence.agreement)
            pose = to_pose(best, flat).scaled(1 / flat.binning)
            alone = max(alone, model.explained([Layer(layer, pose)]))
    expected = 1 - float(power.max() / power.sum())
    gain = (together - alone) / max(together, 1e-6) / expected
    return StackPose(result.poses, result.score * float(1 / (1 + np.exp(-(gain - _GAIN) / 0.05))))


def _nearest(
    linear: NDArray[np.float64], other: NDArray[np.float64], layer: StructurePrior
) -> NDArray[np.float64]:
    """Return the map of another layer in the basis in which it lies nearest; the own one if it lies far."""
    best = min(
        (other @ symmetry for symmetry in lattice_symmetries(layer)),
        key=lambda m: float(np.abs(m - linear).max()),
    )
    return best if float(np.abs(best - linear).max()) < _NEAR else linear


def _layers(stack: Stack, result: StackPose, flat: Flattened) -> list[Layer]:
    return [
        Layer(layer, pose.scaled(1 / flat.binning))
        for layer, pose in zip(stack.layers, result.poses, strict=True)
    ]


def _is_homobilayer(stack: Stack) -> bool:
    """Tell whether the stack is two layers of the same material."""
    if len(stack.layers) != 2:
        return False
    upper, lower = stack.layers
    return np.array_equal(upper.cell, lower.cell) and all(
        a.composition == b.composition and a.position == b.position
        for a, b in zip(upper.columns, lower.columns, strict=True)
    )


def _both_ways_up(best: StackPose, model: LayerModel, stack: Stack) -> list[StackPose]:
    """Two like layers fit either way up; the brighter one is nearer to the entrance, where less is lost."""
    flat = model.flat
    layers = [
        Layer(layer, pose.scaled(1 / flat.binning))
        for layer, pose in zip(stack.layers, best.poses, strict=True)
    ]
    upper, lower = model.brightness(layers)
    right = best if upper >= lower else StackPose(best.poses[::-1], best.score)
    return [right, StackPose(right.poses[::-1], _UPSIDE_DOWN * right.score)]


def _same(first: _Start, second: _Start, stack: Stack) -> bool:
    """Tell whether two starts put the same columns of every layer in the same places."""
    for number, layer in enumerate(stack.layers):
        inverse = np.linalg.inv(second.linear[number])
        places = layer.positions @ first.linear[number].T + first.origin[number]
        fraction = (places - second.origin[number]) @ inverse.T @ np.linalg.inv(layer.cell)
        gap = fraction[:, None] - layer.fractional[None]
        distance = np.linalg.norm((gap - np.round(gap)) @ layer.cell, axis=-1)
        nearest = distance.argmin(1)
        same = np.abs(layer.z_weights[nearest] / layer.z_weights - 1) < 1e-3
        alike = same_lattice(first.linear[number], second.linear[number], layer.cell)
        if not (alike and same.all() and distance.min(1).max() < 0.3):
            return False
    return True
