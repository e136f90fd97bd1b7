"""The columns of a mean unit cell, as the network finds them where it is drawn many times beside itself."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from napari_stemprior.inference.decoding import Peaks, decode
from napari_stemprior.inference.predictor import Predictor
from napari_stemprior.network.config import CANONICAL_PIXEL_SIZE, STRIDE
from napari_stemprior.network.prompt import StructurePrompt
from napari_stemprior.progress import Progress
from napari_stemprior.registration.unit_cell.mean_cell import MeanCell
from napari_stemprior.structure.periodic import minimum_image, nearest_distance

Floats = NDArray[np.float64]

#: Canonical pixels on a side of the drawing, and how many cells it holds along its longer vector.
_LEAST, _MOST, _CELLS = 160, 320, 5.0
#: Canonical pixels at the edges of the drawing where columns are not counted.
_EDGE = 8
#: Å within which the columns of different cells are the same one.
_SAME = 0.5
#: Å: the refinement carries columns that differ by less to the same places.
_LIKE = 0.1
#: Part of the cells in which a column must be found.
_SHARE = 0.6


@dataclass(frozen=True, eq=False)
class CellColumns:
    """The columns of a unit cell.

    Parameters
    ----------
    fractional : (N, 2) array
        Position in the cell.
    hidden : (N,) array of bool
        Whether it lies below the entrance layer.
    confidence : (N,) array
        Mean over the cells.
    """

    fractional: Floats
    hidden: NDArray[np.bool_]
    confidence: Floats

    def __len__(self) -> int:
        return len(self.fractional)

    def where(self, keep: NDArray[np.bool_]) -> CellColumns:
        """Return some of the columns."""
        return CellColumns(self.fractional[keep], self.hidden[keep], self.confidence[keep])

    def is_like(self, other: CellColumns, cell: Floats) -> bool:
        """Tell whether others are the same columns, each a little moved at most.

        Parameters
        ----------
        other : CellColumns
        cell : (2, 2) array
            Rows are the vectors in Å.
        """
        if len(self) != len(other):
            return False
        apart = nearest_distance(self.fractional[:, None] - other.fractional, cell)
        apart = np.where(self.hidden[:, None] == other.hidden, apart, np.inf)
        nearest = np.argmin(apart, axis=1) if len(self) else np.zeros(0, int)
        return len(set(nearest.tolist())) == len(self) and bool(
            (apart.min(axis=1, initial=np.inf) < _LIKE).all()
        )


def cell_columns(
    predictor: Predictor, mean: MeanCell, stage: str, noise: float
) -> Generator[Progress, None, CellColumns]:
    """Find the columns of a mean cell, step by step.

    Parameters
    ----------
    predictor : Predictor
    mean : MeanCell
    stage : str
        What the progress says.
    noise : float
        Standard deviation of what is added to the drawing, over its own: the network has learned from noisy
        images.
    """
    longest = float(np.linalg.norm(mean.cell, axis=1).max())
    wanted = int(np.clip(_CELLS * longest / CANONICAL_PIXEL_SIZE, _LEAST, _MOST))
    side = -(-wanted // STRIDE) * STRIDE
    drawn = mean.drawn(side, CANONICAL_PIXEL_SIZE)
    drawn = drawn / max(float(drawn.std()), 1e-30)
    drawn = drawn + noise * np.random.default_rng(0).standard_normal(drawn.shape)
    image = torch.from_numpy(drawn.astype(np.float32))
    (answer,) = yield from predictor.answers(image, [StructurePrompt.absent()], stage)
    probability = answer.probability.numpy()
    peaks = yield from decode(answer, probability, probability, calibration=predictor.calibration)
    inside = np.asarray(((peaks.yx >= _EDGE) & (peaks.yx <= side - 1 - _EDGE)).all(axis=1))
    area = ((side - 1 - 2 * _EDGE) * CANONICAL_PIXEL_SIZE) ** 2
    return _folded(peaks.where(inside), mean.cell, area / abs(float(np.linalg.det(mean.cell))))


def _folded(peaks: Peaks, cell: Floats, cells: float) -> CellColumns:
    """Carry the peaks of all cells into one, the surest first, and keep what is in most cells."""
    fractional = peaks.yx[:, ::-1] * CANONICAL_PIXEL_SIZE @ np.linalg.inv(cell)
    left = np.ones(len(peaks.yx), bool)
    found: list[tuple[Floats, bool, float]] = []
    for first in np.argsort(-peaks.confidence, kind="stable"):
        if not left[first]:
            continue
        apart = fractional - fractional[first]
        same = left & (peaks.hidden == peaks.hidden[first]) & (nearest_distance(apart, cell) < _SAME)
        left &= ~same
        if same.sum() < _SHARE * cells:
            continue
        place = (fractional[first] + minimum_image(apart[same]).mean(axis=0)) % 1.0
        found.append((place, bool(peaks.hidden[first]), float(peaks.confidence[same].mean())))
    return CellColumns(
        np.array([place for place, _, _ in found]).reshape(-1, 2),
        np.array([hidden for _, hidden, _ in found], bool),
        np.array([confidence for _, _, confidence in found], float),
    )
