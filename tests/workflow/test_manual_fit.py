import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_stemprior.registration import Pose
from napari_stemprior.structure import built_in
from napari_stemprior.workflow.manual_fit import (
    dragged,
    moving,
    retyping,
    start_pose,
    transformed,
    turning,
    what_changed,
    with_origin_near,
)

angles = st.floats(-179, 179)
places = st.tuples(st.floats(-50, 300), st.floats(-50, 300))
scales = st.floats(0.5, 2.0)


@given(angles, angles, places, places, scales)
def test_turning_turns_the_pose_and_keeps_the_pivot(angle, more, origin, pivot, scale):
    pose = Pose.from_angle(angle, 0.2, origin)
    here = pose.to_angstrom(pivot)
    turned = transformed(pose, turning(more, pivot, scale))
    np.testing.assert_allclose(turned.to_pixels(here), pivot, atol=1e-6)
    assert (turned.angle - angle - more + 180) % 360 - 180 == pytest.approx(0, abs=1e-6)
    assert turned.pixel_size == pytest.approx(0.2 / scale)
    assert turned.score == 0, "nobody has judged it"


@given(angles, places, angles, st.booleans(), st.booleans(), scales, places)
def test_a_pose_gets_what_was_typed(angle, origin, typed, mirrored, flipped, scale, place):
    pose = Pose.from_angle(angle, 0.21, origin, mirrored=mirrored)
    matrix = retyping(pose, 0.2, angle=typed, mirrored=flipped, scale=scale, origin=place)
    result = transformed(pose, matrix)
    assert (result.angle - typed + 180) % 360 - 180 == pytest.approx(0, abs=1e-6)
    assert result.mirrored == flipped
    assert result.pixel_size == pytest.approx(0.2 / scale)
    np.testing.assert_allclose(result.origin, place, atol=1e-6)


@given(angles, places, places)
def test_another_corner_is_the_same_lattice(angle, origin, place):
    prior = built_in("MoS2")
    pose = Pose.from_angle(angle, 0.2, origin)
    near = with_origin_near(pose, prior, place)
    steps = pose.to_angstrom(near.origin) @ np.linalg.inv(prior.cell)
    np.testing.assert_allclose(steps, np.rint(steps), atol=1e-6)
    assert np.linalg.norm(near.origin - place) * 0.2 < np.linalg.norm(prior.cell, axis=1).max()


def test_a_drag_moves_turns_or_scales():
    pivot = (10.0, 10.0)
    np.testing.assert_allclose(dragged((3, 4), (5, 9), pivot, "move"), moving((2, 5)))
    quarter = dragged((10, 20), (20, 10), pivot, "turn")
    np.testing.assert_allclose(quarter, turning(90.0, pivot), atol=1e-12)
    np.testing.assert_allclose(dragged((10, 20), (10, 25), pivot, "scale"), turning(0, pivot, 1.5))
    near = dragged((10, 10.001), (10, 40), pivot, "scale")
    assert np.linalg.norm(near[:2, 0]) <= 2.0, "a drag from the pivot does not blow the lattice up"


def test_what_a_refinement_changed_is_said():
    before = Pose.from_angle(10.0, 0.2, (5.0, 5.0))
    after = Pose.from_angle(10.5, 0.198, (5.0, 6.0), score=0.9)
    text = what_changed(before, after, 0.2, (5.0, 5.0))
    assert text == "moved by 0.20 Å, turned by +0.50°, scaled by +1.01 %"
    assert what_changed(before, before, 0.2, (5.0, 5.0)) == "nothing had to change"
    turn = Pose.from_angle(179.9, 0.2), Pose.from_angle(-179.9, 0.2)
    assert "+0.20°" in what_changed(*turn, 0.2, (0.0, 0.0))


def test_the_first_pose_lies_in_the_middle():
    np.testing.assert_allclose(start_pose((101, 51), 0.1).origin, (50, 25))
