"""Smoothing by products of matrices."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from napari_stemprior.recording import smoothing
from napari_stemprior.recording.smoothing import gaussian_smoothed


@pytest.mark.parametrize("shape", [(300, 211), (64, 65), (9, 200), (1, 3)])
@pytest.mark.parametrize("sigma", [0.7, 1.6, 6.0, 15.0])
def test_it_is_the_gaussian_filter(shape: tuple[int, int], sigma: float) -> None:
    image = np.random.default_rng(0).normal(3.0, 1.0, shape).astype(np.float32)
    expected = gaussian_filter(image.astype(float), sigma)
    np.testing.assert_allclose(gaussian_smoothed(image, sigma), expected, atol=1e-5)


@pytest.mark.parametrize("every", [2, 3, 5])
@pytest.mark.parametrize("shape", [(300, 211), (64, 65), (9, 200)])
def test_some_of_it_is_the_same(shape: tuple[int, int], every: int) -> None:
    image = np.random.default_rng(0).normal(3.0, 1.0, shape).astype(np.float32)
    whole = gaussian_smoothed(image, 2.5)
    np.testing.assert_allclose(gaussian_smoothed(image, 2.5, every), whole[::every, ::every], atol=1e-5)


def test_a_large_image_tells_its_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    image = np.random.default_rng(0).normal(3.0, 1.0, (300, 211)).astype(np.float32)
    assert not list(smoothing.gaussian_smoothed_steps(image, 2.0))
    monkeypatch.setattr(smoothing, "_AT_ONCE", 2**10)
    assert len(list(smoothing.gaussian_smoothed_steps(image, 2.0))) == 5 + 4
