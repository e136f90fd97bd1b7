from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from napari_stemprior.structure import built_in
from napari_stemprior.structure.lattice_points import lattice_columns

STEPS = np.arange(-40, 41)
CELLS = np.stack(np.meshgrid(STEPS, STEPS, indexing="ij"), -1).reshape(-1, 1, 2)


@given(
    st.sampled_from(["MoS2", "SrTiO3 [110]", "Au [110]"]),
    st.floats(0, 360),
    st.floats(5, 12),
    st.tuples(st.floats(-150, 150), st.floats(-150, 150)),
    st.booleans(),
    st.floats(-9, 20),
)
def test_the_columns_on_an_image_are_those_of_a_wide_enough_patch(
    name, angle, scale, origin, mirrored, margin
):
    prior, shape = built_in(name), (31, 64)
    t = np.deg2rad(angle)
    affine = scale * np.array([[np.sin(t), np.cos(t)], [np.cos(t), -np.sin(t)]])
    if mirrored:
        affine = affine @ np.diag([1.0, -1.0])
    yx, index = lattice_columns(prior, affine, np.array(origin), shape, margin)

    every = (CELLS + prior.fractional).reshape(-1, 2) @ prior.cell @ affine.T + np.array(origin)
    column = np.tile(np.arange(len(prior.columns)), len(CELLS))
    low, high = -0.5 - margin, np.array(shape) - 0.5 + margin
    inside = ((every >= low) & (every < high)).all(axis=1)
    np.testing.assert_allclose(yx, every[inside], atol=1e-9)
    np.testing.assert_array_equal(index, column[inside])


def test_an_image_within_one_cell_may_hold_no_column():
    yx, index = lattice_columns(built_in("MoS2"), 100 * np.eye(2)[::-1], np.array([-9.0, -9.0]), (4, 4))
    assert yx.shape == (0, 2)
    assert index.shape == (0,)
