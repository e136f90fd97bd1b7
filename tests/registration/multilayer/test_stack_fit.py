"""Both lattices of a stack, also where reflections are not resolved, and none where there is one layer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from gaussian_scene import counted, render

from napari_stemprior.errors import PixelSizeError
from napari_stemprior.io import read_micrograph
from napari_stemprior.registration import Pose
from napari_stemprior.registration.multilayer.stack_fit import (
    StackPose,
    refine_stack_poses,
    register_stack,
    separated,
)
from napari_stemprior.structure import Stack, load_prior

PIXEL = 0.16
SHAPE = (320, 320)


def a_stack(name: str) -> Stack:
    stack = load_prior(name)
    assert isinstance(stack, Stack)
    return stack


def scene(
    stack: Stack,
    *,
    angle: float = 20.0,
    mirrored: bool = False,
    dose: float = 2e4,
    off: float = 0.0,
    keep: tuple[int, ...] = (0, 1),
) -> tuple[np.ndarray, list[Pose]]:
    """Counts of a stack whose lower layer is dimmer, twisted by `off` degrees more than stated."""
    base = Pose.from_angle(angle, PIXEL, (41.3, 77.7), mirrored=mirrored)
    image, poses = np.zeros(SHAPE), []
    brightest = max(layer.z_weights.max() for layer in stack.layers)
    for number, layer in enumerate(stack.layers):
        t = np.deg2rad(stack.twists[number] + (off if number else 0))
        turn = np.array([[np.cos(t), -np.sin(t)], [np.sin(t), np.cos(t)]])
        pose = Pose(base.affine @ turn, base.origin + np.array([5.1, -3.2]) * number)
        poses.append(pose)
        if number in keep:
            weight = layer.z_weights.max() / brightest * (0.88 if number else 1.0)
            image += weight * render(layer, pose, SHAPE, PIXEL)
    return counted(image, dose, PIXEL), poses


def farthest(stack: Stack, found: StackPose, true: list[Pose]) -> float:
    """Largest distance in Å of a true column from the found one of the same kind."""
    worst = 0.0
    for layer, one, other in zip(stack.layers, found.poses, true, strict=True):
        yx, index = other.columns(layer, SHAPE)
        own, kind = one.columns(layer, SHAPE, margin=20)
        for column in range(len(layer.columns)):
            gap = yx[index == column][:, None] - own[kind == column][None]
            worst = max(worst, float(np.linalg.norm(gap, axis=-1).min(axis=1).max()) * PIXEL)
    return worst


@pytest.mark.parametrize(
    ("name", "mirrored", "off"),
    [
        ("MoS2/WS2 twist 8", False, 0.6),
        ("MoS2/WS2 twist 3.1", True, -0.4),
        ("MoSe2/WS2 twist 57", False, 0.3),
        ("WSe2/WSe2 twist 21.79", True, 0.0),
        ("MoS2/MoS2 twist 3.1", False, 0.0),
    ],
)
def test_every_layer_is_found_to_a_tenth(name: str, mirrored: bool, off: float) -> None:
    """At 3.1 degrees the strongest reflections lie 0.02 / Å apart, which 51 Å do not resolve."""
    stack = a_stack(name)
    image, true = scene(stack, mirrored=mirrored, off=off)
    best = register_stack(image, PIXEL, stack)[0]
    assert best.is_fit
    assert farthest(stack, best, true) < 0.15


def test_the_other_layers_are_taken_out() -> None:
    stack = a_stack("MoS2/WS2 twist 8")
    image, true = scene(stack, dose=1e6)
    parts, size, binning = separated(image, PIXEL, stack, true)
    assert (size, binning) == (PIXEL, 1)
    for number in (0, 1):
        alone, _ = scene(stack, dose=1e6, keep=(number,))
        expected, _, _ = separated(alone, PIXEL, stack, true)
        other = 1 - number
        middle = (slice(20, -20), slice(20, -20))

        def likeness(one: np.ndarray, two: np.ndarray, part: tuple[slice, slice] = middle) -> float:
            return float(np.corrcoef(one[part].ravel(), two[part].ravel())[0, 1])

        assert likeness(parts[number].image, expected[number].image) > 0.9
        assert abs(likeness(parts[other].image, expected[number].image)) < 0.3


@pytest.mark.slow
@pytest.mark.parametrize("name", ["MoS2/WS2 twist 3.1", "MoS2/MoS2 twist 21.79", "MoS2/WS2"])
def test_one_layer_is_no_stack(name: str) -> None:
    stack = a_stack(name)
    for keep in ((0,), (1,)):
        image, _ = scene(stack, keep=keep)
        assert not register_stack(image, PIXEL, stack)[0].is_fit


@pytest.mark.slow
def test_noise_and_other_materials_are_no_stack() -> None:
    stack = a_stack("MoS2/WS2 twist 3.1")
    noise = np.random.default_rng(2).poisson(20, SHAPE).astype(np.float32)
    assert not register_stack(noise, PIXEL, stack)[0].is_fit
    image, _ = scene(a_stack("MoTe2/NbSe2 twist 12"))
    assert not register_stack(image, PIXEL, stack)[0].is_fit


def test_two_like_layers_are_offered_either_way_up() -> None:
    stack = a_stack("MoS2/MoS2 twist 9")
    image, true = scene(stack)
    first, second = register_stack(image, PIXEL, stack)
    assert first.score > second.score
    assert farthest(stack, StackPose(second.poses[::-1], 1.0), true) < 0.15
    assert len(register_stack(image, PIXEL, stack, candidates=1)) == 1


def test_too_small_a_field_is_said_of_the_layer() -> None:
    with pytest.raises(PixelSizeError, match="ReS2"):
        register_stack(np.eye(64), 0.2, a_stack("graphene/ReS2 twist 3"))


@pytest.mark.parametrize(("name", "mirrored"), [("MoS2/WS2 twist 3.1", False), ("MoSe2/WS2 twist 57", True)])
def test_a_hand_is_refined_to_a_tenth(name: str, mirrored: bool) -> None:
    stack = a_stack(name)
    image, true = scene(stack, mirrored=mirrored)
    t = np.deg2rad(1.7)
    turn = 1.015 * np.array([[np.cos(t), -np.sin(t)], [np.sin(t), np.cos(t)]])
    hand = [Pose(turn @ p.affine, turn @ (p.origin - 160) + 160 + 2.0) for p in true]
    assert farthest(stack, StackPose(tuple(hand), 0.0), true) > 1.0
    best = refine_stack_poses(image, PIXEL, stack, hand)
    assert best.is_fit
    assert farthest(stack, best, true) < 0.15
    for own, given in zip(best.poses, true, strict=True):
        assert abs(own.angle - given.angle) < 1
        assert np.linalg.norm(own.origin - given.origin) * PIXEL < 4


def test_a_hand_on_one_layer_makes_no_stack() -> None:
    stack = a_stack("MoS2/WS2 twist 3.1")
    for keep in ((0,), (1,)):
        image, true = scene(stack, keep=keep)
        assert not refine_stack_poses(image, PIXEL, stack, true).is_fit


@pytest.mark.slow
@pytest.mark.parametrize("name", ["MoS2/WS2 twist 3.1", "WS2/MoS2 twist 57", "MoS2/WS2"])
def test_a_real_monolayer_is_no_stack(name: str) -> None:
    sample = Path(__file__).parents[3] / "sample_data" / "example_Se_implanted_MoS2.dm3"
    micrograph = read_micrograph(sample)
    assert micrograph.pixel_size is not None
    part = micrograph.image[256:768, 256:768]  # a hole and dopants are in it
    stack = a_stack(name)
    best = register_stack(part, micrograph.pixel_size, stack)[0]
    assert not best.is_fit
    assert not refine_stack_poses(part, micrograph.pixel_size, stack, best.poses).is_fit
