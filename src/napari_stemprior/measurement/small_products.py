"""Matrix products in pieces so small that the linear algebra library starts no threads of its own.

The blocks of a fit are shared by as many threads as there are processors. Were each of their products
shared once more, the threads of the library would wait for each other, and they wait by spinning: on a
machine that is busy with other work this takes ten times as long as the fit.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.float32]

#: Multiplications up to which OpenBLAS works on one thread (interface/gemm.c: `SMP_THRESHOLD_MIN` times
#: `GEMM_MULTITHREAD_THRESHOLD`, 65536 times 4).
ONE_THREAD = 2**18


def sums_over_pixels(factors: Pixels, values: Pixels) -> Pixels:
    """Return (K, N) sums over the pixels of N windows, each weighed by K factors.

    Parameters
    ----------
    factors : (K, P) array of float32
    values : (N, P) array of float32
    """
    return np.ascontiguousarray(_products(values, factors.T).T)


def polynomials(coefficients: Pixels, monomials: Pixels) -> Pixels:
    """Return (N, P) values of N polynomials on the pixels of a window.

    Parameters
    ----------
    coefficients : (N, K) array of float32
    monomials : (K, P) array of float32
    """
    return _products(coefficients, monomials)


def _products(many: Pixels, few: Pixels) -> Pixels:
    """Return (N, M) products of (N, K) with (K, M); numpy goes through the pieces in one call."""
    out = np.empty((len(many), few.shape[1]), np.float32)
    step = max(1, ONE_THREAD // max(few.size, 1))
    whole = len(many) // step * step
    if whole:
        np.matmul(
            many[:whole].reshape(-1, step, many.shape[1]),
            few,
            out=out[:whole].reshape(-1, step, out.shape[1]),
        )
    if whole < len(many):
        np.matmul(many[whole:], few, out=out[whole:])
    return out
