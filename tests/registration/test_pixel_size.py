from __future__ import annotations

import numpy as np
import pytest
from gaussian_scene import counted, render, worst

from napari_stemprior.errors import PixelSizeError, RegistrationError
from napari_stemprior.registration import Pose, fit_pixel_size
from napari_stemprior.structure import built_in

SHAPE = (320, 320)


@pytest.mark.parametrize(
    ("name", "pixel", "guess"),
    [
        ("MoS2", 0.15, 0.12),
        ("MoS2", 0.15, 0.19),
        ("Si [110]", 0.1, None),
        ("SrTiO3 [001]", 0.21, None),
        ("Au [110]", 0.12, None),
    ],
)
def test_the_lattice_tells_the_pixel_size(name, pixel, guess):
    prior = built_in(name)
    true = Pose.from_angle(50, pixel, (33, 44))
    image = counted(render(prior, true, SHAPE, pixel), 5000, pixel)
    found, pose = fit_pixel_size(image, prior, guess=guess)
    assert pose.is_fit
    assert abs(found / pixel - 1) < 0.004
    assert found == pytest.approx(pose.pixel_size)
    assert worst(prior, true, pose, SHAPE, pixel) < 0.15


def test_noise_gives_a_pose_that_is_no_fit():
    image = np.random.default_rng(1).poisson(2.0, (200, 200)).astype(float)
    assert not fit_pixel_size(image, built_in("MoS2"), guess=0.2)[1].is_fit


@pytest.mark.parametrize("guess", [0.0, -1.0, float("nan")])
def test_a_guess_must_be_positive(guess):
    with pytest.raises(PixelSizeError, match="positive"):
        fit_pixel_size(np.eye(64), built_in("MoS2"), guess=guess)


def test_an_image_too_small_for_any_pixel_size_is_refused():
    image = np.random.default_rng(1).normal(size=(16, 16))
    with pytest.raises(RegistrationError, match="No pixel size between"):
        fit_pixel_size(image, built_in("SrTiO3 [001]"))
