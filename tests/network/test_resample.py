"""Resampling keeps places, means and noise."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from napari_stemprior.network.resample import fourier_resample


@given(st.integers(16, 60), st.integers(16, 60))
def test_mean_is_kept(size: int, wanted: int) -> None:
    image = torch.rand(size, size)
    assert float(fourier_resample(image, (wanted, wanted)).mean()) == pytest.approx(
        float(image.mean()), rel=1e-4
    )


@given(st.floats(14, 26), st.floats(14, 26), st.integers(24, 90))
def test_a_spot_stays_where_it_is(y: float, x: float, wanted: int) -> None:
    size = 40
    rows, columns = np.mgrid[:size, :size]
    spot = torch.from_numpy(np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * 3.0**2)))
    out = fourier_resample(spot, (wanted, wanted)).numpy()
    grid = np.mgrid[:wanted, :wanted]
    found = [(g * out).sum() / out.sum() for g in grid]
    expected = [(v + 0.5) * wanted / size - 0.5 for v in (y, x)]
    np.testing.assert_allclose(found, expected, atol=0.05)


def test_there_and_back_is_the_same() -> None:
    image = torch.rand(31, 41)  # odd: no Nyquist term is lost
    torch.testing.assert_close(
        fourier_resample(fourier_resample(image, (62, 90)), (31, 41)), image, atol=1e-5, rtol=0
    )


def test_white_noise_stays_white() -> None:
    generator = torch.Generator().manual_seed(0)
    small = fourier_resample(torch.randn(300, 300, generator=generator), (190, 190))
    power = torch.fft.rfft2(small).abs() ** 2
    low, high = power[1:30, 1:30].mean(), power[60:90, 60:90].mean()
    assert float(high / low) == pytest.approx(1.0, abs=0.15)
