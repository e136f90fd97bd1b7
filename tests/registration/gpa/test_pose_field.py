from __future__ import annotations

import numpy as np
import pytest
from gaussian_scene import counted, misplaced, render

from napari_stemprior.errors import MicrographError
from napari_stemprior.registration import Pose, fit_pose_field, register
from napari_stemprior.structure import built_in

PIXEL = 0.2
SHAPE = (300, 320)


def _bend(yx):
    """A wave of 0.5 Å and some 60 Å long: strains up to 5 %."""
    return 2.5 * np.stack([np.sin(yx[:, 1] / 48 + 1), np.sin(yx[:, 0] / 48)], axis=1)


@pytest.mark.parametrize(("name", "dose"), [("MoS2", 1000), ("SrTiO3 [001]", 3000)])
def test_smooth_strain_is_followed(name, dose):
    prior = built_in(name)
    true = Pose.from_angle(20, PIXEL, (100, 120))
    image = counted(render(prior, true, SHAPE, PIXEL, warp=_bend), dose, PIXEL)
    places, index = true.columns(prior, SHAPE)
    places = places + _bend(places)
    pose = register(image, PIXEL, prior)[0]
    assert pose.is_fit
    stiff = misplaced(prior, (places, index), pose.columns(prior, SHAPE, 20), PIXEL)
    field = fit_pose_field(image, PIXEL, prior, pose)
    bent = misplaced(prior, (places, index), field.columns(prior, SHAPE, 20)[:2], PIXEL)
    assert np.sqrt((bent**2).mean()) < 0.16
    assert np.sqrt((bent**2).mean()) < 0.4 * np.sqrt((stiff**2).mean())


@pytest.mark.parametrize("dose", [300, 3000])
def test_noise_does_not_bend_a_perfect_crystal(dose):
    prior = built_in("MoS2")
    true = Pose.from_angle(20, PIXEL, (100, 120))
    image = counted(render(prior, true, SHAPE, PIXEL), dose, PIXEL)
    field = fit_pose_field(image, PIXEL, prior, true)
    assert np.sqrt((field.displacement**2).sum(-1).mean()) * PIXEL < 0.03
    assert field.error < 0.05


def test_a_hole_is_not_reliable_and_the_crystal_is():
    prior = built_in("MoS2")
    true = Pose.from_angle(20, PIXEL, (100, 120))
    centre = np.array([150, 120])
    clear = render(prior, true, SHAPE, PIXEL, keep=lambda yx: np.hypot(*(yx - centre).T) > 45)
    image = counted(clear, 3000, PIXEL)
    positions, _, reliability = fit_pose_field(image, PIXEL, prior, true).columns(prior, SHAPE)
    distance = np.hypot(*(positions - centre).T)
    assert reliability.min() >= 0
    assert reliability.max() <= 1
    assert reliability[distance < 25].max() < 0.3
    assert np.percentile(reliability[distance > 65], 5) > 0.8


def test_another_grain_is_not_reliable():
    prior = built_in("Si [110]")
    own, other = Pose.from_angle(20, PIXEL, (100, 120)), Pose.from_angle(75, PIXEL, (100, 120))
    left = np.arange(SHAPE[1]) < 160
    picture = np.where(left, render(prior, own, SHAPE, PIXEL), render(prior, other, SHAPE, PIXEL))
    field = fit_pose_field(counted(picture, 3000, PIXEL), PIXEL, prior, own)
    positions, _, reliability = field.columns(prior, SHAPE)
    assert np.median(reliability[positions[:, 1] < 130]) > 0.9
    assert reliability[positions[:, 1] > 190].max() < 0.2


def test_columns_keep_to_the_image_and_the_margin():
    prior = built_in("graphene")
    true = Pose.from_angle(20, PIXEL, (100, 120))
    image = counted(render(prior, true, SHAPE, PIXEL, warp=_bend), 5000, PIXEL)
    field = fit_pose_field(image, PIXEL, prior, register(image, PIXEL, prior)[0])
    for margin in (0.0, 12.0):
        positions, index, reliability = field.columns(prior, SHAPE, margin)
        assert positions.shape == (len(index), 2)
        assert len(reliability) == len(index)
        assert (positions >= -0.5 - margin).all()
        assert (positions < np.array(SHAPE) - 0.5 + margin).all()
    # a column of graphene takes 2.62 Å²
    inside = field.columns(prior, SHAPE)[0]
    assert abs(len(inside) / (SHAPE[0] * SHAPE[1] * PIXEL**2 / 2.62) - 1) < 0.05


def test_fine_pixels_give_displacements_in_their_own_pixels():
    prior = built_in("SrTiO3 [001]")
    pixel, shape = 0.1, (400, 400)
    true = Pose.from_angle(20, pixel, (100, 120))
    image = counted(render(prior, true, shape, pixel), 5000, pixel)
    shifted = Pose(true.affine, true.origin + np.array([3.0, -2.0]))
    moved = fit_pose_field(image, pixel, prior, shifted).displacement_at([(200, 200), (100, 300)])
    np.testing.assert_allclose(moved, [(-3, 2), (-3, 2)], atol=0.2)


def test_an_image_without_numbers_is_refused():
    image = np.full(SHAPE, np.nan)
    with pytest.raises(MicrographError, match="No pixel"):
        fit_pose_field(image, PIXEL, built_in("MoS2"), Pose.from_angle(0, PIXEL))
