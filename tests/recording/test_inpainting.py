"""Bad pixels are filled, good ones stay."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pictures import counts, crystal

from napari_stemprior.recording.inpainting import inpaint

IMAGE = counts(crystal((96, 128)))


@given(seed=st.integers(0, 1000), share=st.floats(0.001, 0.95))
def test_good_pixels_stay_and_the_rest_lies_between_them(seed, share):
    valid = np.random.default_rng(seed).random(IMAGE.shape) > share
    filled = inpaint(np.where(valid, IMAGE, np.float32(np.nan)), valid)
    np.testing.assert_array_equal(filled[valid], IMAGE[valid])
    assert IMAGE.min() - 0.01 <= filled.min()
    assert filled.max() <= IMAGE.max() + 0.01


def test_without_bad_pixels_it_is_the_same_array():
    assert inpaint(IMAGE, np.ones(IMAGE.shape, bool)) is IMAGE


def test_a_lone_pixel_is_interpolated():
    ramp = np.tile(np.arange(64, dtype=np.float32), (64, 1))
    valid = np.ones(ramp.shape, bool)
    valid[30, 30] = False
    assert inpaint(ramp, valid)[30, 30] == pytest.approx(30, abs=1e-3)


def test_a_wide_area_fades_to_the_mean():
    valid = np.zeros((96, 128), bool)
    valid[:, :16] = True
    filled = inpaint(IMAGE, valid)
    assert np.isfinite(filled).all()
    assert abs(filled[:, 100:].mean() - IMAGE[valid].mean()) < 0.3 * IMAGE[valid].mean()


def test_nothing_to_fill_from():
    with pytest.raises(ValueError, match="No pixel"):
        inpaint(IMAGE, np.zeros(IMAGE.shape, bool))
