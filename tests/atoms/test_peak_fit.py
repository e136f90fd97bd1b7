import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_stemprior.atoms.peak_fit import brightness, snap


def spots(places, shape=(60, 70), sigma=2.2, noise=0.0):
    y, x = np.indices(shape)
    image = sum(np.exp(-((y - a) ** 2 + (x - b) ** 2) / (2 * sigma**2)) for a, b in places)
    return (image + noise * np.random.default_rng(0).normal(size=shape)).astype(np.float32)


@given(y=st.floats(25, 35), x=st.floats(25, 40), angle=st.floats(0, 6.28), far=st.floats(0, 4))
def test_a_click_near_an_atom_lands_on_it(y, x, angle, far):
    click = (y + far * np.sin(angle), x + far * np.cos(angle))
    np.testing.assert_allclose(snap(spots([(y, x)]), click, 6), (y, x), atol=0.08)


def test_it_finds_the_atom_in_noise():
    image = spots([(30.3, 31.7), (30.3, 45.0)], noise=0.3)
    np.testing.assert_allclose(snap(image, (32, 33), 6), (30.3, 31.7), atol=0.6)


def test_the_flank_of_a_far_atom_is_no_atom():
    click = (30.0, 24.0)
    np.testing.assert_array_equal(snap(spots([(30, 40)], sigma=5), click, 4), click)


@pytest.mark.parametrize("click", [(0, 0), (59.4, 69.4), (-0.4, 30)])
def test_the_corner_of_the_image_is_safe(click):
    found = snap(spots([(1.2, 1.4), (58.0, 68.5)]), click, 5)
    assert np.isfinite(found).all()
    assert np.hypot(*(found - np.array(click))) < 6


def test_a_corner_atom_is_found():
    np.testing.assert_allclose(snap(spots([(1.2, 1.4)]), (2, 3), 5), (1.2, 1.4), atol=0.5)


def test_brightness_is_that_around_each_place():
    image = spots([(20, 20), (40, 50)]) * 1.0
    image[:, 35:] *= 3
    high, low, none = brightness(image, np.array([(40.0, 50.0), (20.0, 20.0), (5.0, 60.0)]), 2)
    assert high == pytest.approx(3 * low, rel=0.01)
    assert none < 0.01
    assert len(brightness(image, np.empty((0, 2)), 2)) == 0
