"""An image is asked for order in blocks, none of them too narrow to tell."""

import numpy as np
import pytest

from napari_stemprior.inference import image_support
from napari_stemprior.inference.image_support import ImageSupport
from napari_stemprior.progress import drain
from napari_stemprior.recording import PreparedImage

PIXEL = 0.2


def test_blocks_cover_the_image_once_and_none_is_narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_support, "_BLOCK", 128)
    for shape in ((129, 128), (300, 257), (128, 64), (1000, 130)):
        image = PreparedImage.of(np.random.default_rng(0).poisson(4.0, shape).astype(np.float32))
        support = drain(ImageSupport.of(image, PIXEL, strict=True))
        seen = np.zeros(shape, int)
        for rows, columns in support._blocks:
            seen[rows, columns] += 1
            assert 128 >= rows.stop - rows.start >= min(64, shape[0])
            assert 128 >= columns.stop - columns.start >= min(64, shape[1])
        assert (seen == 1).all()


def test_noise_that_is_a_little_larger_than_a_block_is_no_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_support, "_BLOCK", 256)
    image = PreparedImage.of(np.random.default_rng(1).poisson(4.0, (258, 256)).astype(np.float32))
    support = drain(ImageSupport.of(image, PIXEL, strict=True))
    assert support.unordered
    assert not drain(support.tells(np.array([[20.0, 20.0], [257.0, 255.0]]))).any()
    assert support.only_noise
