"""A region comes back exactly from its rectangles."""

import numpy as np
from hypothesis import given
from hypothesis.extra.numpy import arrays

from napari_stemprior.io.region import rectangles


@given(mask=arrays(bool, (9, 13)))
def test_rectangles_cover_the_mask_once(mask):
    count = np.zeros(mask.shape, int)
    for top, left, bottom, right in rectangles(mask):
        count[top : bottom + 1, left : right + 1] += 1
    np.testing.assert_array_equal(count, mask)


def test_a_rectangle_stays_one():
    mask = np.zeros((20, 30), bool)
    mask[3:9, 5:20] = True
    np.testing.assert_array_equal(rectangles(mask), [(3, 5, 8, 19)])
    assert len(rectangles(np.zeros((4, 4), bool))) == 0
