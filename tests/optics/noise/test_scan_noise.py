"""Row offsets, flashes and hum are as large as asked, and where they belong."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_stemprior.errors import InstrumentError
from napari_stemprior.optics.noise.noise_chain import NoiseChain
from napari_stemprior.optics.noise.scan_noise import ScanNoise, raster_wave

FLAT = np.full((400, 60), 5.0, np.float32)


@given(st.floats(0.01, 0.5), st.integers(0, 99))
def test_a_row_offset_shifts_the_whole_row(rms: float, seed: int) -> None:
    out = ScanNoise(row_offsets=rms).disturbed(FLAT, np.random.default_rng(seed)) / 5 - 1
    np.testing.assert_allclose(out, out[:, :1] * np.ones(60), atol=1e-6)
    assert np.sqrt(np.mean(out[:, 0] ** 2)) == pytest.approx(rms, rel=0.2)


def test_white_offsets_are_white_and_wandering_ones_are_not() -> None:
    def neighbours(noise: ScanNoise) -> float:
        rows = noise.disturbed(FLAT, np.random.default_rng(2))[:, 0]
        return float(np.corrcoef(rows[1:], rows[:-1])[0, 1])

    assert abs(neighbours(ScanNoise(row_offsets=0.1))) < 0.15
    assert neighbours(ScanNoise(row_wander=0.1)) > 0.95
    slow = ScanNoise(row_wander=0.1).disturbed(FLAT, np.random.default_rng(2))
    assert slow.std() / 5 == pytest.approx(0.1, rel=0.01)


def test_the_hum_has_the_frequency_of_the_mains() -> None:
    # 50 Hz at 10 µs a pixel: a period every 2000 pixels
    wave = raster_wave((100, 80), 50.0, 1e-5, np.random.default_rng(0)).ravel()
    np.testing.assert_allclose(wave[2000:4000], wave[:2000], atol=1e-9)
    np.testing.assert_allclose(wave[1000:3000], -wave[:2000], atol=1e-9)
    out = ScanNoise(mains=0.2).disturbed(FLAT, np.random.default_rng(0)) / 5 - 1
    assert np.abs(out).max() == pytest.approx(0.2, rel=0.01)


@given(st.integers(0, 6), st.integers(0, 99))
def test_a_flash_brightens_part_of_one_row(flashes: int, seed: int) -> None:
    noise = ScanNoise(flashes=flashes, flash_strength=2.0)
    added = noise.flashed(FLAT, np.random.default_rng(seed)) - FLAT
    assert added.min() == 0
    assert (added.max(axis=1) > 0).sum() <= flashes
    assert (added > 0).any() == (flashes > 0)
    if flashes == 1:
        row = added[added.max(axis=1) > 0][0]
        lit = np.flatnonzero(row)
        assert np.all(np.diff(lit) == 1)
        assert 5.0 <= row.max() <= 15.0


def test_a_flash_has_shot_noise_and_an_offset_has_none() -> None:
    flash = NoiseChain(25, scan_noise=ScanNoise(flashes=3)).apply(FLAT, 0.2, np.random.default_rng(0))
    np.testing.assert_array_equal(flash, np.round(flash))
    offset = NoiseChain(25, scan_noise=ScanNoise(row_offsets=0.1)).apply(FLAT, 0.2, np.random.default_rng(0))
    plain = NoiseChain(25).apply(FLAT, 0.2, np.random.default_rng(0))
    np.testing.assert_allclose(np.ptp(offset - plain, axis=1), 0, atol=1e-4)


@pytest.mark.parametrize("nonsense", [{"row_offsets": -0.1}, {"mains": float("nan")}, {"flashes": 1.5}])
def test_nonsense_is_said_so(nonsense: dict[str, float]) -> None:
    with pytest.raises(InstrumentError, match=next(iter(nonsense))):
        ScanNoise(**nonsense)  # type: ignore[arg-type]
