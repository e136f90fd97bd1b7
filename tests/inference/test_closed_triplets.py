"""Three modes that close tell a weak lattice from noise."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.signal import lfilter

from napari_stemprior.inference.closed_triplets import strongest_triplet
from napari_stemprior.inference.mode_strengths import Modes, mode_strengths_steps
from napari_stemprior.inference.order import is_ordered
from napari_stemprior.optics import PRESETS
from napari_stemprior.optics.noise.noise_chain import NoiseChain
from napari_stemprior.optics.reference import reference_image
from napari_stemprior.progress import drain
from napari_stemprior.registration import Pose
from napari_stemprior.structure import built_in

PIXEL = 0.16


def mode_strengths(image: np.ndarray, pixel_size: float) -> Modes:
    return drain(mode_strengths_steps(image, pixel_size))


def triplet(image: np.ndarray) -> float:
    found = strongest_triplet(mode_strengths(image, PIXEL))
    return -np.inf if found is None else found.excess


def waves(shape: tuple[int, int], vectors: list[tuple[float, float]], height: float, seed: int) -> np.ndarray:
    """Draw waves (1/Å, in y and x) in noise of deviation one."""
    rng = np.random.default_rng(seed)
    y, x = np.indices(shape) * PIXEL
    image = rng.normal(size=shape)
    for down, along in vectors:
        image += height * np.cos(2 * np.pi * (down * y + along * x) + rng.uniform(0, 7))
    return image


@pytest.mark.parametrize("shape", [(320, 320), (300, 241)])
@pytest.mark.parametrize("angle", [20.0, 100.0, 133.0])
def test_modes_of_a_lattice_close(shape: tuple[int, int], angle: float) -> None:
    turn = np.radians(angle + np.array([0.0, 60.0]))
    one, other = (0.4 * np.array([np.sin(a), np.cos(a)]) for a in turn)
    height = 14 / np.sqrt(np.prod(shape))
    closed = [tuple(one), tuple(other), tuple(one - other)]
    open_ = [tuple(one), tuple(other), tuple(0.8 * (one - other))]
    told = np.array([[triplet(waves(shape, v, height, seed)) for v in (closed, open_)] for seed in range(8)])
    assert told[:, 0].mean() > told[:, 1].mean() + 3
    assert (told[:, 0] > told[:, 1]).sum() >= 6


def test_the_vectors_are_those_of_the_waves() -> None:
    one, other = np.array([0.31, 0.22]), np.array([-0.2, 0.35])
    closed = [tuple(one), tuple(other), tuple(one + other)]
    found = strongest_triplet(mode_strengths(waves((320, 320), closed, 0.2, 3), PIXEL))
    assert found is not None
    np.testing.assert_allclose(found.vectors[0] + found.vectors[1], found.vectors[2], atol=1e-12)
    of_a_lattice = found.vectors @ np.linalg.inv([one, other])
    assert np.abs(of_a_lattice - np.round(of_a_lattice)).max() < 0.1
    assert abs(np.linalg.det(np.round(of_a_lattice[:2]))) == 1


def test_modes_of_one_direction_do_not_close() -> None:
    one = np.array([0.21, 0.17])
    assert triplet(waves((320, 320), [tuple(n * one) for n in (1, 2, 3)], 0.06, 1)) < 5.8


@pytest.mark.parametrize("width", [0.0, 1.2, 2.5])
@pytest.mark.parametrize("afterglow", [0.0, 0.6])
def test_filtered_noise_does_not_close(width: float, afterglow: float) -> None:
    for seed in range(6):
        noise = gaussian_filter(np.random.default_rng(seed).normal(size=(260, 300)), width)
        assert triplet(lfilter([1], [1, -afterglow], noise, axis=1)) < 5


def test_too_few_modes_do_not_close() -> None:
    assert triplet(np.random.default_rng(0).normal(size=(40, 40))) == -np.inf


def test_an_image_without_modes_has_none_that_close() -> None:
    assert triplet(np.full((260, 260), 3.0)) == -np.inf
    assert not is_ordered(np.full((260, 260), 3.0), PIXEL)


def test_graphene_of_few_electrons_is_ordered() -> None:
    """The strongest mode alone is often no stronger than the strongest of noise can be."""
    pose = Pose.from_angle(11.0, PIXEL, (3.0, 7.0))
    ideal = reference_image(built_in("graphene"), PRESETS["80 kV HAADF"], PIXEL, (320, 320), pose)
    told = []
    for seed in range(8):
        counts = NoiseChain(dose=2000).apply(ideal, PIXEL, np.random.default_rng(seed))
        told.append((is_ordered(counts, PIXEL), bool(mode_strengths(counts, PIXEL).excess.max() > 9.5)))
    whole, strongest = np.sum(told, axis=0)
    assert whole > strongest
