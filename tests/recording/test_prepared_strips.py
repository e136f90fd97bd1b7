"""A recording that is prepared strip by strip comes out as the whole does."""

import numpy as np
import pytest

from napari_stemprior.errors import MicrographError
from napari_stemprior.progress import drain
from napari_stemprior.recording import prepare, remarks, stored_image
from napari_stemprior.recording.prepared_strips import PreparedStrips, prepare_strips
from napari_stemprior.recording.stored_image import StoredImage, middle_of, strips_of
from napari_stemprior.scratch_arrays import ScratchArrays

SHAPE = (700, 360)
WHOLE = slice(0, SHAPE[0]), slice(0, SHAPE[1])


@pytest.fixture(autouse=True)
def strips_of_some_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored_image, "STRIP", 150 * SHAPE[1])


def crystal(rng: np.random.Generator) -> np.ndarray:
    y, x = np.indices(SHAPE)
    waves = np.cos(2 * np.pi * (0.031 * y + 0.052 * x)) + np.cos(2 * np.pi * (0.06 * y - 0.02 * x))
    return (100 + 10 * waves + rng.normal(0, 8, SHAPE)).astype(np.float32)


def by_strips(image: np.ndarray) -> PreparedStrips:
    return drain(prepare_strips(StoredImage(image), ScratchArrays()))


def test_a_clean_recording_stays_as_it_is():
    image = crystal(np.random.default_rng(0))
    prepared = by_strips(image)
    assert prepared.all_valid
    assert np.array_equal(prepared.block(*WHOLE).image, image)
    assert prepared.summary() == prepare(image).summary()
    assert remarks(prepared, "") == []


def test_what_is_wrong_is_found_as_in_the_whole():
    rng = np.random.default_rng(1)
    image = crystal(rng)
    image += rng.normal(0, 4, (SHAPE[0], 1)).astype(np.float32)
    image[:200] = 7.0  # a border higher than a strip
    image[:, -25:] = 7.0
    image[450] = 0.0
    image[310, 100] = 5000.0
    image[600:610, 50:60] = np.nan
    whole, prepared = prepare(image), by_strips(image)
    part = prepared.block(*WHOLE)
    assert np.array_equal(part.valid, whole.valid)
    assert np.array_equal(part.mended, whole.mended)
    assert whole.row_offsets.any()
    assert np.allclose(prepared.row_offsets, whole.row_offsets, atol=0.05)
    good = whole.valid & ~whole.mended
    assert np.abs(part.image - whole.image)[good].max() < 0.1
    assert np.isfinite(part.image).all()
    expected, found = whole.summary(), prepared.summary()
    # a strip may call a border what is a corner of the whole
    assert sum(found["pixels_left_out"].values()) == sum(expected["pixels_left_out"].values())
    assert found["pixels_mended"] == expected["pixels_mended"] >= 1
    assert found["row_offsets_rms"] == pytest.approx(expected["row_offsets_rms"], rel=0.02)
    places = rng.uniform(-5, 705, (500, 2))
    assert np.array_equal(prepared.is_valid_at(places), whole.is_valid_at(places))


def test_coarse_pixels_are_means():
    image = crystal(np.random.default_rng(2))
    coarse = by_strips(image).binned(3)
    expected = image[:699].reshape(233, 3, 120, 3).mean(axis=(1, 3))
    assert np.allclose(coarse.image, expected, rtol=1e-6)
    assert coarse.valid.all()


def test_an_image_that_is_nearly_all_dark_is_not_bad():
    image = np.zeros(SHAPE, np.float32)
    image[300:360, 100:160] = crystal(np.random.default_rng(3))[:60, :60]
    prepared = by_strips(image)
    assert prepared.all_valid
    assert np.array_equal(prepared.block(*WHOLE).image, image)


def test_an_image_without_contrast_is_refused():
    with pytest.raises(MicrographError, match="same value"):
        by_strips(np.full(SHAPE, 3.0, np.float32))


@pytest.mark.parametrize("multiple", [1, 3, 7])
def test_strips_cover_every_row_once(multiple):
    strips = strips_of(SHAPE, 20, multiple)
    assert len(strips) > 2
    rows = np.concatenate([np.arange(core.start, core.stop) for core, _ in strips])
    assert np.array_equal(rows, np.arange(SHAPE[0]))
    assert all(core.start % multiple == 0 for core, _ in strips)
    assert all(read.start <= core.start < core.stop <= read.stop for core, read in strips)


@pytest.mark.parametrize("shape", [(700, 360), (40, 9000), (9000, 40)])
def test_the_middle_is_in_the_middle(shape):
    rows, columns = middle_of(shape, 10_000)
    assert 0 <= rows.start < rows.stop <= shape[0]
    assert 0 <= columns.start < columns.stop <= shape[1]
    assert 5_000 < (rows.stop - rows.start) * (columns.stop - columns.start) <= 10_000
