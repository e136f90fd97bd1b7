"""Bright or dark columns."""

from __future__ import annotations

import numpy as np
import pytest
from pictures import counts, crystal

from napari_stemprior.recording.contrast import columns_are_dark

SHAPE = (256, 256)
VALID = np.ones(SHAPE, bool)


@pytest.mark.parametrize("electrons", [0.3, 3.0, 30.0, 3000.0])
@pytest.mark.parametrize("honeycomb", [False, True])
@pytest.mark.parametrize("spacing", [8.0, 14.0, 24.0])
def test_bright_columns(electrons, honeycomb, spacing):
    image = counts(crystal(SHAPE, 17.0, spacing, honeycomb), electrons)
    assert not columns_are_dark(image, VALID)


@pytest.mark.parametrize("electrons", [30.0, 3000.0])
@pytest.mark.parametrize("spacing", [14.0, 24.0])
def test_dark_columns(electrons, spacing):
    image = counts(1.1 - crystal(SHAPE, 17.0, spacing), electrons)
    assert columns_are_dark(image, VALID)


@pytest.mark.parametrize("spacing", [14.0, 24.0, 60.0])
def test_of_a_large_image_some_pixels_tell(spacing):
    ideal = crystal((1100, 1000), 17.0, spacing)
    valid = np.ones(ideal.shape, bool)
    valid[:90] = False
    assert columns_are_dark(counts(1.1 - ideal, 30.0), valid)
    assert not columns_are_dark(counts(ideal, 30.0), valid)


@pytest.mark.parametrize("honeycomb", [False, True])
@pytest.mark.parametrize("percent", [80, 92, 99])
def test_bright_columns_that_are_clipped(honeycomb, percent):
    image = counts(crystal(SHAPE, 17.0, 14.0, honeycomb), 300)
    assert not columns_are_dark(np.minimum(image, np.percentile(image, percent)).astype(np.float32), VALID)


def test_vacancies_among_bright_columns():
    ideal = crystal(SHAPE, 0.0, 8.0)
    rng = np.random.default_rng(0)
    for _ in range(50):
        y, x = 8 * rng.integers(0, 32, 2)
        ideal[max(0, y - 3) : y + 4, max(0, x - 3) : x + 4] = 0.1
    assert not columns_are_dark(counts(ideal, 300), VALID)


def test_only_valid_pixels_count():
    image = counts(crystal(SHAPE), 300)
    valid = VALID.copy()
    valid[:60] = False
    image[:60] = 300.0
    image[5:60:9, 5:250:9] = -1e5
    assert not columns_are_dark(np.where(valid, image, image[valid].mean()), valid)
