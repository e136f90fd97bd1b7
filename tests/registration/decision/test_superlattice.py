"""Power where a lattice has none."""

from __future__ import annotations

import numpy as np
import pytest
from gaussian_scene import counted, render

from napari_stemprior.registration import Pose
from napari_stemprior.registration.decision.superlattice import absent_reflections
from napari_stemprior.registration.fit import register_candidates
from napari_stemprior.registration.fourier.normalized_image import preprocess
from napari_stemprior.registration.fourier.reflections import list_reflections
from napari_stemprior.structure import built_in

PIXEL = 0.2
SHAPE = (224, 240)


@pytest.mark.parametrize("name", ["MoS2", "SrTiO3 [001]", "GaN [11-20]"])
def test_dark_reflections_are_no_bright_ones_and_are_simple_fractions(name):
    prior = built_in(name)
    dark, bright = absent_reflections(prior, 0.85), list_reflections(prior, 0.85)
    for sign in (1, -1):
        apart = np.linalg.norm(dark.g[:, None] - sign * bright.g[None], axis=-1)
        assert apart.min() > 0.05
    fraction = dark.g @ prior.cell.T * 6
    np.testing.assert_allclose(fraction, np.round(fraction), atol=1e-9)


@pytest.mark.parametrize(("shown", "subset"), [("SrTiO3 [001]", "Al [100]"), ("SrTiO3 [110]", "Pt [110]")])
def test_a_lattice_that_takes_every_other_fringe_is_refused(shown, subset):
    image = counted(render(built_in(shown), Pose.from_angle(27, PIXEL, (5, 9)), SHAPE, PIXEL), 3000, PIXEL)
    flat = preprocess(image, PIXEL)
    right, wrong = (register_candidates(flat, built_in(n))[0].quality for n in (shown, subset))
    assert right.superlattice < 0.02
    assert right.score > 0.9
    assert wrong.superlattice > 0.15
    assert wrong.score < 0.5


def test_another_grain_does_not_speak_against_a_lattice():
    prior = built_in("Au [110]")
    first = render(prior, Pose.from_angle(10, PIXEL, (1, 2)), SHAPE, PIXEL)
    second = render(prior, Pose.from_angle(37, PIXEL, (1, 2)), SHAPE, PIXEL)
    image = counted(np.where(np.arange(SHAPE[1]) < SHAPE[1] // 2, first, second), 3000, PIXEL)
    best = register_candidates(preprocess(image, PIXEL), prior)[0]
    assert best.quality.superlattice < 0.02
    assert best.quality.score > 0.8
