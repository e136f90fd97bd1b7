"""The heights of all columns of an image together, so that neighbours do not lend each other theirs."""

from __future__ import annotations

from collections.abc import Generator

import torch
from torch import Tensor

from napari_stemprior.inference.column_profiles import HERE, SitePatches
from napari_stemprior.progress import Progress

#: How much columns of one kind differ in height, as a share of it.
_VARIETY = 0.35
#: Part of the right side that the solution leaves over at most, and steps after which it has to do.
_LEFT_OVER, _STEPS = 1e-4, 60


class ColumnHeights:
    """Weighted least squares, set up once for several images.

    The normal matrix is never made: its product with a vector of heights is that of the columns drawn with
    them and weighed.
    """

    def __init__(self, patches: SitePatches, root: Tensor, values: Tensor) -> None:
        self._patches, self._root, self._values = patches, root, values
        self._diagonal = torch.linalg.vecdot(values, values)
        # What the neighbours are is known beforehand to some _VARIETY: with few counts that says more than a
        # fit of them would, and the noise of one column is not traded for that of the next.
        self._pull = _VARIETY**-2

    @classmethod
    def of(
        cls, patches: SitePatches, profile: Tensor, weight: Tensor
    ) -> Generator[Progress, None, ColumnHeights]:
        """Set up, step by step.

        Parameters
        ----------
        patches : SitePatches
        profile : Tensor (N, P)
            A pixel that does not count has a profile of 0.
        weight : Tensor (H * W,)
            Of the pixels of the flat image, inverse variances.
        """
        root, values = weight.sqrt(), torch.empty_like(profile)
        for here in patches.blocks():
            yield HERE
            torch.mul(profile[here], patches.of(root, here), out=values[here])
        return cls(patches, root, values)

    def fit(self, data: Tensor) -> Generator[Progress, None, tuple[Tensor, Tensor]]:
        """Return (N,) heights that explain a flat image: as measured, and most likely.

        By conjugate gradients, each column divided by its own curvature (Saad, Iterative Methods for Sparse
        Linear Systems (2003), algorithm 9.1).
        """
        right = (yield from self._weighed(data * self._root)) + self._pull
        solution = torch.ones_like(self._diagonal)
        inverse = 1 / (self._diagonal + self._pull)
        left = right - (yield from self._normal(solution))
        least = _LEFT_OVER * float(torch.linalg.vector_norm(right))
        scaled = inverse * left
        step, size = scaled, float(left @ scaled)
        for _ in range(_STEPS):
            if float(torch.linalg.vector_norm(left)) <= least:
                break
            turned = yield from self._normal(step)
            length = size / float(step @ turned)
            solution = solution + length * step
            left = left - length * turned
            scaled = inverse * left
            before, size = size, float(left @ scaled)
            step = scaled + (size / before) * step
        # the pull acted on the column itself as well: take it back
        held = (self._diagonal + self._pull) / self._diagonal.clamp(min=1e-30)
        return 1 + (solution - 1) * held, solution

    def _normal(self, heights: Tensor) -> Generator[Progress, None, Tensor]:
        drawn = yield from self._patches.drawn(self._values, heights)
        return (yield from self._weighed(drawn)) + self._pull * heights

    def _weighed(self, image: Tensor) -> Generator[Progress, None, Tensor]:
        """Return the (N,) sums of a flat image over the columns."""
        sums = torch.empty_like(self._diagonal)
        for here in self._patches.blocks():
            yield HERE
            sums[here] = torch.linalg.vecdot(self._values[here], self._patches.of(image, here))
        return sums
