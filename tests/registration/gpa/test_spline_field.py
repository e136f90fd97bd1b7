"""A bent lattice is followed to the border, by a spline where the image is small and by tracking beyond."""

from __future__ import annotations

import numpy as np
import pytest
from gaussian_scene import counted, misplaced, render

from napari_stemprior.registration import Pose, fit_pose_field
from napari_stemprior.registration.gpa.spline_field import SplineDisplacement, is_small
from napari_stemprior.structure import built_in


def _wave(pixel, length):
    """Bend by 0.4 Å along each axis, with waves of a length in Å."""

    def move(yx):
        phase = 2 * np.pi * yx * pixel / length
        return 0.4 / pixel * np.sin(phase @ np.array([[0.9, 0.3], [-0.4, 1.0]]) + (1, 2))

    return move


def _left(name, shape, pixel, dose, length):
    """Distance in Å of every true column to the field's, and its distance to the border."""
    prior, warp = built_in(name), _wave(pixel, length)
    true = Pose.from_angle(23, pixel, (70, 90))
    image = counted(render(prior, true, shape, pixel, warp=warp), dose, pixel)
    yx, index = true.columns(prior, shape)
    yx = yx + warp(yx)
    inside = ((yx > 1 / pixel) & (yx < np.array(shape) - 1 - 1 / pixel)).all(1)
    field = fit_pose_field(image, pixel, prior, true)
    left = misplaced(prior, (yx[inside], index[inside]), field.columns(prior, shape, 20)[:2], pixel)
    border = np.minimum(yx[inside], np.array(shape) - 1 - yx[inside]).min(1) * pixel
    return left, border, field


@pytest.mark.parametrize(("name", "dose"), [("graphene", 1000), ("MoS2", 1000), ("SrTiO3 [110]", 3000)])
def test_a_short_bend_is_followed_up_to_the_border(name, dose):
    left, border, field = _left(name, (240, 250), 0.2, dose, 45)
    assert np.sqrt((left**2).mean()) < 0.09
    assert np.sqrt((left[border < 5] ** 2).mean()) < 0.12
    assert left.max() < 0.43
    assert 0 < field.error < 0.1


def test_the_error_falls_with_the_dose():
    errors = [_left("MoS2", (200, 200), 0.2, dose, 45)[2].error for dose in (300, 3000, 30000)]
    assert errors[0] > 1.3 * errors[1] > 1.3**2 * errors[2]


def test_a_large_image_is_still_followed():
    assert is_small(np.array([100.0, 100.0]))
    assert not is_small(np.array([120.0, 120.0]))
    left, border, _ = _left("SrTiO3 [001]", (400, 400), 0.3, 10_000, 60)
    assert np.sqrt((left[border > 5] ** 2).mean()) < 0.12


def test_a_bend_goes_on_at_its_border_as_it_ends():
    coefficients = np.random.default_rng(0).normal(size=(8, 9, 2))
    bent = SplineDisplacement(coefficients, np.array([40.0, 48.0]), 0.0)
    at = bent.at(np.array([-3.0, 0.0, 40.0, 55.0]), np.array([10.0, 48.0, 60.0]))
    np.testing.assert_allclose(at[0], at[1])
    np.testing.assert_allclose(at[2], at[3])
    np.testing.assert_allclose(at[:, 1], at[:, 2])
    assert np.abs(at[1] - at[2]).max() > 0.1
