"""The priors of a library that are worth being laid on an image."""

from __future__ import annotations

import numpy as np
import pytest
from gaussian_scene import counted, render

from napari_stemprior.progress import Progress, drain
from napari_stemprior.registration import Pose
from napari_stemprior.registration.fourier.features import FourierFeatures, fourier_features
from napari_stemprior.registration.fourier.normalized_image import preprocess
from napari_stemprior.registration.shortlist import MOST, is_like_any, seen_amplitudes, shortlist
from napari_stemprior.structure import built_in, names

PIXEL, SHAPE = 0.2, (320, 340)
LIBRARY = [built_in(name) for name in names()]


def features_of(image: np.ndarray, pixel_size: float = PIXEL) -> FourierFeatures:
    return drain(fourier_features(preprocess(np.asarray(image, np.float32), pixel_size)))


def shown(name: str, dose: float = 1000) -> np.ndarray:
    return counted(render(built_in(name), Pose.from_angle(31.0, PIXEL, (40, 50)), SHAPE, PIXEL), dose, PIXEL)


@pytest.mark.parametrize("name", ["MoS2", "SrTiO3 [110]", "Si [110]", "Pt [111]", "LiFePO4 [010]", "ReS2"])
def test_the_crystal_of_an_image_is_on_it_and_most_of_the_library_is_not(name: str) -> None:
    seen = drain(seen_amplitudes([features_of(shown(name))], 1))
    assert seen is not None
    for scales, most in (((0.825, 1.21), 9), ((0.4, 6.0), 4)):
        chosen = drain(shortlist(seen[1], LIBRARY, scales, lambda _: 1.0, most))
        listed = [match.prior.name for match in chosen]
        assert name in listed
        assert len(listed) <= MOST < len(LIBRARY)
        assert listed == [prior.name for prior in LIBRARY if prior.name in listed]  # in the order given


def test_of_several_pixel_sizes_that_one_counts_in_which_most_is_seen() -> None:
    image = shown("MoS2")
    seen = drain(seen_amplitudes([features_of(image, size) for size in (0.03, 0.2)], 1))
    assert seen is not None
    assert seen[0] == 1


def test_trust_in_the_scale_decides_what_is_left_out() -> None:
    seen = drain(seen_amplitudes([features_of(shown("Au [100]"))], 1))
    assert seen is not None
    near = drain(shortlist(seen[1], LIBRARY, (0.97, 1.03), lambda _: 1.0))
    far = drain(shortlist(seen[1], LIBRARY, (0.825, 1.21), lambda _: 1.0))
    assert {m.prior.name for m in near} < {m.prior.name for m in far}
    assert all(0.97 <= match.scale <= 1.03 for match in near)


def test_a_lattice_is_known_at_any_scale_or_unknown_at_all() -> None:
    seen = drain(seen_amplitudes([features_of(shown("MoS2"), 2.3 * PIXEL)], 1))
    assert seen is not None
    assert drain(is_like_any(seen[1], [built_in("graphene"), built_in("WS2")]))
    assert not drain(is_like_any(seen[1], [built_in("SrTiO3 [001]"), built_in("Fe [100]")]))


def test_noise_shows_no_lattice_and_the_progress_is_told() -> None:
    noise = np.random.default_rng(0).poisson(2.0, SHAPE)
    work = seen_amplitudes([features_of(noise)], 7)
    assert next(work) == Progress(0, 7, "comparing cells and structure factors")
    assert drain(work) is None
