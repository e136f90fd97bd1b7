"""The noise chain keeps its promises."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_stemprior.errors import InstrumentError
from napari_stemprior.optics.noise.detector_artefacts import DetectorArtefacts
from napari_stemprior.optics.noise.noise_chain import (
    NoiseChain,
    afterglow,
    jitter_rows,
    with_recording_artefacts,
)
from napari_stemprior.optics.noise.scan_distortion import ScanDistortion
from napari_stemprior.optics.noise.scan_noise import ScanNoise
from napari_stemprior.optics.noise.smooth_fields import smooth_field


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


def test_the_new_parts_are_off_by_default() -> None:
    # the chain of earlier versions, by hand: training draws the same images under the same seed
    image = np.random.default_rng(1).random((40, 50)).astype(np.float32)
    rng = np.random.default_rng(5)
    by_hand = np.clip(jitter_rows(np.clip(image, 0, None), 0.1 / 0.2, rng), 0, None)
    by_hand = by_hand + 0.5 * float(by_hand.mean()) * smooth_field(by_hand.shape, 60 / 0.2, rng)
    by_hand = rng.poisson(by_hand * (300 * 0.2**2)).astype(np.float32)
    by_hand = afterglow(by_hand, 1.0)
    by_hand = by_hand + rng.normal(0, 0.2, by_hand.shape).astype(np.float32)
    chain = NoiseChain(300, 0.1, 0.5, 1.0, 0.2)
    np.testing.assert_array_equal(chain.apply(image, 0.2, np.random.default_rng(5)), by_hand)


WHOLE = NoiseChain(
    3e3,
    0.1,
    0.5,
    1.0,
    0.2,
    source_blur=0.5,
    distortion=ScanDistortion(0.05, 0.3, drift=1.0, shear=0.02, mains=0.1),
    uneven_dose=0.5,
    gain=3.0,
    offset=10.0,
    bits=8,
)


def test_new_parts_at_zero_draw_nothing() -> None:
    image = (0.02 + 0.01 * np.random.default_rng(1).random((64, 80))).astype(np.float32)
    rng, same = np.random.default_rng(5), np.random.default_rng(5)
    off = replace(WHOLE, scan_noise=ScanNoise(flash_strength=9.0), artefacts=DetectorArtefacts())
    np.testing.assert_array_equal(WHOLE.apply(image, 0.2, rng), off.apply(image, 0.2, same))
    assert rng.random() == same.random()


def test_recording_artefacts_are_seeded_digits_of_eight_bits() -> None:
    image = (0.02 + 0.01 * np.random.default_rng(1).random((64, 80))).astype(np.float32)
    chain = replace(with_recording_artefacts(WHOLE), jpeg_quality=80)
    first, again = (chain.apply(image, 0.2, np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(first, np.clip(np.round(first), 0, 255))
    assert not np.array_equal(first, WHOLE.apply(image, 0.2, np.random.default_rng(5)))


def test_the_whole_chain_is_seeded() -> None:
    image = (0.02 + 0.01 * np.random.default_rng(1).random((64, 80))).astype(np.float32)
    first, again = (WHOLE.apply(image, 0.2, np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, WHOLE.apply(image, 0.2, np.random.default_rng(6)))
    np.testing.assert_array_equal(first, np.clip(np.round(first), 0, 255))


@pytest.mark.parametrize("part", ["pixel_jitter", "flyback", "drift", "shear", "mains"])
def test_each_distortion_moves_as_far_as_asked(part: str) -> None:
    amount = 0.03 if part == "shear" else 0.4
    distortion = ScanDistortion(**{part: amount})
    field = distortion.displacement((100, 120), 0.1, np.random.default_rng(3)) * 0.1  # Å
    if part == "pixel_jitter":
        assert field.std() == pytest.approx(0.4, rel=0.05)
        along = [np.corrcoef(field[1, :, :-n].ravel(), field[1, :, n:].ravel())[0, 1] for n in (1, 20)]
        assert along[0] > 0.7 > 0.2 > abs(along[1])
    elif part == "flyback":
        assert field[1, :, 0].mean() == pytest.approx(-0.4, rel=0.1)
        assert np.abs(field[1, :, 60:]).max() < 1e-3
        assert np.abs(field[0]).max() == 0
    elif part == "drift":
        assert 0.1 < np.linalg.norm(field[:, -1, -1] - field[:, 0, 0]) < 0.8
        assert np.abs(np.diff(field, axis=1)).max() < 0.1
    elif part == "shear":
        np.testing.assert_allclose(np.diff(field[1], axis=0), 0.03 * 0.1, atol=1e-9)
    else:
        assert np.linalg.norm(field, axis=0).max() == pytest.approx(0.4, rel=0.02)
        # 50 Hz at 10 µs a pixel: a period every 2000 pixels
        flat = field[1].ravel()
        np.testing.assert_allclose(flat[2000:4000], flat[:2000], atol=1e-6)


def test_a_distorted_wave_is_where_the_field_says() -> None:
    y, x = np.indices((60, 90)).astype(float)
    distortion = ScanDistortion(drift=0.5, flyback=0.2)
    field = distortion.displacement((60, 90), 0.1, np.random.default_rng(2))
    image = np.cos(0.3 * x + 0.2 * y).astype(np.float32)
    out = distortion.apply(image, 0.1, np.random.default_rng(2))
    expected = np.cos(0.3 * (x + field[1]) + 0.2 * (y + field[0]))
    np.testing.assert_allclose(out[8:-8, 8:-8], expected[8:-8, 8:-8], atol=0.01)


def test_uneven_dose_darkens_and_never_brightens() -> None:
    flat = np.full((200, 200), 0.02, np.float32)
    out = NoiseChain(dose=0, uneven_dose=0.6).apply(flat, 0.3, np.random.default_rng(0)) / 0.02
    assert out.min() == pytest.approx(0.4, abs=1e-3)
    assert out.max() == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize(
    "nonsense", [{"readout": -1.0}, {"bits": 12}, {"uneven_dose": 1.5}, {"gain": float("nan")}]
)
def test_nonsense_is_said_so(nonsense: dict[str, float]) -> None:
    with pytest.raises(InstrumentError, match=next(iter(nonsense))):
        NoiseChain(**nonsense)  # type: ignore[arg-type]
