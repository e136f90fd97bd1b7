"""Lone pixels and flashes."""

from __future__ import annotations

import numpy as np
import pytest
from pictures import counts, crystal
from scipy.ndimage import gaussian_filter

from napari_stemprior.recording.artefacts import flashes, lone_pixels

IMAGE = counts(crystal((256, 256)))
VALID = np.ones(IMAGE.shape, bool)


@pytest.mark.parametrize("share", [0.0005, 0.005])
def test_hot_pixels(share):
    rng = np.random.default_rng(1)
    hot = rng.random(IMAGE.shape) < share
    found = lone_pixels(np.where(hot, np.float32(200), IMAGE), VALID)
    assert not (found & ~hot).any()
    assert (found & hot).sum() > 0.9 * hot.sum()


def test_dead_pixels_on_a_pedestal():
    image = IMAGE + 300
    image[40, 50] = 0
    assert np.argwhere(lone_pixels(image, VALID)).tolist() == [[40, 50]]


@pytest.mark.parametrize("electrons", [0.005, 0.05, 0.5, 5.0, 500.0])
def test_electrons_are_neither_hot_pixels_nor_flashes(electrons):
    for seed in range(3):
        image = counts(crystal((256, 256)), electrons, seed)
        assert not lone_pixels(image, VALID).any()
        assert not flashes(image, VALID).any()
        smooth = gaussian_filter(image.astype(float), 0.6).astype(np.float32)
        assert not lone_pixels(smooth, VALID).any()
        assert not flashes(smooth, VALID).any()


def test_coarse_columns_are_no_hot_pixels():
    image = np.zeros((128, 128), np.float32) + 0.01
    image[::4, ::4] = 1
    image[1::4, ::4] = image[3::4, ::4] = image[::4, 1::4] = image[::4, 3::4] = 0.5
    assert not lone_pixels(image, np.ones(image.shape, bool)).any()
    image[2, 2] = 20  # where most pixels are empty, ten times the usual peak is asked for
    assert lone_pixels(image, np.ones(image.shape, bool)).sum() == 1


def test_a_flash_is_found_along_its_row():
    image = IMAGE.copy()
    image[100, 60:120] += 60
    found = flashes(image, VALID)
    assert set(np.nonzero(found)[0]) == {100}
    assert found[100, 65:115].all()
    assert not found[100, :50].any()


@pytest.mark.parametrize("jitter", [0.0, 3.0])
def test_columns_on_jittering_rows_are_no_flashes(jitter):
    rng = np.random.default_rng(2)
    ideal = crystal((256, 256), spacing=24)
    shifted = np.stack([np.roll(row, round(rng.normal(0, jitter))) for row in ideal])
    assert not flashes(counts(shifted, 200), VALID).any()
