"""The noise chain keeps its promises."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_stemprior.optics.noise import NoiseChain, afterglow, jitter_rows, smooth_field


def test_the_dose_sets_the_counts() -> None:
    image = np.full((200, 200), 0.01, np.float32)
    counts = NoiseChain(dose=1e4).apply(image, 0.2, np.random.default_rng(0))
    assert counts.mean() == pytest.approx(4.0, rel=0.02)
    assert counts.var() == pytest.approx(4.0, rel=0.05)


def test_one_seed_one_image() -> None:
    image = np.random.default_rng(1).random((40, 50)).astype(np.float32)
    chain = NoiseChain(300, 0.1, 0.5, 1.0, 0.2)
    first, again = (chain.apply(image, 0.2, np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, chain.apply(image, 0.2, np.random.default_rng(6)))


def test_without_any_part_nothing_changes() -> None:
    image = np.random.default_rng(1).random((40, 50)).astype(np.float32)
    np.testing.assert_array_equal(NoiseChain(dose=0).apply(image, 0.2, np.random.default_rng(5)), image)


@given(st.floats(0.3, 4.0))
def test_afterglow_goes_along_the_fast_axis_and_loses_nothing(decay: float) -> None:
    image = np.zeros((5, 80), np.float32)
    image[2, 20] = 1.0
    out = afterglow(image, decay)
    assert out.sum() == pytest.approx(1.0, abs=0.02)
    assert out[:, :20].sum() == 0
    assert out[[0, 1, 3, 4]].sum() == 0
    assert out[2, 20] == out.max()


def test_jitter_moves_rows_as_far_as_asked() -> None:
    x = np.arange(256)
    image = np.tile(np.sin(2 * np.pi * x / 32), (300, 1)).astype(np.float32)
    out = jitter_rows(image, 0.7, np.random.default_rng(0))
    phase = np.angle(np.fft.rfft(out, axis=1)[:, 8] / np.fft.rfft(image, axis=1)[:, 8])
    assert np.sqrt(np.mean((phase * 32 / (2 * np.pi)) ** 2)) == pytest.approx(0.7, rel=0.01)


def test_smooth_field_is_smooth_and_in_range() -> None:
    field = smooth_field((90, 70), 30, np.random.default_rng(0))
    assert field.min() == 0
    assert field.max() == 1
    assert np.abs(np.diff(field, axis=0)).max() < 0.2
