"""Columns refined against a mean cell: where they stand, how bright they are, and which are missing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_stemprior.inference.cell_columns import CellColumns
from napari_stemprior.inference.cell_fit import complete_cell, fit_cell
from napari_stemprior.inference.cell_prior import prior_of_cell
from napari_stemprior.registration.fourier.normalized_image import BACKGROUND_WIDTH
from napari_stemprior.registration.fourier.reflections import reflections_of
from napari_stemprior.registration.unit_cell.mean_cell import MeanCell

CELL = np.array([[5.2, 0.0], [-1.1, 4.7]])
PLACES = np.array([[0.1, 0.2], [0.6, 0.7], [0.35, 0.15]])
BRIGHT = np.array([1.0, 0.6, 0.12])


def mean_cell(
    places: np.ndarray, bright: np.ndarray, noise: float = 0.002, seed: int = 0, longer: float = 1.0
) -> MeanCell:
    """Make the mean cell of Gaussian columns of 0.45 Å, `longer` times as wide along y."""
    hk, g = reflections_of(CELL, 0.85)
    length2 = (g**2).sum(1)
    stretched = (g**2 * np.array([1.0, longer**2])).sum(1)
    shape = np.exp(-2 * np.pi**2 * 0.45**2 * stretched) * (
        1 - np.exp(-2 * np.pi**2 * BACKGROUND_WIDTH**2 * length2)
    )
    rng = np.random.default_rng(seed)
    error = noise / np.sqrt(2) * (rng.normal(size=len(hk)) + 1j * rng.normal(size=len(hk)))
    amplitude = shape * (np.exp(-2j * np.pi * hk @ places.T) @ bright) + error
    return MeanCell(CELL, hk, amplitude, np.full(len(hk), noise**2), 1.0, 300.0)


def columns(places: np.ndarray) -> CellColumns:
    return CellColumns(places, np.zeros(len(places), bool), np.ones(len(places)))


def apart(found: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Å from each true place to the nearest found one."""
    delta = found[None] - true[:, None]
    return np.asarray(np.linalg.norm((delta - np.round(delta)) @ CELL, axis=-1).min(axis=1))


def test_places_and_brightness_are_refined() -> None:
    off = PLACES + np.array([[0.03, -0.02], [-0.02, 0.02], [0.03, 0.03]])
    fit = fit_cell(mean_cell(PLACES, BRIGHT), columns(off))
    assert apart(fit.fractional, PLACES).max() < 0.04
    assert fit.brightness == pytest.approx(BRIGHT, abs=0.04)
    assert (np.abs(fit.brightness - BRIGHT) < 0.04).all()


def test_a_column_that_was_overlooked_is_added() -> None:
    fit = complete_cell(mean_cell(PLACES, BRIGHT), columns(PLACES[:2]))
    assert len(fit.fractional) == 3
    assert apart(fit.fractional, PLACES).max() < 0.1


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("noise", [0.0005, 0.005, 0.05])
def test_noise_adds_no_column(seed: int, noise: float) -> None:
    mean = mean_cell(PLACES, BRIGHT, noise, seed)
    assert len(complete_cell(mean, columns(PLACES)).fractional) == 3


@pytest.mark.parametrize("longer", [1.1, 1.2])
def test_a_probe_of_another_shape_adds_no_column(longer: float) -> None:
    mean = mean_cell(PLACES, BRIGHT, longer=longer)
    assert len(complete_cell(mean, columns(PLACES)).fractional) == 3


def test_a_column_of_noise_is_left_out() -> None:
    mean = mean_cell(PLACES[:2], BRIGHT[:2], 0.02)
    prior = prior_of_cell(mean, [columns(np.vstack([PLACES[:2], [[0.85, 0.4]]]))])
    assert prior is not None
    assert [c.site for c in prior.columns] == ["A1", "B1"]


def test_the_better_of_two_answers_is_taken() -> None:
    mean = mean_cell(PLACES, BRIGHT)
    wrong = columns(np.array([[0.1, 0.2], [0.85, 0.45]]))
    for candidates in ([wrong, columns(PLACES)], [columns(PLACES), wrong]):
        prior = prior_of_cell(mean, candidates)
        assert prior is not None
        assert apart(prior.fractional, PLACES).max() < 0.1


def test_columns_that_look_alike_share_a_letter_and_an_element() -> None:
    places = np.vstack([PLACES[:2], [[0.6, 0.25]]])
    prior = prior_of_cell(mean_cell(places, np.array([1.0, 0.5, 0.49])), [columns(places)])
    assert prior is not None
    assert sorted(c.site for c in prior.columns) == ["A1", "B1", "B2"]
    assert len({c.element for c in prior.columns}) == 2
    brightest = max(prior.columns, key=lambda c: c.z_weight)
    assert (brightest.site, brightest.element) == ("A1", "Mo")


def test_nothing_found_is_no_prior() -> None:
    assert prior_of_cell(mean_cell(PLACES, BRIGHT), [columns(np.zeros((0, 2)))]) is None
    assert prior_of_cell(mean_cell(PLACES, BRIGHT), []) is None


@given(st.floats(0, 1), st.floats(0, 1))
def test_the_origin_of_the_cell_does_not_matter(dx: float, dy: float) -> None:
    moved = PLACES + np.array([dx, dy])
    fit = fit_cell(mean_cell(moved, BRIGHT), columns(moved))
    still = fit_cell(mean_cell(PLACES, BRIGHT), columns(PLACES))
    assert fit.brightness == pytest.approx(still.brightness, abs=0.02)
    assert apart(fit.fractional, moved).max() < 0.02
