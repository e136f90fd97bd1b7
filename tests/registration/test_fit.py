from __future__ import annotations

import numpy as np
import pytest
from gaussian_scene import counted, misplaced, render, worst
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from napari_stemprior.errors import MicrographError, PixelSizeError, RegistrationError
from napari_stemprior.registration import Pose, register
from napari_stemprior.structure import Column, StructurePrior, built_in

PIXEL = 0.2
SHAPE = (224, 240)

#: A cell without any symmetry: neither its lattice nor its basis is its own mirror image.
OBLIQUE = StructurePrior(
    "oblique",
    "as is",
    np.array([[4.1, 0.0], [1.3, 5.2]]),
    (
        Column((0.0, 0.0), (("Mo", 1),), site="Mo1"),
        Column((0.4, 0.27), (("S", 2),), site="S1"),
        Column((0.62, 0.71), (("Ti", 1),), site="Ti1"),
    ),
)


@settings(max_examples=10)
@given(
    name=st.sampled_from(["MoS2", "SrTiO3 [001]", "Si [110]", "oblique"]),
    angle=st.floats(0, 360),
    y=st.floats(0, 100),
    x=st.floats(0, 100),
    mirrored=st.booleans(),
)
def test_any_rotation_translation_and_mirror_is_found(name, angle, y, x, mirrored):
    prior = OBLIQUE if name == "oblique" else built_in(name)
    true = Pose.from_angle(angle, PIXEL, (y, x), mirrored=mirrored)
    image = counted(render(prior, true, SHAPE, PIXEL), 2000, PIXEL)
    best = register(image, PIXEL, prior)[0]
    assert best.is_fit
    assert worst(prior, true, best, SHAPE, PIXEL) < 0.2


def test_the_mirror_of_a_chiral_cell_is_told():
    for mirrored in (False, True):
        true = Pose.from_angle(33, PIXEL, (40, 50), mirrored=mirrored)
        image = counted(render(OBLIQUE, true, SHAPE, PIXEL), 2000, PIXEL)
        assert register(image, PIXEL, OBLIQUE)[0].mirrored is mirrored


def test_turning_the_image_turns_the_pose():
    prior = built_in("GaAs [110]")
    image = counted(render(prior, Pose.from_angle(17, PIXEL, (30, 40)), SHAPE, PIXEL), 2e4, PIXEL)
    places, index = register(image, PIXEL, prior)[0].columns(prior, SHAPE)
    turned = image.T[::-1]  # a quarter turn: (y, x) goes to (W - 1 - x, y)
    moved = np.column_stack([SHAPE[1] - 1 - places[:, 1], places[:, 0]])
    found = register(turned, PIXEL, prior)[0].columns(prior, turned.shape, margin=20)
    assert misplaced(prior, (moved, index), found, PIXEL).max() < 0.05


@pytest.mark.parametrize("name", ["MoS2", "graphene", "SrTiO3 [001]", "Si [110]"])
def test_a_tenth_of_a_count_per_pixel_is_enough(name):
    prior = built_in(name)
    true = Pose.from_angle(101, PIXEL, (11, 7))
    image = counted(render(prior, true, (256, 256), PIXEL), 300, PIXEL)
    assert image.mean() < 0.2
    best = register(image, PIXEL, prior)[0]
    assert best.is_fit
    assert worst(prior, true, best, (256, 256), PIXEL) < 0.2


def test_strain_and_a_wrong_pixel_size_are_borne():
    prior = built_in("SrTiO3 [001]")
    rigid = Pose.from_angle(24, PIXEL, (11, 7))
    true = Pose(np.array([[1.02, 0.025], [-0.01, 0.985]]) @ rigid.affine, rigid.origin)
    image = counted(render(prior, true, SHAPE, PIXEL), 3000, PIXEL)
    best = register(image, PIXEL * 1.03, prior)[0]
    assert best.is_fit
    assert worst(prior, true, best, SHAPE, PIXEL) < 0.15
    np.testing.assert_allclose(best.pixel_size, true.pixel_size, rtol=2e-3)


def test_corners_of_a_large_image_are_right():
    prior = built_in("Au [110]")
    shape = (900, 1000)
    true = Pose.from_angle(63, 0.25, (444, 321))
    image = counted(render(prior, true, shape, 0.25), 500, 0.25)
    assert worst(prior, true, register(image, 0.25, prior)[0], shape, 0.25) < 0.05


def test_fine_pixels_and_a_hole_and_a_bright_background_are_borne():
    prior = built_in("MoS2")
    shape = (400, 400)
    true = Pose.from_angle(-8, 0.12, (100, 130))
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    clear = render(prior, true, shape, 0.12, keep=lambda yx: np.hypot(*(yx - (180, 210)).T) > 70)
    image = counted(clear + 2 * np.exp(-(((rows - 50) / 90) ** 2) - ((columns - 300) / 120) ** 2), 5000, 0.12)
    best = register(image, 0.12, prior)[0]
    assert best.is_fit
    assert worst(prior, true, best, shape, 0.12) < 0.1


def test_the_brighter_sublattice_is_molybdenum():
    prior = built_in("MoS2")
    true = Pose.from_angle(5, PIXEL, (60, 60))
    poses = register(counted(render(prior, true, SHAPE, PIXEL), 1000, PIXEL), PIXEL, prior)
    assert worst(prior, true, poses[0], SHAPE, PIXEL) < 0.2
    swapped = [p for p in poses[1:] if worst(prior, true, p, SHAPE, PIXEL) > 0.5]
    assert swapped
    assert poses[0].score > swapped[0].score + 0.1


def test_candidates_are_limited_and_sorted():
    prior = built_in("GaAs [110]")
    image = counted(render(prior, Pose.from_angle(5, PIXEL, (60, 60)), SHAPE, PIXEL), 1000, PIXEL)
    poses = register(image, PIXEL, prior, candidates=2)
    assert len(poses) == 2
    assert poses[0].score >= poses[1].score
    # the two differ by half a turn, which exchanges gallium and arsenic
    assert worst(prior, poses[0], poses[1], SHAPE, PIXEL) > 0.5


@pytest.mark.parametrize(
    ("shown", "prior"),
    [
        ("MoS2", "graphene"),
        ("MoS2", "SrTiO3 [001]"),
        ("MoS2", "Si [110]"),
        ("MoS2", "MoTe2"),
        ("graphene", "MoS2"),
        ("Si [110]", "SrTiO3 [001]"),
        ("SrTiO3 [001]", "Si [110]"),
        ("Au [110]", "Au [100]"),
    ],
)
def test_a_wrong_material_is_no_clean_fit(shown, prior):
    right = built_in(shown)
    image = counted(render(right, Pose.from_angle(40, PIXEL, (1, 2)), SHAPE, PIXEL), 3000, PIXEL)
    assert not register(image, PIXEL, built_in(prior))[0].is_clean


@pytest.mark.parametrize("name", ["MoS2", "graphene", "SrTiO3 [001]", "Au [110]", "TiO2 rutile [001]"])
def test_noise_and_an_amorphous_film_are_no_fit(name):
    rng = np.random.default_rng(4)
    noise = rng.poisson(0.1, SHAPE).astype(np.float32)
    film = gaussian_filter(rng.normal(size=SHAPE), 2.2)
    film = rng.poisson(2 * np.clip(1 + 0.6 * film / film.std(), 0, None)).astype(np.float32)
    for image in (noise, film):
        assert not register(image, PIXEL, built_in(name))[0].is_fit


def test_reflections_of_two_grains_do_not_make_one_lattice():
    prior = built_in("Au [110]")
    first = render(prior, Pose.from_angle(10, PIXEL, (1, 2)), SHAPE, PIXEL)
    second = render(prior, Pose.from_angle(62, PIXEL, (1, 2)), SHAPE, PIXEL)
    image = counted(np.where(np.arange(SHAPE[1]) < SHAPE[1] // 2, first, second), 3000, PIXEL)
    poses = register(image, PIXEL, prior)
    angles = [p.angle % 180 for p in poses if p.is_fit]
    assert len(angles) == 2
    assert sorted(round(a) for a in angles) in ([10, 62], [10, 62 + 180])


def test_bad_images_are_refused_in_one_sentence():
    prior = built_in("MoS2")
    good = counted(render(prior, Pose.from_angle(0, PIXEL), SHAPE, PIXEL), 1000, PIXEL)
    for bad, word in (
        (np.full(SHAPE, np.nan), "No pixel"),
        (np.ones(SHAPE), "same value"),
        (good[0], "2-D"),
        (good + 1j, "complex"),
    ):
        with pytest.raises(MicrographError, match=word):
            register(bad, PIXEL, prior)
    with pytest.raises(RegistrationError, match="at least 16"):
        register(good[:4], PIXEL, prior)


def test_pixels_that_are_no_numbers_do_not_count():
    prior = built_in("MoS2")
    good = counted(render(prior, Pose.from_angle(7, PIXEL, (4, 9)), SHAPE, PIXEL), 1000, PIXEL)
    hurt = good.copy()
    hurt[:20] = np.nan
    hurt[100, 40] = np.inf
    whole, part = register(good, PIXEL, prior)[0], register(hurt, PIXEL, prior)[0]
    assert part.is_clean
    np.testing.assert_allclose(part.affine, whole.affine, rtol=0.01)


@pytest.mark.parametrize("size", [0.0, -0.2, float("nan"), float("inf")])
def test_a_pixel_size_must_be_positive(size):
    with pytest.raises(PixelSizeError, match="positive"):
        register(np.eye(64), size, built_in("MoS2"))


def test_less_than_three_cells_are_refused_with_the_field_of_view():
    with pytest.raises(PixelSizeError, match=r"0\.02 Å/px the field of view is 5\.12 x 5\.12 Å"):
        register(np.random.default_rng(0).normal(size=(256, 256)), 0.02, built_in("MoS2"))


def test_too_coarse_pixels_are_refused():
    with pytest.raises(PixelSizeError, match="less than three pixels"):
        register(np.random.default_rng(0).normal(size=(256, 256)), 2.0, built_in("MoS2"))


def test_a_small_grain_is_found_beside_a_large_one_and_comes_second():
    prior = built_in("MoS2")
    poses = [Pose.from_angle(angle, PIXEL, (1, 2)) for angle in (10, 27)]
    corner = np.add.outer(np.arange(SHAPE[0]) / SHAPE[0], np.arange(SHAPE[1]) / SHAPE[1]) < 0.75
    large, small = (render(prior, pose, SHAPE, PIXEL) for pose in poses)
    image = counted(np.where(corner, small, large), 3000, PIXEL)
    fits = [p for p in register(image, PIXEL, prior) if p.is_fit]
    for pose, place in zip(poses, ((170, 180), (50, 55)), strict=True):
        own, index = pose.columns(prior, SHAPE)
        inside = np.hypot(*(own - place).T) < 40
        far = [
            misplaced(prior, (own[inside], index[inside]), fit.columns(prior, SHAPE, margin=20), PIXEL).max()
            for fit in fits
        ]
        assert min(far) < 0.2
    assert abs((fits[0].angle - 10 + 30) % 60 - 30) < 0.2
