"""Spots stand out whatever the unit of the image."""

import numpy as np
import pytest

from napari_stemprior.inference.bright_spots import BrightSpots
from napari_stemprior.inference.order import stands_out


def with_one_spot() -> np.ndarray:
    y, x = np.indices((120, 120))
    spot = 60 * np.exp(-((y - 50) ** 2 + (x - 70) ** 2) / (2 * 3.0**2))
    return np.random.default_rng(1).poisson(20 + spot).astype(float)


@pytest.mark.parametrize("unit", [1e-15, 1e-6, 1.0, 1e9])
def test_the_unit_of_the_image_does_not_matter(unit):
    image = with_one_spot()
    np.testing.assert_array_equal(stands_out(unit * image, 0.15), stands_out(image, 0.15))
    assert stands_out(image, 0.15)[50, 70]
    assert BrightSpots.of(unit * image, 0.15).skewness == pytest.approx(BrightSpots.of(image, 0.15).skewness)


def test_an_image_of_one_value_has_none():
    spots = BrightSpots.of(np.zeros((40, 40)), 0.15)
    assert spots.skewness == 0
    assert not stands_out(np.zeros((40, 40)), 0.15).any()
