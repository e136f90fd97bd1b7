"""A mask that a person draws: left out like a border, in one piece and by strips."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pictures import counts, crystal

from napari_stemprior.errors import MicrographError
from napari_stemprior.progress import drain
from napari_stemprior.recording import prepare
from napari_stemprior.recording.mask_text import mask_from_dict, mask_to_dict
from napari_stemprior.recording.prepared_strips import prepare_strips
from napari_stemprior.recording.stored_image import StoredImage
from napari_stemprior.scratch_arrays import ScratchArrays

IMAGE = counts(crystal())
MASK = np.zeros(IMAGE.shape, bool)
MASK[20:60, 30:90] = True


def test_a_mask_is_no_signal_and_changes_nothing_elsewhere():
    made = prepare(IMAGE, MASK)
    np.testing.assert_array_equal(made.valid, ~MASK)
    np.testing.assert_array_equal(made.image[~MASK], IMAGE[~MASK])
    assert not made.is_valid_at([(40, 60)])[0]
    share = 100 * MASK.mean()
    assert made.sentences() == [f"The mask ({share:.1f} % of the pixels) left out."]
    assert made.summary()["pixels_left_out"] == {"mask": int(MASK.sum())}


def test_what_else_is_no_signal_is_found_as_without_a_mask():
    spoiled = IMAGE.copy()
    spoiled[:9] = 0
    spoiled[70] = spoiled.max() + 1
    alone, both = prepare(spoiled), prepare(spoiled, MASK)
    assert not alone.valid.all()
    np.testing.assert_array_equal(both.valid, alone.valid & ~MASK)


@pytest.mark.parametrize("kept", [0, 1])
def test_a_mask_that_leaves_nothing_is_refused(kept):
    mask = np.ones(IMAGE.shape, bool)
    mask.flat[:kept] = False
    with pytest.raises(MicrographError, match="mask leaves nothing"):
        prepare(IMAGE, mask)


def test_by_strips_it_is_the_same(monkeypatch):
    monkeypatch.setattr("napari_stemprior.recording.stored_image.STRIP", 130 * IMAGE.shape[1])
    whole = prepare(IMAGE, MASK)
    strips = drain(prepare_strips(StoredImage(IMAGE).excluding(MASK), ScratchArrays()))
    block = strips.block(slice(None), slice(None))
    np.testing.assert_array_equal(block.valid, whole.valid)
    np.testing.assert_array_equal(block.image[~MASK], whole.image[~MASK])
    assert strips.sentences() == whole.sentences()


def test_most_of_a_stored_image_may_be_masked():
    mask = np.ones(IMAGE.shape, bool)
    mask[:, :20] = False
    strips = drain(prepare_strips(StoredImage(IMAGE).excluding(mask), ScratchArrays()))
    np.testing.assert_array_equal(strips.block(slice(None), slice(None)).valid, ~mask)
    with pytest.raises(MicrographError, match="mask leaves nothing"):
        drain(prepare_strips(StoredImage(IMAGE).excluding(mask | True), ScratchArrays()))


def test_an_inverted_image_keeps_its_mask_and_another_mask_is_another_image():
    image = StoredImage(IMAGE).excluding(MASK)
    assert image.inverted().excluded is MASK
    assert image.identity != image.excluding(~MASK).identity != image.excluding(None).identity


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 99))
def test_as_text_it_comes_back(height, width, seed):
    mask = np.random.default_rng(seed).random((height, width)) > 0.5
    np.testing.assert_array_equal(mask_from_dict(mask_to_dict(mask), mask.shape), mask)


@pytest.mark.parametrize(
    "changed",
    [
        {"bits": "????"},
        {"bits": ""},
        {"bits": 3},
        {"shape": None},
        {"shape": [3, 3]},
        {"bits": "eJwDAAAAAAE="},
    ],
)
def test_damaged_text_is_one_sentence(changed):
    with pytest.raises(MicrographError, match=r"^The mask is [^\n]*\.$"):
        mask_from_dict(mask_to_dict(MASK) | changed, MASK.shape)
