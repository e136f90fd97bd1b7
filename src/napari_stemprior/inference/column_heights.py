"""The heights of all columns of an image together, so that neighbours do not lend each other theirs."""

from __future__ import annotations

from collections.abc import Generator

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from napari_stemprior.inference.column_profiles import BLOCK, HERE
from napari_stemprior.progress import Progress

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

#: How much columns of one kind differ in height, as a share of it.
_VARIETY = 0.35
#: Part of the right side that the solution leaves over at most, and steps after which it has to do.
_LEFT_OVER, _STEPS = 1e-4, 60


class ColumnHeights:
    """Weighted least squares, set up once for several images.

    The normal matrix is never made: its product with a vector of heights is that of the columns drawn with
    them and weighed.
    """

    def __init__(self, pixels: Integers, root: Floats, values: Floats) -> None:
        n, p = pixels.shape
        self._root = root
        self._design = csr_array((values.ravel(), pixels.ravel(), np.arange(0, n * p + 1, p)), (n, root.size))
        self._drawing = self._design.T
        self._diagonal = np.einsum("np,np->n", values, values)
        # What the neighbours are is known beforehand to some _VARIETY: with few counts that says more than a
        # fit of them would, and the noise of one column is not traded for that of the next.
        self._pull = np.full(n, _VARIETY**-2)

    @classmethod
    def of(
        cls, pixels: Integers, profile: Floats, weight: Floats
    ) -> Generator[Progress, None, ColumnHeights]:
        """Set up, step by step.

        Parameters
        ----------
        pixels, profile : (N, P) arrays
            Of the patches; a pixel that does not count has a profile of 0.
        weight : (H * W,) array
            Of the pixels of the flat image, inverse variances.
        """
        root, values = np.sqrt(weight), np.empty_like(profile)
        for first in range(0, len(pixels), BLOCK):
            yield HERE
            here = slice(first, first + BLOCK)
            np.multiply(profile[here], root[pixels[here]], out=values[here])
        return cls(pixels, root, values)

    def fit(self, data: Floats) -> Generator[Progress, None, tuple[Floats, Floats]]:
        """Return (N,) heights that explain a flat image: as measured, and most likely.

        By conjugate gradients, each column divided by its own curvature (Saad, Iterative Methods for Sparse
        Linear Systems (2003), algorithm 9.1).
        """
        yield HERE
        right = self._design @ (data * self._root) + self._pull
        solution = np.ones(len(self._pull))
        inverse = 1 / (self._diagonal + self._pull)
        yield HERE
        left = right - self._normal(solution)
        least = _LEFT_OVER * float(np.linalg.norm(right))
        scaled = inverse * left
        step, size = scaled, float(left @ scaled)
        for _ in range(_STEPS):
            if float(np.linalg.norm(left)) <= least:
                break
            yield HERE
            turned = self._normal(step)
            length = size / float(step @ turned)
            solution = solution + length * step
            left = left - length * turned
            scaled = inverse * left
            before, size = size, float(left @ scaled)
            step = scaled + (size / before) * step
        # the pull acted on the column itself as well: take it back
        held = (self._diagonal + self._pull) / np.maximum(self._diagonal, 1e-30)
        return 1 + (solution - 1) * held, solution

    def _normal(self, heights: Floats) -> Floats:
        return np.asarray(self._design @ (self._drawing @ heights) + self._pull * heights)
