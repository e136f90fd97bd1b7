"""Which two vectors index the peaks of a spectrum, where nothing is known of the crystal."""

from __future__ import annotations

import numpy as np
import pytest
from gaussian_scene import counted, render
from hypothesis import given
from hypothesis import strategies as st

from napari_stemprior.progress import drain
from napari_stemprior.registration import Pose
from napari_stemprior.registration.fourier.features import FourierFeatures, fourier_features
from napari_stemprior.registration.fourier.normalized_image import preprocess
from napari_stemprior.registration.unit_cell.reciprocal_basis import basis_through, find_bases, shortest_cell
from napari_stemprior.structure import built_in

PIXEL, SHAPE = 0.2, (320, 340)


def features_of(image: np.ndarray) -> FourierFeatures:
    return drain(fourier_features(preprocess(np.asarray(image, np.float32), PIXEL)))


def same_lattice(found: np.ndarray, cell: np.ndarray, tolerance: float = 0.03) -> bool:
    """Tell whether the vectors of one cell are whole-numbered in the other, turned as it may be."""
    gram = [np.sort([v @ v for v in (c[0], c[1], c[0] + c[1], c[0] - c[1])]) for c in (found, cell)]
    return bool(np.allclose(gram[0][:3], gram[1][:3], rtol=2 * tolerance))


@pytest.mark.parametrize("name", ["MoS2", "SrTiO3 [001]", "1T'-WTe2", "graphene", "Au [110]"])
@pytest.mark.parametrize("angle", [7.0, 51.0])
def test_the_cell_of_a_crystal_is_found_without_its_name(name: str, angle: float) -> None:
    prior, pose = built_in(name), Pose.from_angle(angle, PIXEL, (4, 7))
    bases = find_bases(features_of(counted(render(prior, pose, SHAPE, PIXEL), 5000, PIXEL)))
    assert same_lattice(bases[0].cell, shortest_cell(prior.cell))
    assert bases[0].explained > 0.95
    assert bases[0].centre is None


def test_a_bent_crystal_is_found_in_a_window() -> None:
    prior, pose = built_in("MoS2"), Pose.from_angle(13, PIXEL, (4, 7))
    shape = (640, 640)

    def bend(yx: np.ndarray) -> np.ndarray:
        x = (yx[:, 1] - 320) / 320
        return np.stack([60 * x**2, 40 * x**3], axis=1)

    bases = find_bases(features_of(counted(render(prior, pose, shape, PIXEL, warp=bend), 8000, PIXEL)))
    assert bases[0].centre is not None
    assert same_lattice(bases[0].cell, shortest_cell(prior.cell), 0.08)


def test_of_two_grains_a_window_shows_one() -> None:
    prior = built_in("SrTiO3 [001]")
    left = render(prior, Pose.from_angle(4, PIXEL), (512, 512), PIXEL, keep=lambda yx: yx[:, 1] < 250)
    right = render(prior, Pose.from_angle(31, PIXEL), (512, 512), PIXEL, keep=lambda yx: yx[:, 1] > 262)
    bases = find_bases(features_of(counted(left + right, 5000, PIXEL)))
    assert bases[0].centre is not None
    assert same_lattice(bases[0].cell, shortest_cell(prior.cell))


@pytest.mark.parametrize("seed", range(3))
def test_noise_and_scattered_spots_have_no_lattice(seed: int) -> None:
    rng = np.random.default_rng(seed)
    noise = rng.poisson(5.0, SHAPE)
    spots = np.zeros(SHAPE)
    np.add.at(spots, tuple(rng.integers(0, 320, (2, 900))), 60.0)
    smooth = np.fft.ifft2(np.fft.fft2(spots) * np.exp(-2 * (np.pi * np.hypot(
        np.fft.fftfreq(SHAPE[0])[:, None], np.fft.fftfreq(SHAPE[1])) * 2) ** 2)).real  # fmt: skip
    assert find_bases(features_of(noise)) == []
    assert find_bases(features_of(rng.poisson(np.maximum(smooth, 0) + 1))) == []


def test_an_image_of_less_than_two_windows_is_no_error() -> None:
    prior, pose = built_in("MoS2"), Pose.from_angle(13, PIXEL, (4, 7))
    bases = find_bases(features_of(counted(render(prior, pose, (70, 66), PIXEL), 3e4, PIXEL)))
    assert all(np.isfinite(basis.cell).all() for basis in bases)


@given(
    st.floats(2.0, 12.0),
    st.floats(2.0, 12.0),
    st.floats(25.0, 155.0),
    st.lists(st.integers(-4, 4), min_size=4, max_size=4),
)
def test_the_shortest_cell_does_not_depend_on_the_basis(
    a: float, b: float, angle: float, numbers: list[int]
) -> None:
    t = np.deg2rad(angle)
    cell = np.array([[a, 0.0], [b * np.cos(t), b * np.sin(t)]])
    change = np.array(numbers, float).reshape(2, 2)
    if abs(abs(np.linalg.det(change)) - 1) > 1e-9:
        return
    first, second = shortest_cell(cell), shortest_cell(change @ cell)
    assert np.linalg.det(first) > 0
    assert np.linalg.det(second) == pytest.approx(np.linalg.det(cell), rel=1e-6)
    lengths = [np.sort(np.linalg.norm(c, axis=1)) for c in (first, second)]
    assert lengths[0] == pytest.approx(lengths[1], rel=1e-6)
    whole = second @ np.linalg.inv(cell)
    assert whole == pytest.approx(np.round(whole), abs=1e-6)


@pytest.mark.parametrize("angle", [7.0, 51.0])
def test_a_basis_through_three_waves_is_theirs(angle: float) -> None:
    prior, pose = built_in("MoS2"), Pose.from_angle(angle, PIXEL, (4, 7))
    features = features_of(counted(render(prior, pose, SHAPE, PIXEL), 5000, PIXEL))
    true = find_bases(features)[0].vectors
    step = features.whole.step
    three = np.round(np.array([true[0], true[1], true[0] + true[1]]) / step) * step
    assert same_lattice(basis_through(three, features.whole).cell, shortest_cell(prior.cell), 0.015)
