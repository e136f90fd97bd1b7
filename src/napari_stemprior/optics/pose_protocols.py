"""What a simulation asks of a pose; poses themselves are of a room above."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_stemprior.structure import StructurePrior


class ColumnPose(Protocol):
    """What knows where the columns of a prior lie on an image."""

    def columns(
        self, prior: StructurePrior, shape: tuple[int, int], margin: float = 0.0
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Return the (M, 2) positions in pixels (y, x) and the (M,) columns of the prior."""


class InvertiblePose(Protocol):
    """What carries pixels to the prior."""

    def to_angstrom(self, yx: ArrayLike) -> NDArray[np.float64]:
        """Carry (..., 2) pixels (y, x) to prior coordinates (x, y) in Å."""
