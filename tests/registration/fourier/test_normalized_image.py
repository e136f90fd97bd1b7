"""Of an image without contrast no lattice can be seen, which is said."""

from dataclasses import replace

import numpy as np
import pytest

from napari_stemprior.errors import RegistrationError
from napari_stemprior.progress import drain
from napari_stemprior.recording import PreparedImage
from napari_stemprior.registration.fourier.normalized_image import preprocess
from napari_stemprior.registration.ranking import rank_priors
from napari_stemprior.structure import built_in


def flat() -> PreparedImage:
    return PreparedImage.of(np.full((300, 300), 7.0, np.float32))


def all_excluded() -> PreparedImage:
    noise = PreparedImage.of(np.random.default_rng(0).poisson(9, (300, 300)).astype(np.float32))
    return replace(noise, valid=np.zeros(noise.shape, bool))


@pytest.mark.parametrize("image", [flat(), all_excluded()], ids=["flat", "all excluded"])
@pytest.mark.parametrize("pixel_size", [0.1, 0.5])
def test_no_contrast_is_said(image: PreparedImage, pixel_size: float) -> None:
    with pytest.raises(RegistrationError, match="no contrast"):
        preprocess(image, pixel_size)
    with pytest.raises(RegistrationError, match="no contrast"):
        drain(rank_priors(image, pixel_size, [built_in("MoS2")]))


def test_what_is_even_in_part_is_not_without_contrast() -> None:
    image = np.full((300, 300), 7.0, np.float32)
    image[150:] = np.random.default_rng(0).poisson(9, (150, 300))
    assert np.isfinite(preprocess(PreparedImage.of(image), 0.1).image).all()
