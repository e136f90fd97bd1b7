"""Maxima and surroundings at some pixels are those of a filter of the whole map."""

import numpy as np
import pytest
from scipy.ndimage import maximum_filter

from napari_stemprior.inference.maxima import highest_around, is_peak


@pytest.mark.parametrize("size", [3, 5])
def test_it_is_the_maximum_filter_at_all_pixels(size: int) -> None:
    heat = np.random.default_rng(0).random((23, 31)).astype(np.float32)
    row, column = (one.ravel() for one in np.indices(heat.shape))
    found = highest_around(heat, row, column, size).reshape(heat.shape)
    np.testing.assert_array_equal(found, maximum_filter(heat, size))


def test_a_peak_is_the_highest_around_and_not_low() -> None:
    heat = np.random.default_rng(1).random((40, 40)).astype(np.float32) ** 4
    heat[10:12, 10] = 2.0  # two of one height are both
    expected = (heat == maximum_filter(heat, 3)) & (heat >= 0.1)
    np.testing.assert_array_equal(is_peak(heat), expected)
    assert is_peak(heat)[10:12, 10].all()
    assert not is_peak(np.full((5, 5), 0.05, np.float32)).any()
