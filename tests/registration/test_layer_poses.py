"""One pose of a prior and what becomes of it for each of its layers."""

from __future__ import annotations

import numpy as np
import pytest

from napari_stemprior.registration import LatticeFit, Pose
from napari_stemprior.registration.lattice_fit import layer_poses, straight_sites
from napari_stemprior.structure import built_in, load_prior

POSE = Pose.from_angle(12.0, 0.15, (30.0, 41.0))


def test_a_crystal_keeps_the_pose() -> None:
    (pose,) = layer_poses(built_in("MoS2"), POSE)
    np.testing.assert_array_equal(pose.affine, POSE.affine)
    np.testing.assert_array_equal(pose.origin, POSE.origin)


def test_a_lower_layer_is_turned_and_shifted_in_the_frame_of_the_first() -> None:
    first, second = layer_poses(load_prior("MoS2/WS2 twist 3 shift 1.0,-0.5"), POSE)
    np.testing.assert_allclose(first.affine, POSE.affine)
    np.testing.assert_allclose(second.origin, POSE.to_pixels((1.0, -0.5)))
    # anticlockwise in the plane of the prior is from x towards y, as angles of a pose count
    assert second.angle - POSE.angle == pytest.approx(3.0)
    assert second.pixel_size == pytest.approx(POSE.pixel_size)


def test_the_sites_of_a_layer_alone_are_the_columns_of_that_layer() -> None:
    stack = load_prior("MoS2/WS2 twist 3")
    poses = layer_poses(stack, POSE)
    below = LatticeFit(stack, poses[1:], only_layer=1)
    assert below.first_columns == (2,)
    whole, alone = straight_sites(LatticeFit(stack, poses), (80, 90)), straight_sites(below, (80, 90))
    np.testing.assert_array_equal(alone.yx, whole.yx[whole.layer == 1])
    np.testing.assert_array_equal(alone.column, whole.column[whole.layer == 1])
    assert set(alone.layer) == {1}
