"""Confidence intervals of shares."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from napari_stemprior.errors import MeasurementError
from napari_stemprior.measurement.intervals import corrected, wilson


@given(st.integers(0, 200), st.integers(0, 200))
def test_an_interval_holds_its_share(a, b):
    count, of = min(a, b), max(a, b)
    share = wilson(count, of)
    if of == 0:
        assert np.isnan([share.value, share.low, share.high]).all()
        return
    assert 0 <= share.low <= share.value <= share.high <= 1
    assert share.low == pytest.approx(1 - wilson(of - count, of).high, abs=1e-9)
    other = binomtest(count, of).proportion_ci(0.95, method="wilson")
    assert (share.low, share.high) == pytest.approx((other.low, other.high), abs=1e-9)


def test_published_values():
    # Newcombe, Statistics in Medicine 17 (1998) 857, table I: 15 of 148
    share = wilson(15, 148)
    assert (share.low, share.high) == (pytest.approx(0.0624, abs=1e-4), pytest.approx(0.1605, abs=1e-4))


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
