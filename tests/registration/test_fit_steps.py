"""A fit tells its progress: what is long can be watched and cancelled."""

from collections.abc import Generator

import numpy as np
import pytest

from napari_stemprior.optics import PRESETS
from napari_stemprior.optics.reference import reference_image
from napari_stemprior.progress import Progress, drain, result_of
from napari_stemprior.recording import PreparedImage, prepare
from napari_stemprior.recording.prepare import prepare_steps
from napari_stemprior.registration import Pose, fit_lattice, fit_pose_field
from napari_stemprior.registration.fit_lattice import (
    fit_lattice_steps,
    follow_lattice_steps,
    refine_fit_steps,
)
from napari_stemprior.structure import StructurePrior, built_in, load_prior

PIXEL = 0.2


@pytest.fixture(scope="module")
def prior() -> StructurePrior:
    return built_in("MoS2")


@pytest.fixture(scope="module")
def image(prior: StructurePrior) -> PreparedImage:
    pose = Pose.from_angle(12.0, PIXEL, (4.0, 9.0))
    ideal = reference_image(prior, PRESETS["80 kV HAADF"], PIXEL, (192, 192), pose)
    return prepare(np.random.default_rng(0).poisson(40 * ideal / ideal.mean()).astype(np.float32))


def steps_of(work: Generator[Progress, None, object]) -> int:
    """Return how often some work tells its progress."""
    told: list[Progress] = []
    drain(work, told.append)
    return len(told)


def test_the_steps_of_a_fit_are_the_fit(image: PreparedImage, prior: StructurePrior) -> None:
    whole, by_steps = fit_lattice(image, PIXEL, prior), drain(fit_lattice_steps(image, PIXEL, prior))
    assert whole.is_fit
    np.testing.assert_array_equal(whole.registered.yx, by_steps.registered.yx)
    # the transforms that all poses of a fit share are those that one alone makes
    field = fit_pose_field(image, PIXEL, prior, whole.pose)
    assert whole.field is not None
    np.testing.assert_array_equal(field.displacement, whole.field.displacement)


def test_a_fit_tells_its_progress(image: PreparedImage, prior: StructurePrior) -> None:
    fit = fit_lattice(image, PIXEL, prior)
    assert steps_of(fit_lattice_steps(image, PIXEL, prior)) > 30
    assert steps_of(follow_lattice_steps(image, PIXEL, fit)) > 10
    assert steps_of(refine_fit_steps(image, PIXEL, fit)) > 0
    assert steps_of(fit_lattice_steps(image, PIXEL, load_prior("MoS2/WS2 twist 3"))) > 60


def test_a_fit_can_be_cancelled(image: PreparedImage, prior: StructurePrior) -> None:
    work = fit_lattice_steps(image, PIXEL, prior)
    for _ in range(20):
        next(work)
    work.close()
    with pytest.raises(StopIteration):
        next(work)


def test_preparing_tells_its_progress(image: PreparedImage) -> None:
    assert steps_of(prepare_steps(image.image.copy())) > 10
    assert drain(prepare_steps(image)) is image


def test_a_result_needs_no_steps() -> None:
    assert drain(result_of(3)) == 3
    assert drain(result_of(prepare_steps(np.eye(64, dtype=np.float32)))).shape == (64, 64)
