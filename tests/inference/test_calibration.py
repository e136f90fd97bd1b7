"""How sure a peak is, and how that is learned."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_stemprior.inference.calibration import (
    Calibration,
    deviations,
    fit_logistic,
    log_odds,
    reference_heights,
)


def test_the_default_changes_nothing() -> None:
    height = np.array([0.1, 0.5, 0.93])
    features = np.column_stack([log_odds(height), np.ones((3, 4))])
    np.testing.assert_allclose(Calibration().with_prior(features, np.array([True, False, True])), height)
    np.testing.assert_allclose(Calibration().without(height), height)


@given(st.lists(st.floats(-5, 5), min_size=10, max_size=10))
def test_it_survives_the_notes(values: list[float]) -> None:
    made = Calibration(tuple(values[:6]), (values[6], values[7]), (values[8], values[9]))
    assert Calibration.from_notes({"calibration": made.to_notes()}) == made


def test_an_older_calibration_is_still_read() -> None:
    saved = {"on_site": [1, 2, 3, 4, 5], "off_site": [6, 7], "alone": [8, 9]}
    assert Calibration.from_notes({"calibration": saved}).on_site == (1, 2, 3, 4, 5, 0)


def test_regression_finds_the_weights_that_made_the_truth() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(40_000, 2))
    odds = 0.5 + features @ [2.0, -1.0]
    truth = rng.random(len(odds)) < 1 / (1 + np.exp(-odds))
    np.testing.assert_allclose(fit_logistic(features, truth), [0.5, 2.0, -1.0], atol=0.1)


def test_a_vacancy_stands_out_among_its_equals() -> None:
    rng = np.random.default_rng(1)
    equal = 1 / (1 + np.exp(-rng.normal(2.0, 0.2, 100)))
    vacant = np.full(8, 0.6)
    height = np.concatenate([equal, vacant])
    kind = np.zeros(len(height), np.int64)
    usual = reference_heights(height, kind)
    assert usual[0][0] == pytest.approx(2.0, abs=0.15)
    found = deviations(height, kind, usual)
    assert found[100:].max() < -4
    assert np.mean(found[:100] < -4) < 0.03


def test_few_sites_tell_nothing() -> None:
    usual = reference_heights(np.full(5, 0.9), np.zeros(5, np.int64))
    assert usual == {}
    np.testing.assert_array_equal(deviations(np.array([0.1]), np.array([0]), usual), [0.0])
