"""What `prepare` promises of every image."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pictures import counts, crystal

from napari_stemprior.errors import MicrographError
from napari_stemprior.recording import PreparedImage, prepare

SPOILED = counts(crystal())
SPOILED[:9] = 0
SPOILED[70] = 400
SPOILED[120, 60] = 500


def is_unchanged(made: PreparedImage) -> bool:
    return bool(made.valid.all()) and not made.mended.any() and not made.row_offsets.any()


@given(
    seed=st.integers(0, 1000),
    electrons=st.sampled_from([0.05, 0.15, 1.0, 30.0, 3000.0]),
    angle=st.floats(0, 90),
)
def test_a_clean_image_is_unchanged(seed, electrons, angle):
    image = counts(crystal(angle=angle), electrons, seed)
    made = prepare(image)
    assert is_unchanged(made)
    np.testing.assert_array_equal(made.image, image)


def test_what_is_prepared_stays():
    made = prepare(SPOILED)
    assert prepare(made) is made
    again = prepare(made.image)
    assert again.valid.all()
    np.testing.assert_array_equal(again.image, made.image)


@given(scale=st.sampled_from([2.0**-6, 0.5, 4.0, 1024.0]), shift=st.sampled_from([-64.0, 0.0, 16.0, 512.0]))
def test_unit_and_pedestal_do_not_matter(scale, shift):
    first, second = prepare(SPOILED), prepare(SPOILED * scale + shift)
    np.testing.assert_array_equal(first.valid, second.valid)
    np.testing.assert_array_equal(first.mended, second.mended)


def test_row_offsets_scale_with_the_unit():
    rng = np.random.default_rng(3)
    image = counts(crystal()) + rng.normal(0, 4, (192, 1)).astype(np.float32)
    first, second = prepare(image), prepare(image * 8 + 32)
    assert first.row_offsets.std() > 2
    np.testing.assert_allclose(second.row_offsets, 8 * first.row_offsets, atol=0.05)


def test_the_same_image_gives_the_same_answer():
    first, second = prepare(SPOILED), prepare(SPOILED.copy())
    np.testing.assert_array_equal(first.image, second.image)
    assert first.summary() == second.summary()


def test_good_pixels_stay_and_bad_ones_are_filled():
    made = prepare(SPOILED)
    assert not made.valid[:9].any()
    assert not made.valid[70].any()
    assert made.mended[120, 60]
    assert made.valid[120, 60]
    good = made.valid & ~made.mended
    np.testing.assert_array_equal(made.image[good], SPOILED[good])
    assert good.mean() > 0.94
    assert made.image[~good].min() > 0
    assert made.image[~good].max() < 31


def test_the_image_given_is_not_written_to():
    before = SPOILED.copy()
    prepare(SPOILED)
    np.testing.assert_array_equal(SPOILED, before)


def test_it_says_what_was_done():
    text = " ".join(prepare(SPOILED).sentences())
    assert "border" in text
    assert "1 dead or saturated row left out" in text
    assert "1 spoiled pixel was filled" in text
    assert prepare(counts(crystal())).sentences() == []


def test_places_are_looked_up():
    made = prepare(SPOILED)
    places = [(3, 50), (70.4, 10), (100, 100), (-1, 5), (100, 224)]
    assert made.is_valid_at(places).tolist() == [False, False, True, False, False]
    assert made.is_valid_at(np.empty((0, 2))).shape == (0,)


def test_a_part_keeps_its_areas():
    part = prepare(SPOILED).cropped(slice(60, 100), slice(20, 80))
    assert part.shape == (40, 60)
    assert [a.kind for a in part.areas] == ["rows"]
    assert not part.valid[10].any()


def test_an_image_taken_as_it_is():
    made = PreparedImage.of(SPOILED)
    assert is_unchanged(made)
    assert made.image is SPOILED


@pytest.mark.parametrize(
    ("image", "says"),
    [
        (np.zeros((3, 32, 32)), "single 2-D image"),
        (np.zeros((8, 64)), "same value"),
        (np.full((64, 64), 7), "same value"),
        (np.full((64, 64), np.nan), "open another image"),
        (np.ones((64, 64), complex), "magnitude"),
        (np.ones((64, 64), bool), "boolean"),
        (np.full((64, 64), "a"), "numbers"),
        (np.full((64, 64), None), "numbers"),
    ],
)
def test_what_is_no_micrograph_is_refused(image, says):
    with pytest.raises(MicrographError, match=says):
        prepare(image)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.float64, ">f4"])
def test_any_type_of_number(dtype):
    image = counts(crystal(), 20).astype(dtype)
    assert prepare(image).image.dtype == np.float32


@pytest.mark.parametrize("shape", [(1, 5), (5, 1), (3, 40), (15, 15), (16, 16), (17, 400)])
def test_small_images_come_out_as_they_are(shape):
    image = counts(crystal(shape), 500)
    assert is_unchanged(prepare(image))
    image[0, 0] = np.nan
    made = prepare(image)
    assert (~made.valid).sum() == 1
    assert np.isfinite(made.image).all()


def test_huge_and_infinite_values():
    image = counts(crystal())
    image[50, 50], image[60, 60] = np.inf, -np.inf
    made = prepare(image)
    assert not made.valid[50, 50]
    assert np.isfinite(made.image).all()
    assert (~made.valid).sum() == 2
