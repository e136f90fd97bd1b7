from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from napari_stemprior.structure.lattice_points import lattice_points

CELL = np.array([[3.1, 0.0], [-1.4, 2.7]])


@given(
    st.floats(0, 360),
    st.floats(5, 12),
    st.tuples(st.floats(-200, 200), st.floats(-200, 200)),
    st.booleans(),
    st.integers(1, 4),
    st.integers(0, 2**31),
)
def test_the_points_in_a_rectangle_are_those_of_a_wide_enough_patch(
    angle, scale, origin, mirrored, count, seed
):
    t = np.deg2rad(angle)
    affine = scale * np.array([[np.sin(t), np.cos(t)], [np.cos(t), -np.sin(t)]])
    if mirrored:
        affine = affine @ np.diag([1.0, -1.0])
    fractional = np.random.default_rng(seed).uniform(-0.3, 1.6, (count, 2))
    low, high = np.array([-7.0, 3.0]), np.array([31.0, 64.0])
    yx, index = lattice_points(fractional, CELL, affine, np.array(origin), low, high)

    steps = np.arange(-40, 41)
    cells = np.stack(np.meshgrid(steps, steps, indexing="ij"), -1).reshape(-1, 1, 2)
    every = (cells + fractional).reshape(-1, 2) @ CELL @ affine.T + np.array(origin)
    of = np.tile(np.arange(count), len(cells))
    inside = ((every >= low) & (every < high)).all(axis=1)
    np.testing.assert_allclose(yx, every[inside], atol=1e-9)
    np.testing.assert_array_equal(index, of[inside])


def test_a_rectangle_without_area_holds_nothing():
    yx, index = lattice_points(np.zeros((1, 2)), CELL, np.eye(2)[::-1], np.zeros(2), (5, 5), (5, 9))
    assert yx.shape == (0, 2)
    assert index.shape == (0,)
