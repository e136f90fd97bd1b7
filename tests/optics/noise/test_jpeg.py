"""The JPEG of the noise chain is that of a file."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from napari_stemprior.errors import InstrumentError
from napari_stemprior.optics.noise.jpeg import jpeg_compressed, quantisation
from napari_stemprior.optics.noise.noise_chain import NoiseChain


def by_pillow(digits: np.ndarray, quality: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the digits of a JPEG file and its quantisation table."""
    file = io.BytesIO()
    Image.fromarray(digits.astype(np.uint8)).save(file, "JPEG", quality=quality)
    with Image.open(file) as image:
        table = np.array(image.quantization[0]).reshape(8, 8)  # type: ignore[attr-defined]
        return np.asarray(image, dtype=np.float32), table


@pytest.mark.parametrize("quality", range(1, 101))
def test_the_quantisation_is_that_of_a_file(quality: int) -> None:
    _, table = by_pillow(np.zeros((8, 8)), quality)
    np.testing.assert_array_equal(quantisation(quality), table)


@given(st.integers(50, 100), st.integers(0, 999))
def test_a_file_gives_the_same_digits(quality: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    y, x = np.indices((43, 58))
    digits = np.clip(100 + 80 * np.sin(x / 3) * np.cos(y / 4) + rng.normal(0, 20, y.shape), 0, 255).round()
    expected, _ = by_pillow(digits, quality)
    difference = np.abs(jpeg_compressed(digits.astype(np.float32), quality) - expected)
    # libjpeg has fixed-point transforms: a coefficient midway between two steps may be rounded the other way.
    # Of 4,284 images at all qualities from 50 on the worst ratio is 0.46, the least share 0.851.
    lost = float(np.mean(np.abs(expected - digits)))
    assert np.mean(difference) < 0.6 * (lost + 0.3)
    assert np.mean(difference <= 2) > 0.8


@given(st.integers(0, 255))
def test_a_flat_image_stays_flat(level: int) -> None:
    out = jpeg_compressed(np.full((20, 30), level, np.float32), 90)
    assert np.ptp(out) == 0
    assert abs(out[0, 0] - level) <= 1


def test_lower_quality_loses_more() -> None:
    digits = np.random.default_rng(0).integers(0, 256, (64, 64)).astype(np.float32)
    lost = [float(np.abs(jpeg_compressed(digits, q) - digits).mean()) for q in (100, 90, 60, 20)]
    assert lost == sorted(lost)
    assert lost[0] < 1


def test_jpeg_needs_eight_bits_and_a_quality() -> None:
    with pytest.raises(InstrumentError, match="8 bits"):
        NoiseChain(jpeg_quality=80)
    with pytest.raises(InstrumentError, match="jpeg_quality"):
        NoiseChain(bits=8, jpeg_quality=101)
