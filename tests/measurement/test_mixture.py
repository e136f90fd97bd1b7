"""The number of kinds in a histogram."""

import numpy as np
import pytest

from napari_stemprior.errors import MeasurementError
from napari_stemprior.measurement.mixture import fit_mixture


@pytest.mark.parametrize("means", [(1.0,), (1.0, 2.0), (1.0, 2.0, 3.2)])
@pytest.mark.parametrize("count", [600, 30000])
def test_bic_finds_how_many(means, count):
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(m, 0.15, count) for m in means])
    found = fit_mixture(values)
    assert len(found) == len(means)
    np.testing.assert_allclose(found.mean, means, atol=0.03)
    np.testing.assert_allclose(found.deviation, 0.15, atol=0.03)
    truth = np.repeat(np.arange(len(means)), count)
    assert (found.classify(values) != truth).mean() == pytest.approx(found.error_rate.mean(), abs=0.005)


def test_nan_belongs_to_no_class():
    values = np.r_[np.random.default_rng(0).normal(size=200), np.nan]
    found = fit_mixture(values)
    assert found.classify(values)[-1] == -1
    assert np.isnan(found.posterior(values)[-1]).all()
    np.testing.assert_allclose(found.posterior(values[:-1]).sum(1), 1)


def test_units_do_not_matter():
    rng = np.random.default_rng(2)
    values = np.r_[rng.normal(1, 0.1, 300), rng.normal(2, 0.2, 200)]
    a, b = fit_mixture(values), fit_mixture(values * 1e6 - 5e5)
    assert len(a) == len(b) == 2
    np.testing.assert_allclose(a.mean * 1e6 - 5e5, b.mean, rtol=1e-5)


def test_too_few_values_are_refused():
    with pytest.raises(MeasurementError, match="10 or more"):
        fit_mixture([1.0, 2.0, np.nan])
