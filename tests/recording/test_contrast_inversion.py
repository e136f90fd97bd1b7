"""Dark columns: made bright, and said."""

import numpy as np
import pytest

from napari_stemprior.io import Micrograph
from napari_stemprior.recording import inverted, prepare, remarks


@pytest.fixture
def dark():
    """Dark columns on bright ground, with a border without signal."""
    y, x = np.mgrid[:192, :192]
    bell = np.exp(-((y % 16 - 8) ** 2 + (x % 16 - 8) ** 2) / 8)
    image = np.random.default_rng(0).poisson(200 - 120 * bell).astype(np.float32)
    image[:12] = 0
    return image


def test_bright_and_dark_are_exchanged_within_the_same_range():
    image = np.array([[1.0, 4.0], [np.nan, 2.0]], np.float32)
    turned = inverted(image)
    assert turned.dtype == np.float32
    np.testing.assert_allclose(turned, [[4.0, 1.0], [np.nan, 3.0]])
    np.testing.assert_allclose(inverted(turned), image)
    assert np.isnan(inverted(np.full((2, 2), np.nan))).all()


def test_the_same_pixels_are_left_out_of_the_inverted_image(dark):
    before, after = prepare(dark), prepare(inverted(dark))
    assert before.skewness.dark
    assert not after.skewness.dark
    np.testing.assert_array_equal(before.valid, after.valid)
    assert not before.valid.all()


def test_dark_columns_are_said_once_with_what_to_do(dark):
    said = remarks(prepare(dark), "give --invert")
    assert [s for s in said if "dark" in s] == [
        "The columns look dark on bright ground, as in ABF or bright field; give --invert."
    ]
    assert any("border" in s for s in said)
    assert not any("dark" in s for s in remarks(prepare(inverted(dark)), "give --invert"))


def test_a_micrograph_knows_that_it_is_inverted(dark):
    recorded = Micrograph(dark, 0.1, metadata={"detector": "ABF"})
    turned = recorded.inverted()
    assert (recorded.is_inverted, turned.is_inverted, turned.inverted().is_inverted) == (False, True, False)
    assert turned.metadata["detector"] == "ABF"
    np.testing.assert_allclose(turned.inverted().image, dark)
