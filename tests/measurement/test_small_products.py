"""Products in small pieces are those in one, and no piece is large enough for threads."""

import numpy as np
import pytest

from napari_stemprior.measurement import small_products
from napari_stemprior.measurement.small_products import ONE_THREAD, polynomials, sums_over_pixels


@pytest.fixture
def pieces(monkeypatch):
    sizes, whole = [], np.matmul

    def counted(left, right, out=None):
        sizes.append(left.shape[0] * left.shape[1] * right.shape[1])
        return whole(left, right, out=out)

    monkeypatch.setattr(small_products.np, "matmul", counted)
    return sizes


def test_many_windows_are_summed_in_small_pieces(pieces):
    rng = np.random.default_rng(0)
    factors = rng.normal(size=(15, 97)).astype(np.float32)
    values = rng.normal(size=(1000, 97)).astype(np.float32)
    np.testing.assert_allclose(sums_over_pixels(factors, values), factors @ values.T, atol=1e-4)
    assert len(pieces) > 1
    assert max(pieces) <= ONE_THREAD


def test_many_polynomials_are_drawn_in_small_pieces(pieces):
    rng = np.random.default_rng(1)
    coefficients = rng.normal(size=(1000, 6)).astype(np.float32)
    monomials = rng.normal(size=(6, 225)).astype(np.float32)
    np.testing.assert_allclose(polynomials(coefficients, monomials), coefficients @ monomials, atol=1e-4)
    assert len(pieces) > 1
    assert max(pieces) <= ONE_THREAD
