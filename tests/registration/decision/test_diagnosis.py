from __future__ import annotations

import numpy as np
import pytest
from gaussian_scene import counted, render

from napari_stemprior.errors import PixelSizeError
from napari_stemprior.registration import Pose
from napari_stemprior.registration.fit import diagnose
from napari_stemprior.structure import built_in

PIXEL = 0.2
SHAPE = (224, 240)


def _image(name, pixel=PIXEL, angle=10.0):
    prior = built_in(name)
    return counted(render(prior, Pose.from_angle(angle, pixel, (4, 7)), SHAPE, pixel), 3000, pixel)


def test_a_fit_is_said():
    assert diagnose(_image("MoS2"), PIXEL, built_in("MoS2")) == "The lattice of MoS2 fits."


def test_two_lattices_are_told_with_their_turn():
    left = np.arange(SHAPE[1]) < SHAPE[1] // 2
    image = np.where(left, _image("Au [110]", angle=10), _image("Au [110]", angle=37))
    said = diagnose(image, PIXEL, built_in("Au [110]"))
    assert "fits 2 times" in said
    turn = float(said.split("turned by ")[1].split("°")[0])
    assert abs(turn - 27) < 0.5


@pytest.mark.parametrize(
    ("shown", "pixel", "prior", "words"),
    [
        ("SrTiO3 [001]", PIXEL, "Al [100]", "larger cell"),
        ("MoS2", PIXEL / 1.09, "MoS2", "where 0.2 is stated"),
        ("graphene", PIXEL, "SrTiO3 [001]", "crystal"),
    ],
)
def test_an_objection_is_said(shown, pixel, prior, words):
    said = diagnose(_image(shown, pixel), PIXEL, built_in(prior))
    assert words in said
    assert said.endswith(".")
    assert "fits." not in said


def test_no_lattice_is_told():
    noise = np.random.default_rng(0).poisson(0.3, SHAPE).astype(float)
    assert "shows no lattice" in diagnose(noise, PIXEL, built_in("MoS2"))


def test_a_lattice_finer_than_the_pixels_is_told():
    with pytest.raises(PixelSizeError, match="less than three pixels"):
        diagnose(np.random.default_rng(0).normal(size=(200, 200)), 1.5, built_in("MoS2"))
