"""Segment a rectangle of the image again, and nothing else of it."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_stemprior.atoms import AtomTable
from napari_stemprior.errors import MicrographError
from napari_stemprior.io.micrograph import Micrograph
from napari_stemprior.progress import Progress
from napari_stemprior.registration import LatticeFit
from napari_stemprior.structure import Prior
from napari_stemprior.workflow.count_doubts import DOUBTS
from napari_stemprior.workflow.fit_lattice import known_pixel_size
from napari_stemprior.workflow.operations import Operations
from napari_stemprior.workflow.segment import Segmentation, SegmentSettings, segment

#: Å around the rectangle that the network sees as well.
CONTEXT = 12.0
#: A rectangle must have sides of so many Å.
SMALLEST = 6.0


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels, edges included.

    Parameters
    ----------
    low, high : (float, float)
        Corners (y, x).
    """

    low: tuple[float, float]
    high: tuple[float, float]

    @classmethod
    def around(cls, corners: ArrayLike, shape: tuple[int, int], pixel_size: float) -> Box:
        """Return the rectangle around corners, as far as it lies on an image.

        Raises
        ------
        MicrographError
            If too little of it lies on the image.
        """
        yx = np.asarray(corners, float)[:, -2:]
        low = np.clip(yx.min(axis=0), 0, np.asarray(shape) - 1)
        high = np.clip(yx.max(axis=0), 0, np.asarray(shape) - 1)
        if (high - low).min() * pixel_size < SMALLEST:
            raise MicrographError(
                f"The rectangle has a side of {(high - low).min() * pixel_size:.1f} Å on the image; "
                f"draw one with at least {SMALLEST:g} Å."
            )
        return cls((float(low[0]), float(low[1])), (float(high[0]), float(high[1])))

    def contains(self, yx: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Tell which of (N, 2) pixels lie in it."""
        return np.asarray(((yx >= self.low) & (yx <= self.high)).all(axis=1))


def segment_box(
    operations: Operations,
    micrograph: Micrograph,
    prior: Prior | None,
    fit: LatticeFit | None,
    settings: SegmentSettings,
    box: Box,
) -> Generator[Progress, None, Segmentation]:
    """Run the network on a rectangle and some context around it; the atoms in the rectangle are returned.

    The fit of the whole image is believed where there is one, so the atoms fit those around.
    """
    size = known_pixel_size(micrograph)
    margin = CONTEXT / size
    low = np.maximum(np.floor(np.subtract(box.low, margin)), 0).astype(int)
    high = np.minimum(np.ceil(np.add(box.high, margin)).astype(int) + 1, micrograph.image.shape)
    part = micrograph.cropped(slice(low[0], high[0]), slice(low[1], high[1]))
    there = None if fit is None else fit.cropped(low)
    found = yield from segment(operations, part, prior, there, settings)
    rows = found.table.rows.assign(
        y_px=found.table.rows["y_px"] + low[0], x_px=found.table.rows["x_px"] + low[1]
    )
    provenance = found.table.provenance | {"part": [*box.low, *box.high]}
    del provenance[DOUBTS]  # of a part that nobody sees
    table = AtomTable(rows[box.contains(rows[["y_px", "x_px"]].to_numpy(float))], size, provenance)
    return Segmentation(table, prior if fit is not None else None, fit)
