"""Many small symmetric systems solved at once, vectorised over the systems."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class BatchedCholesky:
    """The Cholesky factors of N positive definite matrices.

    numpy solves a stack of small matrices one after the other, some microseconds each. Here each step of the
    factorisation (Golub and Van Loan, Matrix Computations, 4th ed. 2013, section 4.2) is done for all at
    once.

    Parameters
    ----------
    matrix : (N, m, m) array
        Symmetric. One that is not positive definite gives NaN.
    """

    def __init__(self, matrix: Floats) -> None:
        m = matrix.shape[1]
        a = np.ascontiguousarray(np.moveaxis(matrix, 0, -1))
        low = np.zeros_like(a)
        with np.errstate(invalid="ignore", divide="ignore"):
            for j in range(m):
                pivot = a[j, j] - np.einsum("kn,kn->n", low[j, :j], low[j, :j])
                low[j, j] = np.sqrt(np.where(pivot > 0, pivot, np.nan))
                for i in range(j + 1, m):
                    inner = np.einsum("kn,kn->n", low[i, :j], low[j, :j])
                    low[i, j] = (a[i, j] - inner) / low[j, j]
        self._low = low

    def solve(self, right: Floats) -> Floats:
        """Return (N, m) solutions for (N, m) right-hand sides."""
        return np.ascontiguousarray(self._solved(np.ascontiguousarray(right.T)).T)

    def _solved(self, right: Floats) -> Floats:
        low, m = self._low, len(self._low)
        y = np.empty_like(right)
        with np.errstate(invalid="ignore"):
            for i in range(m):
                y[i] = (right[i] - np.einsum("kn,kn->n", low[i, :i], y[:i])) / low[i, i]
            for i in range(m - 1, -1, -1):
                y[i] = (y[i] - np.einsum("kn,kn->n", low[i + 1 :, i], y[i + 1 :])) / low[i, i]
        return y

    def inverse(self) -> Floats:
        """Return the (N, m, m) inverses."""
        m, _, n = self._low.shape
        out = np.empty((m, m, n))
        for column in range(m):
            unit = np.zeros((m, n))
            unit[column] = 1.0
            out[:, column] = self._solved(unit)
        return np.moveaxis(out, -1, 0)
