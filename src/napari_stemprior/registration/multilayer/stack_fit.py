"""Place the layers of a stack on an image, each with its own lattice.

The reflections of two lattices that are little twisted lie closer than the image resolves. So the lattices
are looked for together, as waves whose amplitudes are fitted at once: a reflection counts for what it
explains beyond the others. Then each layer is locked on the image from which the others have been taken out.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

from napari_stemprior.progress import Progress, drain
from napari_stemprior.recording import PreparedImage
from napari_stemprior.registration.decision.pose_candidate import Judge, PoseCandidate, to_pose
from napari_stemprior.registration.fourier.features import FourierFeatures, fourier_features
from napari_stemprior.registration.fourier.lattice_symmetries import lattice_symmetries
from napari_stemprior.registration.fourier.normalized_image import (
    NormalizedImage,
    check_pixel_size,
    prepared_image,
    preprocess,
)
from napari_stemprior.registration.fourier.reflections import Reflections, list_reflections
from napari_stemprior.registration.gpa.lock_in import lock_in
from napari_stemprior.registration.multilayer.layer_fit import Layer, LayerModel
from napari_stemprior.registration.multilayer.plane_waves import PlaneWaveFit
from napari_stemprior.registration.multilayer.search import (
    Start,
    joint_power,
    orientations,
    origins,
    unfolded,
)
from napari_stemprior.registration.pose import Pose
from napari_stemprior.registration.stage import FITTING
from napari_stemprior.structure import Prior, StructurePrior
from napari_stemprior.structure.stack import rotation

#: A hand is trusted within so many degrees and this relative scale.
_ANGLES, _LENGTHS = np.arange(-4.0, 4.1, 0.5), np.arange(0.96, 1.041, 0.01)
#: Joint orientations that are carried from the waves to the origins.
_ORIGINS = 2
#: A start whose origins agree by so much worse than the best one's is not carried on.
_WORSE = 0.1
#: A stack must explain more than its strongest layer alone, by this part of what the other layers should add.
_GAIN = 0.45
#: Lattices whose maps differ by more can no longer be taken for one.
_NEAR = 0.12
#: What remains of a score when two like layers are taken the wrong way up.
_UPSIDE_DOWN = 0.98
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

    @property
    def reservations(self) -> tuple[str, ...]:
        """What is doubtful about the fits of the layers, a sentence each."""
        return tuple(dict.fromkeys(sentence for pose in self.poses for sentence in pose.reservations))


def register_stack(
    image: ArrayLike | PreparedImage, pixel_size: float, stack: Prior, candidates: int = 4
) -> list[StackPose]:
    """Find how the lattices of a stack lie on an image.

    Parameters
    ----------
    image : (H, W) array-like, or PreparedImage
        As `fit_lattice` takes it.
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
    MicrographError, RegistrationError, PixelSizeError
        As `fit_lattice` does.
    """
    return drain(register_stack_steps(image, pixel_size, stack, candidates))


def register_stack_steps(
    image: ArrayLike | PreparedImage, pixel_size: float, stack: Prior, candidates: int = 4
) -> Generator[Progress, None, list[StackPose]]:
    """Find how the lattices of a stack lie on an image, step by step; see `register_stack`."""
    array = prepared_image(image)
    size = min(check_pixel_size(array.shape, pixel_size, layer) for layer in stack.layers)
    yield FITTING
    normalized = preprocess(array, size)
    features = yield from fourier_features(normalized)
    reflections = [list_reflections(layer, features.resolution) for layer in stack.layers]
    yield FITTING
    waves = PlaneWaveFit(normalized)
    yield FITTING
    joints = []
    for joint in orientations(features, stack, reflections):
        yield FITTING
        joints.append(unfolded(waves, stack, reflections, joint))
    joints.sort(key=lambda item: -item[0])
    starts: list[Start] = []
    for _, linear in joints[:_ORIGINS]:
        yield FITTING
        starts += origins(waves, stack, reflections, linear)[: max(1, candidates)]
    starts.sort(key=lambda start: -start.agreement)
    starts = [s for s in starts if s.agreement > starts[0].agreement - _WORSE][: max(1, candidates)]
    model = LayerModel(normalized)
    results = []
    for start in starts:
        results.append((yield from _judged(features, model, stack, reflections, start)))
    if not any(r.is_fit for r in results):  # lattices that coincide have origins that waves cannot tell apart
        for start in starts[:2]:
            work = _judged(features, model, stack, reflections, start, one_by_one=True)
            results.append((yield from work))
    results.sort(key=lambda result: -result.score)
    if _is_homobilayer(stack):
        results = _both_ways_up(results[0], model, stack)
    return results[: max(1, candidates)]


def refine_stack_poses(
    image: ArrayLike | PreparedImage, pixel_size: float, stack: Prior, poses: Sequence[Pose]
) -> StackPose:
    """Fit the lattices of a stack near poses that a person has set.

    The stack is turned within some 4 degrees and scaled within 4 % as a whole, and each twist is fitted
    near the stated one; which way round the layers lie is kept, and so are the cells of their origins.

    Parameters
    ----------
    image : (H, W) array-like, or PreparedImage
        As `fit_lattice` takes it.
    pixel_size : float
        Å per pixel that the image is believed to have.
    stack : Stack
    poses : sequence of Pose
        One a layer; the scale of the first is believed over `pixel_size`.

    Returns
    -------
    StackPose
        Judged as `register_stack` does: one layer alone is no stack.

    Raises
    ------
    MicrographError, RegistrationError, PixelSizeError
        As `fit_lattice` does.
    """
    array = prepared_image(image)
    for layer in stack.layers:
        check_pixel_size(array.shape, pixel_size, layer)
    normalized = preprocess(
        array, min(check_pixel_size(array.shape, poses[0].pixel_size, p) for p in stack.layers)
    )
    features = drain(fourier_features(normalized))
    reflections = [list_reflections(layer, features.resolution) for layer in stack.layers]
    linear, _ = normalized.in_angstrom(poses[0])
    turned = np.array([scale * rotation(angle) @ linear for angle in _ANGLES for scale in _LENGTHS])
    near = turned[int(joint_power(features, stack, reflections, turned).argmax())]
    waves = PlaneWaveFit(normalized)
    _, maps = unfolded(waves, stack, reflections, near)
    (start,) = origins(waves, stack, reflections, maps, as_it_lies=True)
    result = drain(_judged(features, LayerModel(normalized), stack, reflections, start))
    placed = []
    for layer, own, hand in zip(stack.layers, result.poses, poses, strict=True):
        cells = np.round(own.to_angstrom(hand.origin) @ np.linalg.inv(layer.cell))
        placed.append(Pose(own.affine, own.to_pixels(cells @ layer.cell), own.score, own.reservations))
    return StackPose(tuple(placed), result.score)


def separated(
    image: ArrayLike | PreparedImage, pixel_size: float, stack: Prior, poses: Sequence[Pose]
) -> tuple[list[PreparedImage], float, int]:
    """Return for each layer the normalised image without the other layers.

    Parameters
    ----------
    image : (H, W) array-like, or PreparedImage
    pixel_size : float
        Å per pixel.
    stack : Stack
    poses : sequence of Pose
        One a layer.

    Returns
    -------
    images : list of PreparedImage
    pixel_size : float
        Å per pixel of these.
    binning : int
        Pixels of the image along one side of theirs.
    """
    normalized = preprocess(prepared_image(image), pixel_size)
    layers = [
        Layer(layer, pose.scaled(1 / normalized.binning))
        for layer, pose in zip(stack.layers, poses, strict=True)
    ]
    valid = None if normalized.weight is None else normalized.weight > 0.5
    parts = [PreparedImage.of(part, valid) for part in LayerModel(normalized).without_others(layers)]
    return parts, normalized.pixel_size, normalized.binning


def _judged(
    features: FourierFeatures,
    model: LayerModel,
    stack: Prior,
    reflections: list[Reflections],
    start: Start,
    *,
    one_by_one: bool = False,
) -> Generator[Progress, None, StackPose]:
    """Lock a start; what fits is asked whether it is more than one layer."""
    locked = yield from _locked(features, model, stack, reflections, start, one_by_one=one_by_one)
    if not locked.is_fit:
        return locked
    return (yield from _needed(locked, features, model, stack, reflections))


def _locked(
    features: FourierFeatures,
    model: LayerModel,
    stack: Prior,
    reflections: list[Reflections],
    start: Start,
    *,
    one_by_one: bool = False,
) -> Generator[Progress, None, StackPose]:
    """Lock every layer on what the others leave of the image; one by one, on what those before it leave."""
    normalized = features.normalized
    linear, origin = list(start.linear), list(start.origin)
    order = list(range(len(linear)))
    placed: dict[int, PoseCandidate] = {}
    if one_by_one:
        order.sort(key=lambda number: -float(stack.layers[number].z_weights.max()))
    for _ in range(_PATIENT_ROUNDS if one_by_one else _ROUNDS):
        for number in order:
            there = [n for n in order if n == number or n in placed or not one_by_one]
            layers = [
                Layer(
                    stack.layers[n],
                    Pose(linear[n] / normalized.pixel_size, origin[n] / normalized.pixel_size),
                )
                for n in there
            ]
            yield FITTING
            rest = features
            if len(there) > 1:
                left = model.without_others(layers, only=there.index(number))[0]
                rest = yield from fourier_features(replace(normalized, image=left))
            layer = stack.layers[number]
            locked = yield from lock_in(rest, reflections[number], layer, linear[number])
            # which way round the basis lies is kept as the stack has it
            yield FITTING
            candidate = Judge(rest, locked).nearest(linear[number])
            placed[number] = candidate
            linear[number], origin[number] = candidate.linear, candidate.origin
    poses = tuple(to_pose(placed[n], normalized, layer) for n, layer in enumerate(stack.layers))
    return StackPose(poses, min(pose.score for pose in poses))


def _needed(
    result: StackPose,
    features: FourierFeatures,
    model: LayerModel,
    stack: Prior,
    reflections: list[Reflections],
) -> Generator[Progress, None, StackPose]:
    """Lower the score of a stack on an image that one layer alone explains about as well.

    Two lattices that lie close can share what one of them has made, so each fits what the other leaves.
    """
    normalized = features.normalized
    layers = _layers(stack, result, normalized)
    yield FITTING
    together = model.explained_variance(layers)
    yield FITTING
    power = np.array(
        [
            (layer.z_weights.sum() / layer.area) ** 2 * float((np.abs(n.factor) ** 2).sum())
            for layer, n in zip(stack.layers, reflections, strict=True)
        ]
    )
    alone = 0.0
    for number, layer in enumerate(stack.layers):
        linear, _ = normalized.in_angstrom(result.poses[number])
        # a lone lattice lies between those that share it, in whatever basis they are described
        others = [_nearest(linear, normalized.in_angstrom(pose)[0], layer) for pose in result.poses]
        for other in others:
            start = (linear + other) / 2
            judge = Judge(features, (yield from lock_in(features, reflections[number], layer, start)))
            yield FITTING
            candidates = [judge.candidate(symmetry) for symmetry in lattice_symmetries(layer)]
            best = max(candidates, key=lambda candidate: candidate.quality.agreement)
            pose = to_pose(best, normalized, layer).scaled(1 / normalized.binning)
            yield FITTING
            alone = max(alone, model.explained_variance([Layer(layer, pose)]))
    expected = 1 - float(power.max() / power.sum())
    gain = (together - alone) / max(together, 1e-6) / expected
    needed = float(expit((gain - _GAIN) / 0.05))
    # a fit stays one, reservation or not, as long as more layers than one are needed
    score = 0.5 + (result.score - 0.5) * needed if needed > 0.5 else result.score * needed
    return StackPose(result.poses, score)


def _nearest(
    linear: NDArray[np.float64], other: NDArray[np.float64], layer: StructurePrior
) -> NDArray[np.float64]:
    """Return the map of another layer in the basis in which it lies nearest; the own one if it lies far."""
    best = min(
        (other @ symmetry for symmetry in lattice_symmetries(layer)),
        key=lambda m: float(np.abs(m - linear).max()),
    )
    return best if float(np.abs(best - linear).max()) < _NEAR else linear


def _layers(stack: Prior, result: StackPose, normalized: NormalizedImage) -> list[Layer]:
    return [
        Layer(layer, pose.scaled(1 / normalized.binning))
        for layer, pose in zip(stack.layers, result.poses, strict=True)
    ]


def _is_homobilayer(stack: Prior) -> bool:
    """Tell whether the stack is two layers of the same material."""
    if len(stack.layers) != 2:
        return False
    upper, lower = stack.layers
    return np.array_equal(upper.cell, lower.cell) and all(
        a.composition == b.composition and a.position == b.position
        for a, b in zip(upper.columns, lower.columns, strict=True)
    )


def _both_ways_up(best: StackPose, model: LayerModel, stack: Prior) -> list[StackPose]:
    """Two like layers fit either way up; the brighter one is nearer to the entrance, where less is lost."""
    normalized = model.normalized
    layers = [
        Layer(layer, pose.scaled(1 / normalized.binning))
        for layer, pose in zip(stack.layers, best.poses, strict=True)
    ]
    upper, lower = model.brightness(layers)
    right = best if upper >= lower else StackPose(best.poses[::-1], best.score)
    return [right, StackPose(right.poses[::-1], _UPSIDE_DOWN * right.score)]
