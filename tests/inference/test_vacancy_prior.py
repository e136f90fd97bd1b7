"""How many sites are empty, learned from the sites themselves."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_stemprior.inference.vacancy_prior import empty_share, occupied_odds


def ratios(rng: np.random.Generator, n: int, share: float, distance: float) -> tuple[np.ndarray, np.ndarray]:
    """Log-likelihood ratios of a height whose two means lie `distance` widths apart."""
    vacant = np.arange(n) < round(share * n)
    height = np.where(vacant, 0.0, distance) + rng.normal(size=n)
    return distance * height - distance**2 / 2, vacant


@pytest.mark.parametrize("share", [0.0, 0.04, 0.1])
def test_the_share_is_found(share: float) -> None:
    llr, _ = ratios(np.random.default_rng(0), 1000, share, 4.0)
    assert empty_share(llr) == pytest.approx(share, abs=0.01)


def test_a_perfect_crystal_loses_fewer_columns_than_a_fixed_error_rate_would() -> None:
    rng = np.random.default_rng(1)
    lost = filled = 0
    for _ in range(20):
        llr, _ = ratios(rng, 300, 0.0, 3.5)
        lost += int((occupied_odds(llr, np.zeros(300)) < 0).sum())
        llr, vacant = ratios(rng, 300, 0.08, 3.5)
        filled += int((occupied_odds(llr, np.zeros(300))[vacant] > 0).sum())
    assert lost < 0.004 * 20 * 300
    assert filled < 0.25 * 20 * 24


def test_tails_of_the_noise_are_no_vacancies() -> None:
    """What a perfect crystal pays for its dimmest columns, against the same where a vacancy is sure."""
    rng = np.random.default_rng(3)
    llr = np.concatenate([ratios(rng, 300, 0.0, 2.5)[0], [-3.0, -2.5]])
    perfect = empty_share(llr)
    assert perfect < 0.01
    assert empty_share(np.concatenate([llr, np.full(9, -12.0)])) > 3 * perfect


@pytest.mark.parametrize("distance", [0.2, 0.5, 1.0, 2.0])
def test_noise_is_no_vacancies(distance: float) -> None:
    """Where single sites say little, their errors do not add up to a share that calls them vacant."""
    rng = np.random.default_rng(2)
    lost = 0
    for _ in range(20):
        llr, _ = ratios(rng, 300, 0.0, distance)
        assert empty_share(llr) < 0.08  # 0.05 is known beforehand
        lost += int((occupied_odds(llr, np.zeros(300)) < 0).sum())
    assert lost < 0.001 * 20 * 300


def test_few_equals_are_not_judged() -> None:
    assert (occupied_odds(np.full(5, -9.0), np.zeros(5)) > 0).all()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 999), st.integers(20, 80))
def test_the_order_of_sites_and_the_numbers_of_kinds_do_not_matter(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    llr, kind = rng.normal(3, 3, n), rng.integers(0, 2, n)
    order = rng.permutation(n)
    plain = occupied_odds(llr, kind)
    other = occupied_odds(llr[order], 9 - 4 * kind[order])
    np.testing.assert_allclose(other, plain[order])


def test_a_hole_is_many_vacancies_side_by_side() -> None:
    rng = np.random.default_rng(5)
    axis = np.arange(24) * 2.0
    yx = np.stack(np.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 2)
    hole = np.linalg.norm(yx - yx.mean(0), axis=1) < 7
    distance = 2.0
    height = np.where(hole, 0.0, distance) + rng.normal(size=len(yx))
    llr = distance * height - distance**2 / 2
    kind = np.zeros(len(yx))
    everywhere, around = occupied_odds(llr, kind), occupied_odds(llr, kind, yx)
    assert (around[hole] < 0).mean() > (everywhere[hole] < 0).mean() + 0.1
    assert (around[~hole] < 0).mean() < 0.03


def test_a_hole_does_not_make_the_crystal_around_it_doubtful() -> None:
    rng = np.random.default_rng(8)
    axis = np.arange(30) * 1.4
    yx = np.stack(np.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 2)
    hole = np.linalg.norm(yx - yx.mean(0), axis=1) < 7
    llr, _ = ratios(rng, len(yx), 0.0, 3.0)
    perfect = occupied_odds(llr, np.zeros(len(yx)), yx)
    llr[hole] = -8.0
    holed = occupied_odds(llr, np.zeros(len(yx)), yx)
    far = np.linalg.norm(yx - yx.mean(0), axis=1) > 15
    assert (holed[hole] < 0).all()
    assert np.abs(holed - perfect)[far].max() < 0.5
