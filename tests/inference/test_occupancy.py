"""Whether a site is occupied, by the image alone."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_stemprior.inference.occupancy import occupancy as compared
from napari_stemprior.network.config import CANONICAL_PIXEL_SIZE
from napari_stemprior.progress import drain

SIGMA = 0.45 / CANONICAL_PIXEL_SIZE


def occupancy(*arguments: object, **options: object) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return drain(compared(*arguments, **options))


def crystal(size: int = 160, spacing: float = 2.2) -> tuple[np.ndarray, np.ndarray]:
    """Two kinds of columns on a square lattice."""
    step = spacing / CANONICAL_PIXEL_SIZE
    axis = np.arange(step / 2, size - step / 2, step)
    grid = np.stack(np.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 2)
    kind = (np.add.outer(np.arange(len(axis)), np.arange(len(axis))) % 2).ravel()
    return grid + 0.3, kind


def drawn(yx: np.ndarray, height: np.ndarray, size: int = 160) -> np.ndarray:
    y, x = np.indices((size, size))
    image = np.full((size, size), 0.15)
    for place, value in zip(yx, height, strict=True):
        image += value * np.exp(-((y - place[0]) ** 2 + (x - place[1]) ** 2) / (2 * SIGMA**2))
    return image


def emptied(seed: int, share: float = 0.08) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    yx, kind = crystal()
    vacant = np.random.default_rng(seed).random(len(yx)) < share
    return yx, kind, vacant, np.where(kind == 0, 1.0, 0.4) * ~vacant


@pytest.mark.parametrize("electrons", [20.0, 200.0])
def test_vacancies_are_told_from_columns(electrons: float) -> None:
    yx, kind, vacant, height = emptied(0)
    image = np.random.default_rng(1).poisson(electrons * drawn(yx, height)).astype(np.float32)
    share, llr, _ = occupancy(image, yx, kind)
    assert vacant.sum() > 10
    assert llr[vacant].max() < 0 < np.quantile(llr[~vacant], 0.02)
    assert np.median(share[~vacant]) == pytest.approx(1.0, abs=0.05)
    assert np.median(share[vacant]) < 0.25


def test_where_nothing_can_be_seen_little_is_said() -> None:
    yx, kind, _, height = emptied(2)
    image = np.random.default_rng(3).poisson(0.02 * drawn(yx, height)).astype(np.float32)
    _, llr, _ = occupancy(image, yx, kind)
    assert llr.min() > -2
    assert np.median(np.abs(llr)) < 1


@pytest.mark.parametrize("electrons", [0.05, 0.2, 0.5])
def test_the_likelihood_ratio_says_what_it_is(electrons: float) -> None:
    """Under either hypothesis the other one is on average as likely: E[exp(-llr)] = 1 at a column."""
    rng = np.random.default_rng(8)
    occupied, empty = [], []
    for seed in range(8):
        yx, kind, vacant, height = emptied(seed, share=0.04)
        _, llr, _ = occupancy(rng.poisson(electrons * drawn(yx, height)).astype(np.float32), yx, kind)
        weak = kind == 1  # of the others a likelihood ratio is the mean of a few rare ones
        occupied.append(llr[weak & ~vacant])
        empty.append(llr[weak & vacant])
    assert 0.5 < np.exp(-np.concatenate(occupied)).mean() < 1.5
    assert np.exp(np.concatenate(empty)).mean() < 1.5  # a few rare ones make up the mean, and may be lacking


def test_columns_of_one_kind_may_differ_by_their_place() -> None:
    yx, kind, vacant, height = emptied(5)
    column = 2 * kind + (np.arange(len(yx)) // 14) % 2
    height = height * np.where(column == 0, 0.7, 1.0)
    image = np.random.default_rng(6).poisson(4 * drawn(yx, height)).astype(np.float32)
    _, _, broad = occupancy(image, yx, kind)
    _, told_apart, narrow = occupancy(image, yx, kind, column)
    assert told_apart[vacant].max() < -5 < 4.5 < told_apart[~vacant].min()
    assert narrow[kind == 0].max() < 0.9 * broad[kind == 0].min()


def test_a_column_that_is_missing_everywhere_stays_missing() -> None:
    yx, kind = crystal()
    column = kind + 2 * (np.arange(len(yx)) % 3 == 0)
    height = np.where(kind == 0, 1.0, 0.4) * (column != 2)
    image = np.random.default_rng(7).poisson(100 * drawn(yx, height)).astype(np.float32)
    _, llr, _ = occupancy(image, yx, kind, column)
    assert (llr[column == 2] < 0).mean() > 0.95


def test_half_a_column_is_between() -> None:
    yx, kind = crystal()
    height = np.where(kind == 0, 1.0, 0.4)
    height[60] *= 0.5
    share, _, _ = occupancy(np.random.default_rng(4).poisson(300 * drawn(yx, height)), yx, kind)
    assert share[60] == pytest.approx(0.5, abs=0.1)


def test_a_film_over_half_the_image_makes_no_vacancies() -> None:
    yx, kind, vacant, height = emptied(5)
    film = np.linspace(0, 1.2, 160)[None, :]
    image = np.random.default_rng(6).poisson(150 * (drawn(yx, height) + film)).astype(np.float32)
    _, llr, _ = occupancy(image, yx, kind)
    inner = ((yx > 12) & (yx < 148)).all(axis=1)
    assert (llr[inner & vacant] < 0).all()
    assert (llr[inner & ~vacant] > 0).mean() > 0.98


@settings(max_examples=10, deadline=None)
@given(gain=st.floats(1e-3, 1e3), offset=st.floats(-100, 100), seed=st.integers(0, 99))
def test_gain_and_offset_do_not_matter(gain: float, offset: float, seed: int) -> None:
    yx, kind, _, height = emptied(seed)
    counts = np.random.default_rng(seed).poisson(60 * drawn(yx, height)).astype(np.float64)
    plain, other = occupancy(counts, yx, kind), occupancy(gain * (counts + offset), yx, kind)
    np.testing.assert_allclose(other[0], plain[0], atol=0.05)
    np.testing.assert_allclose(other[1], plain[1], atol=0.5)


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 99))
def test_order_and_numbers_of_the_kinds_do_not_matter(seed: int) -> None:
    rng = np.random.default_rng(seed)
    yx, kind, _, height = emptied(seed)
    image = rng.poisson(60 * drawn(yx, height)).astype(np.float64)
    order = rng.permutation(len(yx))
    plain, other = occupancy(image, yx, kind), occupancy(image, yx[order], 7 - 3 * kind[order])
    np.testing.assert_allclose(other[0], plain[0][order], atol=0.02)


def test_few_sites_say_nothing() -> None:
    share, llr, _ = occupancy(np.ones((30, 30)), np.array([[10.0, 10.0]]), np.array([0]))
    assert share.tolist() == [1.0]
    assert llr.tolist() == [0.0]


def test_many_kinds_and_an_image_without_contrast_are_no_error() -> None:
    yx, _ = crystal()
    share, llr, _ = occupancy(np.zeros((160, 160)), yx, np.arange(len(yx)) % 15)
    assert np.isfinite(share).all()
    assert np.isfinite(llr).all()


def test_row_offsets_that_are_left_are_allowed_for() -> None:
    yx, kind, vacant, height = emptied(8)
    turn = np.deg2rad(11)  # rows of columns do not run along the rows of the scan
    centre = yx.mean(0)
    yx = (yx - centre) @ np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) + centre
    rng = np.random.default_rng(9)
    image = rng.poisson(20 * drawn(yx, height)) + 4 * rng.normal(size=(160, 1))
    _, blind, broad = occupancy(image.astype(np.float32), yx, kind)
    _, told, narrow = occupancy(image.astype(np.float32), yx, kind, row_noise=True)
    assert np.median(narrow) < 0.8 * np.median(broad)
    assert (told[vacant] < 0).mean() >= (blind[vacant] < 0).mean()


def test_pixels_that_are_not_valid_do_not_count() -> None:
    yx, kind, vacant, height = emptied(10)
    image = np.random.default_rng(11).poisson(50 * drawn(yx, height)).astype(np.float32)
    spoiled, valid = image.copy(), np.ones(image.shape, bool)
    spoiled[80:84] = 1e4
    valid[80:84] = False
    _, llr, _ = occupancy(spoiled, yx, kind, valid=valid)
    near = np.abs(yx[:, 0] - 81.5) < 4
    assert llr[vacant & ~near].max() < 0 < np.quantile(llr[~vacant & ~near], 0.02)
