"""A mask from a file, and a micrograph that has one."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_stemprior.errors import MicrographError
from napari_stemprior.io import Micrograph
from napari_stemprior.io.readers.read_mask import masked, read_mask

MASK = np.zeros((20, 30), bool)
MASK[4:9, 5:12] = True


def micrograph(shape=MASK.shape):
    return Micrograph(np.random.default_rng(0).random(shape, dtype=np.float32), 0.2, "flake")


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_what_is_not_zero_is_masked(tmp_path, dtype):
    path = tmp_path / "mask.tif"
    tifffile.imwrite(path, MASK.astype(dtype) * dtype(3))
    np.testing.assert_array_equal(read_mask(path), MASK)


@pytest.mark.parametrize("picture", [Image.fromarray(MASK), Image.fromarray(MASK.astype(np.uint8) * 255)])
def test_pictures_of_one_bit_and_of_one_byte(tmp_path, picture):
    picture.save(tmp_path / "mask.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "mask.png"), MASK)


def test_what_is_no_mask_is_one_sentence(tmp_path):
    (tmp_path / "mask.png").write_bytes(b"no picture")
    (tmp_path / "mask.npy").write_bytes(b"")
    colours = np.zeros((20, 30, 3), np.uint8)
    colours[..., 0] = 200
    Image.fromarray(colours).save(tmp_path / "red.png")
    for name, says in (
        ("mask.png", "cannot be read"),
        ("mask.npy", "grey image"),
        ("none.png", "no such file"),
        ("red.png", "colour"),
    ):
        with pytest.raises(MicrographError, match=rf"^[^\n]*{name}[^\n]*{says}[^\n]*$"):
            read_mask(tmp_path / name)


def test_another_size_and_a_mask_of_everything_are_refused():
    with pytest.raises(MicrographError, match="mask is 30 x 20 pixels and the image 24 x 20 pixels"):
        masked(micrograph((20, 24)), MASK)
    with pytest.raises(MicrographError, match="covers the whole image"):
        masked(micrograph(), np.ones(MASK.shape, bool))


def test_an_empty_mask_is_none_and_parts_and_negatives_keep_theirs():
    assert masked(micrograph(), np.zeros(MASK.shape, bool)).excluded is None
    one = masked(micrograph(), MASK)
    np.testing.assert_array_equal(one.inverted().excluded, MASK)
    part = one.cropped(slice(4, 20), slice(0, 16))
    np.testing.assert_array_equal(part.excluded, MASK[4:20, :16])
    np.testing.assert_array_equal(one.analysed.valid, ~MASK)
    assert micrograph().analysed.shape == MASK.shape
