"""Grains that a person has locked: they stay, and the rest is fitted around them."""

from dataclasses import replace

import numpy as np
import pytest
from two_grains import PIXEL, SHAPE, TwoGrains

from napari_stemprior.progress import drain
from napari_stemprior.recording import PreparedImage
from napari_stemprior.recording.prepared_strips import prepare_strips
from napari_stemprior.recording.stored_image import stored
from napari_stemprior.registration import LatticeFit, Pose, fit_lattice, follow_lattice
from napari_stemprior.registration.fit_lattice import refine_fit
from napari_stemprior.registration.grain import Grain, around, covering_radius
from napari_stemprior.registration.lattice_fit import MIN_RELIABILITY, straight_sites
from napari_stemprior.registration.locked_grains import holding, locked_alone, locking
from napari_stemprior.scratch_arrays import ScratchArrays
from napari_stemprior.structure import StructurePrior, built_in
from napari_stemprior.structure.lattice_sites import LatticeSites

PRIOR = built_in("WS2")


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return TwoGrains(PRIOR).image(PRIOR)


@pytest.fixture(scope="module")
def fit(image: np.ndarray) -> LatticeFit:
    return fit_lattice(image, PIXEL, PRIOR)


def rows(sites: LatticeSites) -> set[tuple[float, ...]]:
    return set(map(tuple, np.column_stack([sites.yx, sites.column, sites.reliability]).tolist()))


def half(pose: Pose, *, left: bool) -> Grain:
    """Make a grain of the straight lattice of a pose on one half of the image."""
    sites = straight_sites(LatticeFit(PRIOR, (pose,)), SHAPE)
    return Grain.of(PRIOR, pose, sites.where((sites.yx[:, 1] < 160) == left), None)


@pytest.mark.parametrize(
    ("name", "expected"),
    # farthest from a column: the middle of a hexagon, and of the triangle of Sr, Sr and Ti
    [("graphene", 2.46 / np.sqrt(3)), ("SrTiO3 [001]", np.sqrt(2) / 2 * 3.905 / 2)],
)
def test_the_reach_of_a_site_is_the_radius_that_leaves_no_place_out(name: str, expected: float) -> None:
    assert covering_radius(built_in(name)) == pytest.approx(expected, rel=0.01)


def test_each_grain_has_its_pose_its_field_and_its_sites(fit: LatticeFit) -> None:
    assert len(fit.grains) == 2
    assert fit.grains[0].pose is fit.pose
    assert fit.grains[0].field is fit.field
    together = rows(fit.grains[0].sites) | rows(fit.grains[1].sites)
    assert fit.sites is not None
    assert together == rows(fit.sites.where(fit.sites.reliability >= MIN_RELIABILITY))
    left, right = sorted(fit.grains, key=lambda grain: grain.sites.yx[:, 1].mean())
    assert left.holds([(160, 80)])[0]
    assert not right.holds([(160, 80)])[0]


def test_locking_moves_nothing(fit: LatticeFit) -> None:
    grain = fit.grains[1]
    on = locking(fit, grain, on=True)
    assert on.locked == (grain,)
    assert on.sites is fit.sites
    assert on.pose is fit.pose
    assert locking(on, grain, on=False).locked == ()


@pytest.mark.parametrize("number", [0, 1])
def test_a_locked_grain_stays_and_the_other_is_fitted_anew(
    image: np.ndarray, fit: LatticeFit, number: int
) -> None:
    grain, other = fit.grains[number], fit.grains[1 - number]
    again = fit_lattice(image, PIXEL, PRIOR, locked=(grain,))
    assert again.grains[0] is grain
    assert again.locked == (grain,)
    assert again.sites is not None
    assert rows(grain.sites) <= rows(again.sites)
    inside = again.sites.where(grain.holds(again.sites.yx))
    assert rows(inside) == rows(grain.sites), "no other lattice has sites in it"
    assert again.is_fit
    assert again.pose is not other.pose, "it is fitted anew"
    assert len(again.grains) == 2
    assert len(again.grains[1]) == pytest.approx(len(other), rel=0.05)
    assert any(pose is grain.pose for pose in again.rivals), "measurements know its lattice as well"


def test_a_rest_without_a_lattice_leaves_the_locked_grain_alone(image: np.ndarray, fit: LatticeFit) -> None:
    grain = min(fit.grains, key=lambda one: one.sites.yx[:, 1].mean())
    spoiled = image.copy()
    spoiled[:, 150:] = np.random.default_rng(1).poisson(image[:, 150:].mean(), spoiled[:, 150:].shape)
    assert grain is not None
    again = fit_lattice(spoiled, PIXEL, PRIOR, locked=(grain,))
    assert again.grains == (grain,)
    assert again.pose is grain.pose
    assert again.field is grain.field
    assert again.sites is not None
    assert rows(again.sites) == rows(grain.sites)


def test_grains_that_cover_the_image_leave_nothing_to_fit() -> None:
    pose = Pose.from_angle(8.0, PIXEL, (3.0, 5.0), score=0.9)
    grains = half(pose, left=True), half(pose, left=False)
    again = fit_lattice(np.random.default_rng(0).random(SHAPE), PIXEL, PRIOR, locked=grains)
    assert again.grains == grains
    assert rows(again.registered) == rows(grains[0].sites) | rows(grains[1].sites)


@pytest.mark.parametrize("number", [0, 1])
def test_a_fit_whose_sites_were_forgotten_finds_them_again(
    image: np.ndarray, fit: LatticeFit, number: int
) -> None:
    grain = fit.grains[number]
    forgotten = replace(locking(fit, grain, on=True), sites=None, grains=(), rivals=())
    found = follow_lattice(image, PIXEL, forgotten)
    assert found.pose is fit.pose
    assert found.grains[0] is grain
    assert len(found.grains) == 2
    assert found.sites is not None
    assert rows(found.sites.where(grain.holds(found.sites.yx))) == rows(grain.sites)


def test_a_pose_by_hand_is_refined_on_the_rest_alone(image: np.ndarray, fit: LatticeFit) -> None:
    left, right = sorted(fit.grains, key=lambda one: one.sites.yx[:, 1].mean())
    hand = replace(locking(fit, left, on=True), poses=(Pose.from_angle(25.4, PIXEL, right.pose.origin),))
    refined = refine_fit(image, PIXEL, hand)
    assert refined.locked == (left,)
    assert refined.pose.angle == pytest.approx(25.0, abs=0.1)
    assert refined.is_fit


def test_masked_places_have_no_sites_of_a_locked_grain(image: np.ndarray, fit: LatticeFit) -> None:
    grain = fit.grains[0]
    valid = np.ones(SHAPE, bool)
    valid[100:200] = False
    again = fit_lattice(PreparedImage.of(image, valid), PIXEL, PRIOR, locked=(grain,))
    assert again.sites is not None
    inner = again.sites.inside(SHAPE).yx
    assert not ((inner[:, 0] > 101) & (inner[:, 0] < 199)).any()
    assert again.locked == (grain,)


def test_any_other_fit_takes_the_locked_grain_in() -> None:
    kept = half(Pose.from_angle(8.0, PIXEL, (3.0, 5.0), score=0.9), left=True)
    other = Pose.from_angle(25.0, PIXEL, (9.0, 2.0), score=0.8)
    new = LatticeFit(PRIOR, (other,), straight_sites(LatticeFit(PRIOR, (other,)), SHAPE))
    held = holding(new, (kept,))
    assert held.pose is other
    assert held.rivals == (kept.pose,)
    assert rows(kept.sites) <= rows(held.lattice(SHAPE))
    unfollowed = holding(LatticeFit(PRIOR, (other,)), (kept,)).lattice(SHAPE)
    assert rows(unfollowed) == rows(held.lattice(SHAPE))


def test_a_drag_moves_all_but_the_locked_grain() -> None:
    kept = half(Pose.from_angle(8.0, PIXEL, (3.0, 5.0), score=0.9), left=True)
    fit = locked_alone(PRIOR, (kept,))
    moved = fit.moved(lambda pose, _: pose.moved((2.0, 3.0)))
    assert moved.locked == (kept,)
    assert rows(kept.sites) <= rows(moved.lattice(SHAPE))
    assert len(moved.lattice(SHAPE)) > 1.8 * len(kept), "the dragged lattice lies beside it"


def test_a_part_and_another_scale_carry_the_grain_along() -> None:
    grain = half(Pose.from_angle(8.0, PIXEL, (3.0, 5.0), score=0.9), left=True)
    fit = locked_alone(PRIOR, (grain,))
    part = fit.cropped((20, 30)).locked[0]
    np.testing.assert_allclose(part.sites.yx, grain.sites.yx - (20, 30))
    np.testing.assert_allclose(part.pose.origin, grain.pose.origin - (20, 30))
    small = fit.scaled(0.5).locked[0]
    assert small.reach == pytest.approx(grain.reach / 2)
    np.testing.assert_allclose(small.scaled(2.0).sites.yx, grain.sites.yx)


def test_its_area_holds_no_signal_for_the_fit_of_the_rest() -> None:
    grain = half(Pose.from_angle(8.0, PIXEL, (3.0, 5.0)), left=True)
    valid = around(PreparedImage.of(np.zeros(SHAPE, np.float32)), (grain,)).valid
    assert not valid[10:-10, 10:150].any()
    assert valid[:, 180:].all()


def test_an_image_that_goes_by_strips_keeps_the_very_grain(image: np.ndarray, fit: LatticeFit) -> None:
    strips = drain(prepare_strips(stored(image), ScratchArrays()))
    grain = fit.grains[1]
    for again in (
        fit_lattice(strips, PIXEL, PRIOR, locked=(grain,)),
        follow_lattice(strips, PIXEL, replace(locking(fit, grain, on=True), sites=None, grains=())),
    ):
        assert again.locked == (grain,)
        assert again.grains[0] is grain
        assert len(again.grains) == 2
        assert again.sites is not None
        inside = again.sites.where(grain.holds(again.sites.yx))
        assert len(inside) == len(grain)
        np.testing.assert_allclose(np.sort(inside.yx, axis=0), np.sort(grain.sites.yx, axis=0), atol=1e-9)


def test_priors_of_any_cell_have_a_reach() -> None:
    skewed: StructurePrior = built_in("ReS2")
    assert 0.5 < covering_radius(skewed) < 3.0
