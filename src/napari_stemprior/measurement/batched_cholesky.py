"""Many small symmetric systems solved at once, vectorised over the systems."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class BatchedCholesky:
    """The Cholesky factors of N positive definite matrices.

    numpy solves a stack of small matrices one after the other, some microseconds each. Here each column of
    the factors (Golub and Van Loan, Matrix Computations, 4th ed. 2013, section 4.2) is found for all at once.
    Few calls matter: threads that work on blocks of systems wait for each other between two calls of numpy.

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
                column = a[j:, j] - np.einsum("ikn,kn->in", low[j:, :j], low[j, :j])
                low[j, j] = np.sqrt(np.where(column[0] > 0, column[0], np.nan))
                np.divide(column[1:], low[j, j], out=low[j + 1 :, j])
        self._low = low

    def solve(self, right: Floats) -> Floats:
        """Return (N, m) solutions for (N, m) right-hand sides."""
        return np.ascontiguousarray(self._solved(np.array(right.T, order="C")).T)

    def _solved(self, y: Floats) -> Floats:
        """Turn (m, N) right-hand sides into solutions in place."""
        low, m = self._low, len(self._low)
        with np.errstate(invalid="ignore"):
            for i in range(m):
                y[i] /= low[i, i]
                y[i + 1 :] -= low[i + 1 :, i] * y[i]
            for i in range(m - 1, -1, -1):
                y[i] /= low[i, i]
                y[:i] -= low[i, :i] * y[i]
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
