"""What the score makes of strain at much signal, of little signal, and of none."""

from __future__ import annotations

import numpy as np
import pytest
from gaussian_scene import counted, render, worst
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from napari_stemprior.registration import Pose, register
from napari_stemprior.registration.decision.null import chance_significance, undistorted_credit
from napari_stemprior.registration.fit import register_candidates
from napari_stemprior.registration.fourier.normalized_image import preprocess
from napari_stemprior.structure import built_in

PIXEL = 0.2


def _bend(yx):
    """Bend by 0.5 Å with wavelengths of some 30 Å: strains up to a tenth."""
    y, x = yx.T * PIXEL
    waves = [
        np.sin(2 * np.pi * (0.92 * y + 0.39 * x) / 29 + 1.7),
        np.sin(2 * np.pi * (0.84 * y + 0.55 * x) / 33),
    ]
    return 0.5 / PIXEL * np.stack(waves, axis=1)


@pytest.mark.parametrize("angle", [15, 66])
@pytest.mark.parametrize("name", ["WSe2", "SrTiO3 [110]", "GaAs [110]"])
def test_a_bent_crystal_fits_at_much_signal_and_its_map_is_not_strained(name, angle):
    prior, shape = built_in(name), (270, 270)
    true = Pose.from_angle(angle, PIXEL, (60, 60))
    image = counted(render(prior, true, shape, PIXEL, warp=_bend), 2e4, PIXEL)
    best = register(image, PIXEL, prior)[0]
    assert best.score > 0.8
    stretch = np.linalg.svd(best.affine * PIXEL, compute_uv=False)
    assert np.abs(stretch - 1).max() < 0.02
    # the affine map lies in the middle of the bend: the field is left to do the rest
    assert worst(prior, true, best, shape, PIXEL) < 0.45


def test_a_honeycomb_without_a_visible_peak_fits():
    prior, shape = built_in("graphene"), (200, 200)
    true = Pose.from_angle(30, PIXEL, (60, 60))
    scores = []
    for seed in range(12):
        image = counted(render(prior, true, shape, PIXEL, width=0.55), 55, PIXEL, seed)
        found = register_candidates(preprocess(image, PIXEL), prior)[0].quality
        if np.isnan(found.explained_power):
            scores.append(found.score)
        if found.score > 0.5:  # what is called a fit lies right
            assert worst(prior, true, register(image, PIXEL, prior)[0], shape, PIXEL) < 0.5
    assert len(scores) >= 4
    assert np.median(scores) > 0.5  # at this dose the columns are on the edge of what can be seen


@pytest.mark.parametrize("size", [150, 600])
@pytest.mark.parametrize("name", ["MoS2", "graphene", "Au [110]"])
def test_noise_of_any_size_is_refused_though_no_peak_speaks_against_it(name, size):
    prior = built_in(name)
    blank = 0
    for seed in range(3):
        rng = np.random.default_rng(seed)
        film = gaussian_filter(rng.normal(size=(size, size)), 2.2)
        film = rng.poisson(2 * np.clip(1 + 0.6 * film / film.std(), 0, None))
        for image in (rng.poisson(0.3, (size, size)), film):
            found = register_candidates(preprocess(image.astype(np.float32), PIXEL), prior)
            assert max(p.quality.score for p in found) < 0.35
            blank += np.isnan(found[0].quality.explained_power)
    assert blank >= 4  # or the branch is not tested


def test_noise_is_allowed_more_on_a_larger_image():
    extents = np.array([28.0, 44.0, 100.0, 175.0, 350.0])
    reached = np.array([2.9, 4.1, 5.6, 6.8, 10.3])  # see chance_significance
    assert np.abs([chance_significance(e) for e in extents] - reached).max() < 0.7


@given(scale=st.floats(-0.2, 0.2), strain=st.floats(0, 0.2), more=st.floats(1, 5))
def test_a_lattice_earns_less_the_more_it_is_distorted(scale, strain, more):
    earned = undistorted_credit(scale, strain)
    assert 0 <= undistorted_credit(more * scale, more * strain) <= earned <= undistorted_credit(0, 0) == 1
    assert undistorted_credit(-scale, strain) == earned


def test_a_weak_lattice_fits_at_its_pixel_size_and_is_doubtful_at_another():
    prior = built_in("graphene")
    pose = Pose.from_angle(17, PIXEL, (30, 40))
    image = counted(render(prior, pose, (192, 192), PIXEL), 30, PIXEL, seed=2)
    found = {by: register_candidates(preprocess(image, PIXEL * by), prior)[0].quality for by in (1, 1.05)}
    assert abs(found[1].significance - found[1.05].significance) < 0.3
    assert found[1].score > 0.6
    assert found[1.05].score < 0.5
