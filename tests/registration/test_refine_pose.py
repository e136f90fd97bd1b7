from __future__ import annotations

import numpy as np
import pytest
from gaussian_scene import counted, render, worst
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_stemprior.errors import MicrographError, PixelSizeError
from napari_stemprior.registration import Pose
from napari_stemprior.registration.refine_pose import refine_pose
from napari_stemprior.structure import built_in

PIXEL = 0.2
SHAPE = (224, 240)


@settings(max_examples=10)
@given(
    name=st.sampled_from(["MoS2", "SrTiO3 [001]", "Si [110]"]),
    angle=st.floats(-180, 180),
    turn=st.floats(-3, 3),
    scale=st.floats(0.97, 1.03),
    mirrored=st.booleans(),
)
def test_a_lattice_set_by_hand_snaps_to_the_image(name, angle, turn, scale, mirrored):
    prior = built_in(name)
    true = Pose.from_angle(angle, PIXEL, (60, 70), mirrored=mirrored)
    image = counted(render(prior, true, SHAPE, PIXEL), 2000, PIXEL)
    hand = Pose.from_angle(angle + turn, PIXEL * scale, (63, 68), mirrored=mirrored)
    found = refine_pose(image, PIXEL, prior, hand)
    assert found.is_fit
    assert worst(prior, true, found, SHAPE, PIXEL) < 0.2
    # the orientation of the basis and the cell of the origin stay as they were set
    assert found.mirrored is mirrored
    assert abs((found.angle - angle + 180) % 360 - 180) < 0.3
    # no lattice point is nearer to the hand's origin
    shifts = np.array([(1, 0), (0, 1), (1, 1), (1, -1)]) @ prior.cell @ found.affine.T
    apart = np.linalg.norm(found.origin - hand.origin)
    longest = np.linalg.norm(shifts, axis=1).max()
    assert apart < 0.75 * longest


def test_a_wrong_half_turn_set_by_hand_is_kept_and_scores_less():
    prior = built_in("MoS2")
    image = counted(render(prior, Pose.from_angle(20, PIXEL, (60, 70)), SHAPE, PIXEL), 3000, PIXEL)
    right = refine_pose(image, PIXEL, prior, Pose.from_angle(21, PIXEL, (60, 70)))
    turned = refine_pose(image, PIXEL, prior, Pose.from_angle(201, PIXEL, (60, 70)))
    assert abs(right.angle - 20) < 0.3
    assert abs(turned.angle + 160) < 0.3
    assert right.score > turned.score + 0.1


def test_far_from_the_lattice_there_is_no_fit():
    prior = built_in("SrTiO3 [001]")
    image = counted(render(prior, Pose.from_angle(0, PIXEL), SHAPE, PIXEL), 3000, PIXEL)
    assert not refine_pose(image, PIXEL, prior, Pose.from_angle(22, PIXEL)).is_fit


def test_bad_input_is_refused():
    prior = built_in("MoS2")
    with pytest.raises(MicrographError, match="No pixel"):
        refine_pose(np.full(SHAPE, np.nan), PIXEL, prior, Pose.from_angle(0, PIXEL))
    with pytest.raises(PixelSizeError, match="positive"):
        refine_pose(np.eye(100), 0.0, prior, Pose.from_angle(0, PIXEL))
    with pytest.raises(PixelSizeError, match="less than three"):
        refine_pose(np.eye(100), PIXEL, prior, Pose.from_angle(0, 1.9))
