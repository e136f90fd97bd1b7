"""Positions fitted to the micrograph."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_stemprior.inference import column_patches
from napari_stemprior.inference.refinement import Refined, refine
from napari_stemprior.progress import drain

PIXEL = 0.12
WIDTH = 0.42


def fit(image: np.ndarray, pixel_size: float, yx: np.ndarray, sigma: np.ndarray) -> Refined:
    return drain(refine(image, pixel_size, yx, sigma))


def lattice(rng: np.random.Generator, size: int = 90, spacing: float = 2.0) -> np.ndarray:
    step = spacing / PIXEL
    grid = np.stack(np.meshgrid(*[np.arange(step / 2, size - 1, step)] * 2, indexing="ij"), -1).reshape(-1, 2)
    return grid + rng.normal(0, 0.08 / PIXEL, grid.shape)


def drawn(yx: np.ndarray, size: int = 90, height: float = 1.0, floor: float = 0.1) -> np.ndarray:
    y, x = np.indices((size, size))
    image = np.full((size, size), floor)
    for place in yx:
        image += height * np.exp(-((y - place[0]) ** 2 + (x - place[1]) ** 2) / (2 * (WIDTH / PIXEL) ** 2))
    return image


def rms(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.sqrt(((a - b) ** 2).sum(1).mean())) * PIXEL


def test_a_clean_image_gives_the_truth() -> None:
    rng = np.random.default_rng(0)
    truth = lattice(rng)
    start = truth + rng.normal(0, 0.08 / PIXEL, truth.shape)
    fitted = fit(drawn(truth).astype(np.float32), PIXEL, start, np.full(len(start), 0.1 / PIXEL))
    assert rms(start, truth) > 0.1
    assert rms(fitted.yx, truth) < 0.004
    assert fitted.width == pytest.approx(WIDTH, rel=0.03)
    assert np.median(fitted.amplitude) == pytest.approx(1.0, rel=0.05)


@pytest.mark.parametrize("electrons", [30.0, 300.0])
def test_the_error_is_near_the_bound_and_is_told(electrons: float) -> None:
    rng = np.random.default_rng(1)
    truth = lattice(rng, 180)
    noisy = rng.poisson(electrons * drawn(truth, 180)).astype(np.float32)
    start = truth + rng.normal(0, 0.1 / PIXEL, truth.shape)
    fitted = fit(noisy, PIXEL, start, np.full(len(start), 1.0 / PIXEL))
    # Fisher information of one Gaussian on the background, along one axis
    y, x = np.indices((61, 61)) - 30.0
    bell = electrons * np.exp(-(y**2 + x**2) / (2 * (WIDTH / PIXEL) ** 2))
    information = ((bell * y / (WIDTH / PIXEL) ** 2) ** 2 / (bell + 0.1 * electrons)).sum()
    bound = np.sqrt(2 / information) * PIXEL
    assert bound * 0.85 < rms(fitted.yx, truth) < 1.35 * bound
    told = np.sqrt(2 * (fitted.sigma**2).mean()) * PIXEL
    assert told == pytest.approx(rms(fitted.yx, truth), rel=0.3)


def test_where_there_is_nothing_the_network_is_believed() -> None:
    rng = np.random.default_rng(2)
    truth = lattice(rng)
    noise = rng.poisson(np.full((90, 90), 5.0)).astype(np.float32)
    fitted = fit(noise, PIXEL, truth, np.full(len(truth), 0.04 / PIXEL))
    assert rms(fitted.yx, truth) < 0.05


def test_no_column_runs_away() -> None:
    rng = np.random.default_rng(3)
    truth = lattice(rng)
    start = truth + np.array([0.6 / PIXEL, 0.0])
    fitted = fit(drawn(truth).astype(np.float32), PIXEL, start, np.full(len(start), 5.0 / PIXEL))
    assert np.abs(fitted.yx - start).max() * PIXEL < 0.36


def test_two_columns_on_one_another_stay_where_they_were() -> None:
    truth = np.array([[30.0, 30.0], [30.0, 33.0], [60.0, 60.0]])
    start = truth + 0.5
    fitted = fit(drawn(truth).astype(np.float32), PIXEL, start, np.full(3, 1.0))
    np.testing.assert_array_equal(fitted.yx[:2], start[:2])
    assert rms(fitted.yx[2:], truth[2:]) < 0.01


@settings(max_examples=15, deadline=None)
@given(gain=st.floats(1e-3, 1e4), offset=st.floats(-500, 500), seed=st.integers(0, 1000))
def test_gain_and_offset_of_the_detector_do_not_matter(gain: float, offset: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = lattice(rng, 60)
    counts = rng.poisson(50 * drawn(truth, 60)).astype(np.float64)
    start = truth + rng.normal(0, 0.05 / PIXEL, truth.shape)
    sigma = np.full(len(start), 0.1 / PIXEL)
    plain = fit(counts, PIXEL, start, sigma)
    other = fit(gain * (counts + offset), PIXEL, start, sigma)
    np.testing.assert_allclose(other.yx, plain.yx, atol=2e-3)
    np.testing.assert_allclose(other.amplitude, gain * plain.amplitude, rtol=1e-2, atol=gain * 0.05)


@settings(max_examples=15, deadline=None)
@given(dy=st.integers(-5, 5), dx=st.integers(-5, 5), flip=st.booleans())
def test_the_fit_moves_and_turns_with_the_image(dy: int, dx: int, flip: bool) -> None:
    rng = np.random.default_rng(4)
    truth = np.array([[40.3, 41.1], [40.0, 58.2], [57.7, 44.4]])
    image = rng.poisson(40 * drawn(truth)).astype(np.float64)
    start = truth + 0.4
    plain = fit(image, PIXEL, start, np.full(3, 1.0)).yx
    moved = fit(np.roll(image, (dy, dx), (0, 1)), PIXEL, start + np.array([dy, dx]), np.full(3, 1.0)).yx
    np.testing.assert_allclose(moved, plain + np.array([dy, dx]), atol=1e-6)
    if flip:
        turned = fit(image.T, PIXEL, start[:, ::-1], np.full(3, 1.0)).yx
        np.testing.assert_allclose(turned, plain[:, ::-1], atol=1e-4)


def test_no_columns_is_no_error() -> None:
    assert len(fit(np.ones((20, 20), np.float32), PIXEL, np.zeros((0, 2)), np.zeros(0)).yx) == 0


def test_columns_at_the_border_are_fitted_with_what_is_there() -> None:
    truth = np.array([[0.4, 20.3], [45.0, 0.2], [89.0, 89.0]])
    fitted = fit(drawn(truth).astype(np.float32), PIXEL, truth + 0.3, np.full(3, 1.0))
    assert rms(fitted.yx, truth) < 0.03


def test_blocks_are_as_one_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    truth = lattice(rng)
    image = rng.poisson(100 * drawn(truth)).astype(np.float32)
    sigma = np.full(len(truth), 0.1 / PIXEL)
    whole = fit(image, PIXEL, truth, sigma)
    monkeypatch.setattr(column_patches, "_TOGETHER_ON_CPU", 1)
    monkeypatch.setattr(column_patches, "_PATIENCE", 0.0)
    steps = list(refine(image, PIXEL, truth, sigma))
    assert len(steps) > 8 * len(truth)
    np.testing.assert_allclose(fit(image, PIXEL, truth, sigma).yx, whole.yx, atol=1e-5)
