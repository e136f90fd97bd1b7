"""Row offsets go, fringes and steps stay."""

from __future__ import annotations

import numpy as np
import pytest
from pictures import counts, crystal
from scipy.ndimage import gaussian_filter1d
from scipy.signal import lfilter

from napari_stemprior.recording.row_offsets import row_offsets

SHAPE = (256, 256)
VALID = np.ones(SHAPE, bool)


def offsets(image, valid=VALID):
    return row_offsets(np.asarray(image, np.float32), valid)


def white(rms, seed=0):
    return np.random.default_rng(seed).normal(0, rms, SHAPE[0])


@pytest.mark.parametrize("angle", [0.0, 17.0])
@pytest.mark.parametrize("electrons", [1.0, 30.0, 3000.0])
def test_none_where_there_are_none(angle, electrons):
    assert not offsets(counts(crystal(SHAPE, angle), electrons)).any()
    assert not offsets(crystal(SHAPE, angle)).any()


@pytest.mark.parametrize("share", [0.05, 0.1, 0.5])
def test_white_offsets_are_taken_out(share):
    image = counts(crystal(SHAPE), 3000)
    true = white(share * image.mean())
    left = true - offsets(image + true[:, None])
    assert left.std() < 0.33 * true.std()


@pytest.mark.parametrize("period", [4.3, 7.1, 11.3, 14.0, 22.0])
@pytest.mark.parametrize("strength", [1.0, 3.0])
def test_a_fringe_along_the_rows_stays(period, strength):
    true = white(1.0)
    fringe = strength * np.sqrt(2) * np.sin(2 * np.pi * np.arange(SHAPE[0]) / period + 0.4)
    noise = np.random.default_rng(1).normal(0, 1, SHAPE)
    found = offsets(20 + fringe[:, None] + true[:, None] + noise)
    # an offset that happens to go with the fringe cannot be told from it: its share is 1 / sqrt(256)
    lost = float((found - true) @ fringe / (fringe @ fringe)) + float(true @ fringe / (fringe @ fringe))
    assert found.std() > 0.8
    assert abs(lost) < 0.05


@pytest.mark.parametrize("rows", [(128,), (50, 120, 190)])
def test_steps_stay(rows):
    factor = np.ones((SHAPE[0], 1))
    for row in rows:
        factor[row:] += 0.5
    assert not offsets(counts(crystal(SHAPE) * factor)).any()
    # with offsets beside it
    true = white(3.0)
    found = offsets(counts(crystal(SHAPE) * factor) + true[:, None])
    assert abs(np.mean((found - true)[rows[0] : rows[0] + 20])) < 1.5
    assert np.corrcoef(found, true)[0, 1] > 0.9


def test_slowly_wandering_brightness_is_no_offset():
    slow = gaussian_filter1d(white(1.0), 40)
    image = counts(crystal(SHAPE), 100)
    assert not offsets(image + (20 * slow / slow.std())[:, None]).any()


@pytest.mark.parametrize("length", [1.0, 3.0])
@pytest.mark.parametrize("electrons", [3.0, 300.0])
def test_afterglow_is_no_offset(length, electrons):
    kept = np.exp(-1 / length)
    for seed in range(3):
        image = lfilter([1 - kept], [1, -kept], counts(crystal(SHAPE), electrons, seed), axis=1)
        assert not offsets(image[:, 20:], VALID[:, 20:]).any()


@pytest.mark.parametrize("side", [16, 32, 64])
def test_small_images_are_left_alone(side):
    image = counts(crystal((side, side))) + 5 * np.random.default_rng(0).normal(size=(side, 1))
    assert not offsets(image, np.ones((side, side), bool)).any()


def test_masked_rows_take_no_part():
    image = counts(crystal(SHAPE), 300)
    true = white(20.0)
    image = image + true[:, None]
    valid = VALID.copy()
    valid[60:90] = False
    image[60:90] = 1e6
    found = offsets(np.where(valid, image, image[valid].mean()), valid)
    assert not found[60:90].any()
    assert (true - found)[valid[:, 0]].std() < 0.45 * true.std()


def test_a_layer_along_the_rows_stays():
    factor = np.ones((SHAPE[0], 1))
    factor[120:128] = 2.5
    image = counts(crystal(SHAPE) * factor, 300)
    assert not offsets(image)[118:130].any()


@pytest.mark.parametrize("seed", range(4))
def test_the_first_and_last_rows_fare_no_worse(seed):
    image = counts(crystal(SHAPE, 17.0), 300)
    true = white(0.5 * image.mean(), seed)
    left = true - offsets(image + true[:, None])
    left = left - np.median(left)
    for end in (left[:12], left[-12:]):
        # the median of the 38 rows that are there scatters by 1.25 / sqrt(38) = 0.2
        assert abs(end.mean()) < 0.6 * true.std()
        assert end.std() < 0.15 * true.std()


def test_hum_that_beats_with_the_rows_is_no_fringe():
    image = counts(crystal(SHAPE, 17.0), 300)
    true = white(0.2 * image.mean())
    hum = 0.2 * image.mean() * np.sin(2 * np.pi * 0.485 * np.arange(SHAPE[0]))
    left = true + hum - offsets(image + (true + hum)[:, None])
    assert left.std() < 0.2 * (true + hum).std()
