"""Fitting a lattice: grains, ties and what does not fit."""

import sys
from collections.abc import Callable, Generator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.spatial import cKDTree
from two_grains import PIXEL, SHAPE, TwoGrains

from napari_stemprior.inference import Segmenter
from napari_stemprior.optics import PRESETS
from napari_stemprior.optics.noise.noise_chain import NoiseChain
from napari_stemprior.optics.reference import reference_image
from napari_stemprior.progress import Progress
from napari_stemprior.recording import PreparedImage
from napari_stemprior.registration import (
    LatticeFit,
    Pose,
    fit_lattice,
    fit_pose_field,
    follow_lattice,
)
from napari_stemprior.registration.fit import likely_poses
from napari_stemprior.registration.grains import with_grains
from napari_stemprior.registration.lattice_fit import MARGIN
from napari_stemprior.registration.rival_poses import preferred
from napari_stemprior.structure import StructurePrior, built_in
from napari_stemprior.structure.lattice_sites import LatticeSites

FIT = sys.modules[fit_lattice.__module__]


def placing(*poses: Pose) -> Callable[..., Generator[Progress, None, list[Pose]]]:
    """Return what finds these poses on any image."""

    def found(*arguments: object) -> Generator[Progress, None, list[Pose]]:
        yield from ()
        return list(poses)

    return found


@pytest.fixture(scope="module")
def prior() -> StructurePrior:
    return built_in("WS2")


@pytest.fixture(scope="module")
def grains(prior: StructurePrior) -> TwoGrains:
    return TwoGrains(prior)


@pytest.fixture(scope="module")
def image(prior: StructurePrior, grains: TwoGrains) -> np.ndarray:
    return grains.image(prior)


def share_found(positions: np.ndarray, truth: np.ndarray) -> float:
    return float(np.mean(cKDTree(positions).query(truth)[0] * PIXEL < 0.3))


def test_both_grains_get_their_columns(prior: StructurePrior, grains: TwoGrains, image: np.ndarray) -> None:
    placed = fit_lattice(image, PIXEL, prior)
    inner = ((grains.positions > 25) & (grains.positions < 295)).all(axis=1)
    for side in (grains.positions[:, 1] < 140, grains.positions[:, 1] > 190):
        assert share_found(placed.registered.yx, grains.positions[inner & side]) > 0.95


@pytest.mark.parametrize("stated", [0.86, 1.16])
def test_both_grains_are_found_at_a_pixel_size_that_is_far_off(
    prior: StructurePrior, grains: TwoGrains, image: np.ndarray, stated: float
) -> None:
    placed = fit_lattice(image, PIXEL * stated, prior)
    inner = ((grains.positions > 25) & (grains.positions < 295)).all(axis=1)
    for side in (grains.positions[:, 1] < 140, grains.positions[:, 1] > 190):
        assert share_found(placed.registered.yx, grains.positions[inner & side]) > 0.95
    # along the boundary each has as many as at the right size: 2 to 3 % more or less are not there
    at_right_size = fit_lattice(image, PIXEL, prior)
    assert len(placed.registered) == pytest.approx(len(at_right_size.registered), rel=0.01)
    assert placed.is_fit
    assert not placed.pose.is_clean
    assert f"where {PIXEL * stated:.4g} is stated" in placed.reservations[0]
    assert len(placed.reservations) == 1
    assert placed.pose.pixel_size == pytest.approx(PIXEL, rel=0.01)


def test_both_grains_are_segmented(prior: StructurePrior, grains: TwoGrains, image: np.ndarray) -> None:
    segmenter = Segmenter(device="cpu")
    segmenter.set_image(image, PIXEL)
    table = segmenter.segment(prior)
    truth = grains.positions[((grains.positions > 10) & (grains.positions < 310)).all(axis=1)]
    assert share_found(table.yx, truth) > 0.97


def test_a_pose_that_is_given_is_believed(prior: StructurePrior, image: np.ndarray) -> None:
    given = Pose.from_angle(25.0, PIXEL, (9.0, 2.0))
    placed = follow_lattice(image, PIXEL, LatticeFit(prior, (given,)))
    assert placed.pose is given


def test_a_given_pose_leaves_room_for_other_grains_only_where_it_is_not_seen(
    monkeypatch: pytest.MonkeyPatch, prior: StructurePrior, grains: TwoGrains, image: np.ndarray
) -> None:
    asked = []

    def watched(*arguments: Any, **options: Any) -> Generator[Progress, None, list[Pose]]:
        asked.append(arguments)
        return likely_poses(*arguments, **options)

    monkeypatch.setattr(FIT, "likely_poses", watched)
    pose = Pose.from_angle(25.0, PIXEL, (9.0, 2.0))
    placed = follow_lattice(image, PIXEL, LatticeFit(prior, (pose,)))
    assert len(asked) == 1
    inner = ((grains.positions > 25) & (grains.positions < 295)).all(axis=1)
    assert share_found(placed.registered.yx, grains.positions[inner]) > 0.9

    ideal = reference_image(prior, PRESETS["80 kV HAADF"], PIXEL, SHAPE, pose)
    whole = NoiseChain(dose=1e4).apply(ideal, PIXEL, np.random.default_rng(0))
    placed = follow_lattice(whole, PIXEL, LatticeFit(prior, (pose,)))
    assert len(asked) == 1, "its lattice is seen everywhere, so there is nothing to look for"
    field = fit_pose_field(whole, PIXEL, prior, pose)
    expected = field.columns(prior, SHAPE, MARGIN / PIXEL)
    np.testing.assert_array_equal(placed.registered.yx, expected[0])
    np.testing.assert_array_equal(placed.registered.column, expected[1])


def test_a_prior_that_does_not_fit_has_no_sites(image: np.ndarray) -> None:
    fit = fit_lattice(image, PIXEL, built_in("Si [110]"))
    assert not fit.is_fit
    assert fit.sites is None


def test_half_a_turn_is_decided_by_the_image(monkeypatch: pytest.MonkeyPatch, prior: StructurePrior) -> None:
    right = replace(Pose.from_angle(8.0, PIXEL, (3.0, 5.0), score=0.97), log_likelihood=40.0)
    wrong = Pose(right.affine, right.origin + 6.0, 0.975, log_likelihood=30.0)
    ideal = reference_image(prior, PRESETS["80 kV HAADF"], PIXEL, SHAPE, right)
    monkeypatch.setattr(FIT, "likely_poses", placing(wrong, right))
    placed = fit_lattice(ideal, PIXEL, prior)
    assert placed.pose is right


def test_what_the_image_does_not_tell_is_a_reservation(
    monkeypatch: pytest.MonkeyPatch, prior: StructurePrior
) -> None:
    first = replace(Pose.from_angle(8.0, PIXEL, (3.0, 5.0), score=0.975), log_likelihood=31.0)
    turned = replace(Pose.from_angle(188.0, PIXEL, (9.0, 11.0), score=0.97), log_likelihood=32.0)
    ideal = reference_image(prior, PRESETS["80 kV HAADF"], PIXEL, SHAPE, first)
    monkeypatch.setattr(FIT, "likely_poses", placing(first, turned))
    placed = fit_lattice(ideal, PIXEL, prior)
    np.testing.assert_array_equal(placed.pose.origin, first.origin)
    assert "other way round, turned by 180°" in placed.pose.reservations[0]
    twin = replace(first, score=0.97, log_likelihood=30.0)
    monkeypatch.setattr(FIT, "likely_poses", placing(first, twin))
    clean = fit_lattice(ideal, PIXEL, prior)
    assert clean.pose.reservations == ()


def test_no_column_is_placed_on_bad_pixels(prior: StructurePrior) -> None:
    pose = Pose.from_angle(8.0, PIXEL, (3.0, 5.0))
    image = NoiseChain(dose=1e4).apply(
        reference_image(prior, PRESETS["80 kV HAADF"], PIXEL, SHAPE, pose), PIXEL, np.random.default_rng(0)
    )
    image[:25] = 0
    placed = fit_lattice(image, PIXEL, prior)
    limit = np.array(image.shape) - 0.5
    inside = ((placed.registered.yx > -0.5) & (placed.registered.yx < limit)).all(axis=1)
    assert placed.registered.yx[inside, 0].min() > 24.5
    assert placed.registered.yx[inside, 0].min() < 30


def test_a_grain_gets_the_basis_once_and_the_way_the_image_shows_it() -> None:
    rutile = built_in("TiO2 rutile [001]")
    pixel, shape = 0.12, (320, 320)
    first = Pose.from_angle(8.0, pixel, (3.0, 5.0), score=0.99)
    right = Pose.from_angle(25.0, pixel, (9.0, 2.0), score=0.99)
    quarter = Pose.from_angle(115.0, pixel, (9.0, 2.0), score=0.992)  # titanium again on titanium

    def at(pose: Pose, left: bool) -> LatticeFit:
        yx, column = pose.columns(rutile, shape)
        seen = yx[:, 1] < 160 if left else yx[:, 1] > 165
        return LatticeFit(rutile, (pose,), LatticeSites.of(rutile.columns, yx, column, seen.astype(float)))

    first_fit, others = at(first, True), [at(quarter, False), at(right, False)]
    ideal = reference_image(rutile, PRESETS["200 kV HAADF"], pixel, shape, right)
    noisy = NoiseChain(dose=3e3).apply(ideal, pixel, np.random.default_rng(0))
    placed = with_grains(first_fit, others, PreparedImage.of(noisy, None), pixel)
    truth = right.columns(rutile, shape)[0]
    mine = placed.registered.yx[placed.registered.yx[:, 1] > 170]
    assert cKDTree(truth).query(mine)[0].max() < 1e-6
    assert len(mine) == np.count_nonzero(truth[:, 1] > 170)


def test_the_likelihood_of_the_image_outweighs_a_score() -> None:
    rutile = built_in("TiO2 rutile [001]")
    shape = (160, 160)

    def at(angle: float, score: float, likelihood: float) -> LatticeFit:
        pose = replace(Pose.from_angle(angle, 0.12, (3.0, 5.0), score=score), log_likelihood=likelihood)
        yx, column = pose.columns(rutile, shape)
        return LatticeFit(rutile, (pose,), LatticeSites.of(rutile.columns, yx, column))

    best, quarter, grain = at(8.0, 0.595, 100.0), at(98.0, 0.502, 300.0), at(30.0, 0.5, 500.0)
    assert preferred([best, quarter], rutile) is quarter
    assert preferred([best, at(98.0, 0.502, 110.0)], rutile) is best
    assert preferred([best, grain], rutile) is best  # another lattice: a grain, no rival
