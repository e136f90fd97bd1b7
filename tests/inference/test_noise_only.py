"""Noise is told from what an electron probe has seen."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.signal import lfilter

from napari_stemprior.inference import Segmenter
from napari_stemprior.inference.noise_only import ExcessPower, shows_something
from napari_stemprior.optics import PRESETS
from napari_stemprior.optics.noise.noise_chain import NoiseChain
from napari_stemprior.optics.reference import reference_image
from napari_stemprior.progress import drain
from napari_stemprior.registration import Pose
from napari_stemprior.structure import built_in

PIXEL = 0.16
SHAPE = (224, 200)


def crystal(dose: float, seed: int = 0, shape: tuple[int, int] = SHAPE) -> np.ndarray:
    pose = Pose.from_angle(11.0, PIXEL, (3.0, 7.0))
    ideal = reference_image(built_in("MoS2"), PRESETS["80 kV HAADF"], PIXEL, shape, pose)
    return NoiseChain(dose=dose).apply(ideal, PIXEL, np.random.default_rng(seed))


@pytest.mark.parametrize("pixel_size", [0.08, 0.16, 0.3])
@pytest.mark.parametrize("electrons", [0.01, 0.1, 3.0, 100.0])
def test_noise_is_only_noise(pixel_size: float, electrons: float) -> None:
    rng = np.random.default_rng(1)
    images = [rng.poisson(electrons, (160, 160)) + rng.normal(0, 0.1, (160, 160)) for _ in range(20)]
    assert not any(shows_something(image, pixel_size).any() for image in images)
    deviations = [drain(ExcessPower.of(image, pixel_size)).deviations for image in images]
    assert abs(np.mean(deviations)) < 1
    assert 0.5 < np.std(deviations) < 2


def test_what_the_detector_does_to_rows_is_noise() -> None:
    rng = np.random.default_rng(2)
    counts = rng.poisson(0.5, SHAPE).astype(float)
    glowing = lfilter([0.3], [1, -0.7], counts, axis=1)
    offsets = counts + 0.3 * rng.normal(size=(SHAPE[0], 1))
    for image in (glowing, offsets):
        assert not shows_something(image, PIXEL).any()


@pytest.mark.parametrize("dose", [3e2, 1e3, 1e4])
def test_a_crystal_is_something_everywhere(dose: float) -> None:
    assert shows_something(crystal(dose), PIXEL).all()


def test_a_smoothed_picture_gets_the_benefit_of_the_doubt() -> None:
    smooth = gaussian_filter(np.random.default_rng(3).poisson(1.0, SHAPE).astype(float), 2.5)
    assert shows_something(smooth, PIXEL).all()
    assert shows_something(np.random.default_rng(3).poisson(1.0, SHAPE), 0.45).all()  # no frequency is left


def test_the_empty_half_of_an_image_is_told() -> None:
    shape = (224, 448)
    image = crystal(1e4, shape=shape)
    image[:, 224:] = np.random.default_rng(4).poisson(image[:, 224:].mean(), (224, 224))
    shown = shows_something(image, PIXEL)
    assert shown[:, :224].all()
    assert not shown[:, 380:].any()


def test_no_atom_is_told_from_noise() -> None:
    segmenter = Segmenter(device="cpu", refine=False)
    segmenter.set_image(np.random.default_rng(5).poisson(0.2, (160, 160)).astype(np.float32), PIXEL)
    for prior in (None, built_in("WSe2")):
        found = segmenter.segment(prior)
        assert len(found) == 0
        assert found.provenance["only_noise"] is True


def test_a_crystal_is_found_without_a_prior() -> None:
    segmenter = Segmenter(device="cpu", refine=False)
    segmenter.set_image(crystal(1e4, shape=(128, 128)), PIXEL)
    found = segmenter.segment(None)
    assert len(found) > 50
    assert found.provenance["only_noise"] is False
