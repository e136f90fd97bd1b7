"""Bright or dark columns."""

from __future__ import annotations

import numpy as np
import pytest
from pictures import counts, crystal

from napari_stemprior.recording.contrast import column_skewness

SHAPE = (256, 256)
VALID = np.ones(SHAPE, bool)


@pytest.mark.parametrize("electrons", [0.3, 3.0, 30.0, 3000.0])
@pytest.mark.parametrize("honeycomb", [False, True])
@pytest.mark.parametrize("spacing", [8.0, 14.0, 24.0])
def test_bright_columns(electrons, honeycomb, spacing):
    image = counts(crystal(SHAPE, 17.0, spacing, honeycomb), electrons)
    assert not column_skewness(image, VALID).dark


@pytest.mark.parametrize("electrons", [30.0, 3000.0])
@pytest.mark.parametrize("spacing", [14.0, 24.0])
def test_dark_columns(electrons, spacing):
    image = counts(1.1 - crystal(SHAPE, 17.0, spacing), electrons)
    assert column_skewness(image, VALID).dark


@pytest.mark.parametrize("spacing", [14.0, 24.0, 60.0])
def test_of_a_large_image_some_pixels_tell(spacing):
    ideal = crystal((1100, 1000), 17.0, spacing)
    valid = np.ones(ideal.shape, bool)
    valid[:90] = False
    assert column_skewness(counts(1.1 - ideal, 30.0), valid).dark
    assert not column_skewness(counts(ideal, 30.0), valid).dark


@pytest.mark.parametrize("honeycomb", [False, True])
@pytest.mark.parametrize("percent", [80, 92, 99])
def test_bright_columns_that_are_clipped(honeycomb, percent):
    image = counts(crystal(SHAPE, 17.0, 14.0, honeycomb), 300)
    assert not column_skewness(
        np.minimum(image, np.percentile(image, percent)).astype(np.float32), VALID
    ).dark


def test_vacancies_among_bright_columns():
    ideal = crystal(SHAPE, 0.0, 8.0)
    rng = np.random.default_rng(0)
    for _ in range(50):
        y, x = 8 * rng.integers(0, 32, 2)
        ideal[max(0, y - 3) : y + 4, max(0, x - 3) : x + 4] = 0.1
    assert not column_skewness(counts(ideal, 300), VALID).dark


def test_only_valid_pixels_count():
    image = counts(crystal(SHAPE), 300)
    valid = VALID.copy()
    valid[:60] = False
    image[:60] = 300.0
    image[5:60:9, 5:250:9] = -1e5
    assert not column_skewness(np.where(valid, image, image[valid].mean()), valid).dark


@pytest.mark.parametrize("overtone", [0.35, 0.5])
def test_dark_columns_with_little_ground_between_leave_a_doubt(overtone):
    """As light columns between them do in ABF: the skewness of these waves is 1.5 c / (1 + c²/4)^1.5."""
    y, x = np.indices(SHAPE)
    u, v = np.cos(2 * np.pi * y / 16), np.cos(2 * np.pi * x / 16)
    ideal = 3.0 + u + v + overtone * u * v
    dark = column_skewness(counts(6.0 - ideal, 300.0), VALID)
    assert dark.perhaps_dark
    assert not dark.dark
    assert not column_skewness(counts(ideal, 300.0), VALID).perhaps_dark
