"""Lines that JPEG has smeared."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from napari_stemprior.recording import prepare
from napari_stemprior.recording.compressed_lines import compressed_lines


def crystal(angle: float = 0.3, dose: float = 40.0) -> np.ndarray:
    y, x = np.indices((256, 256))
    u, v = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    bright = 1 + np.cos(2 * np.pi * u / 18) + np.cos(2 * np.pi * v / 18)
    counts = np.random.default_rng(1).poisson(dose * np.clip(bright, 0, None))
    return np.clip(counts * 255 / counts.max(), 0, 255)


def compressed(image: np.ndarray, quality: int) -> np.ndarray:
    kept = io.BytesIO()
    Image.fromarray(image.astype(np.uint8)).save(kept, "JPEG", quality=quality)
    return np.asarray(Image.open(kept), np.float32)


@pytest.mark.parametrize("quality", [60, 90])
@pytest.mark.parametrize("border", [2, 20])
def test_a_compressed_border_is_left_out_whole(quality, border) -> None:
    image = crystal()
    framed = np.zeros_like(image)
    inner = (slice(border, -border), slice(border, -border))
    framed[inner] = image[inner]
    found = prepare(compressed(framed, quality))
    expected = np.zeros(image.shape, bool)
    expected[inner] = True
    assert not (found.valid & ~expected).any()
    assert (expected & ~found.valid).mean() < 0.01


@pytest.mark.parametrize("value", [0, 255])
def test_compressed_lost_rows_are_left_out(value) -> None:
    image = crystal()
    image[[60, 131, 132]] = value
    found = prepare(compressed(image, 85))
    assert not found.valid[[60, 131, 132]].any()
    assert found.valid.mean() > 0.98


def test_hot_pixels_do_not_hide_lost_rows() -> None:
    image = crystal()
    rng = np.random.default_rng(3)
    rows = [40, 97, 131, 180, 221]
    image[rows] = 0
    image[rng.integers(0, 256, 600), rng.integers(0, 256, 600)] = 255
    found = prepare(compressed(image, 60))
    assert not found.valid[rows].any()
    assert found.valid.mean() > 0.97


def test_rows_between_aligned_columns_are_good() -> None:
    y, x = np.indices((256, 256))
    spots = np.exp(-(((x % 16) - 8) ** 2 + ((y % 16) - 8) ** 2) / 8.0)
    picture = compressed(10 + 240 * spots, 90)
    assert not any(mask.any() for mask in compressed_lines(picture, np.ones(picture.shape, bool)))


def test_only_pictures_are_looked_at() -> None:
    image = crystal()
    image[60] = 255
    counts = image.astype(np.float32) * 37.5
    assert not any(mask.any() for mask in compressed_lines(counts, np.ones(counts.shape, bool)))


def test_a_compressed_white_bar_is_left_out_and_bright_columns_are_not() -> None:
    image = crystal()
    image[200:206, 30:110] = 255
    found = prepare(compressed(image, 60))
    assert not found.valid[201:205, 31:109].any()
    assert found.valid.mean() > 0.97
    clipped = np.clip(crystal() * 3, 0, 255)
    assert prepare(compressed(clipped, 90)).valid.all()
