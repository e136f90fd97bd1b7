"""Confidence intervals of shares."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from napari_stemprior.errors import MeasurementError
from napari_stemprior.measurement.intervals import clopper_pearson, corrected, wilson


@given(st.integers(0, 200), st.integers(0, 200))
def test_an_interval_holds_its_share(a, b):
    count, of = min(a, b), max(a, b)
    for interval in (wilson, clopper_pearson):
        share = interval(count, of)
        if of == 0:
            assert np.isnan([share.value, share.low, share.high]).all()
            continue
        assert 0 <= share.low <= share.value <= share.high <= 1
        other = interval(of - count, of)
        assert share.low == pytest.approx(1 - other.high, abs=1e-9)


def test_published_values():
    # Newcombe, Statistics in Medicine 17 (1998) 857, table I: 15 of 148
    share = wilson(15, 148)
    assert (share.low, share.high) == (pytest.approx(0.0624, abs=1e-4), pytest.approx(0.1605, abs=1e-4))
    exact = clopper_pearson(15, 148)
    assert (exact.low, exact.high) == (pytest.approx(0.0578, abs=1e-4), pytest.approx(0.1617, abs=1e-4))


def test_the_exact_interval_never_covers_less():
    counts = np.arange(41)
    shares = [clopper_pearson(int(c), 40) for c in counts]
    for truth in (0.01, 0.05, 0.2, 0.5):
        covered = np.array([s.low <= truth <= s.high for s in shares])
        assert binom.pmf(counts, 40, truth)[covered].sum() >= 0.95


def test_a_share_is_corrected_for_what_the_test_misses():
    share = corrected(wilson(40, 1000), power=0.8)
    assert share.value == pytest.approx(0.05)
    assert corrected(wilson(10, 1000), power=0.9, false_alarms=0.01).value == pytest.approx(0, abs=1e-12)
    with pytest.raises(MeasurementError, match="says nothing"):
        corrected(wilson(1, 10), power=0.1, false_alarms=0.1)


def test_impossible_counts_are_errors():
    with pytest.raises(ValueError, match="no share"):
        wilson(3, 2)
    with pytest.raises(ValueError, match="confidence"):
        wilson(1, 2, 1.0)
