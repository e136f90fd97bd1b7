"""The reference: what the microscope should show of a prior."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from napari_stemprior.optics.incoherent import probe_transfer, render_columns, scattered_intensity
from napari_stemprior.optics.instrument import Instrument
from napari_stemprior.structure import Column, StructurePrior
from napari_stemprior.structure.elements import ATOMIC_NUMBERS


class Placed(Protocol):
    """What knows where the columns of a prior lie on an image, such as a pose."""

    def columns(
        self, prior: StructurePrior, shape: tuple[int, int], margin: float = 0.0
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Return the (M, 2) positions in pixels (y, x) and the (M,) columns of the prior."""


#: Å of crystal drawn around the field, so that its periodic edges do not show.
_MARGIN = 6.0
#: Å: how thick a crystal that fills its cell is taken to be where nobody says.
DEFAULT_THICKNESS = 100.0


def column_intensity(column: Column, repeats: float = 1.0) -> float:
    """Return the scattered intensity of a column, in fraction of the beam times Å²."""
    return sum(
        scattered_intensity(ATOMIC_NUMBERS[symbol], count * repeats) for symbol, count in column.composition
    )


def reference_image(
    prior: StructurePrior,
    instrument: Instrument,
    pixel_size: float,
    shape: tuple[int, int],
    pose: Placed | None = None,
    *,
    thickness: float = DEFAULT_THICKNESS,
) -> NDArray[np.float32]:
    """Simulate the prior with the fast engine, free of noise.

    Parameters
    ----------
    prior : StructurePrior
    instrument : Instrument
    pixel_size : float
        Å per pixel.
    shape : (int, int)
        Rows and columns.
    pose : Placed, optional
        Where the lattice lies; without, the cell's first vector lies along x.
    thickness : float
        Å, of a crystal that repeats along the beam; a layer has its own.

    Returns
    -------
    (H, W) array of float32
        Fraction of the beam that reaches the detector.
    """
    repeats = max(1.0, round(thickness / prior.period)) if prior.period else 1.0
    margin = int(np.ceil(_MARGIN / pixel_size))
    field = (shape[0] + 2 * margin, shape[1] + 2 * margin)
    if pose is None:
        positions, index = _unrotated(prior, pixel_size, field)
    else:
        positions, index = pose.columns(prior, shape, margin - 1.0)
        positions = positions + margin
    intensity = np.array([column_intensity(column, repeats) for column in prior.columns])[index]
    transfer = probe_transfer(instrument, field, pixel_size)
    image = render_columns(
        torch.from_numpy(positions).float(), torch.from_numpy(intensity).float(), transfer, field, pixel_size
    ).numpy()
    inner = image[margin : margin + shape[0], margin : margin + shape[1]]
    return np.ascontiguousarray(np.clip(inner, 0, None), dtype=np.float32)


def _unrotated(
    prior: StructurePrior, pixel_size: float, field: tuple[int, int]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Lay the cell's first vector along x, the origin in the middle of the field."""
    first = prior.cell[0] / np.linalg.norm(prior.cell[0])
    turn = np.array([first, [-first[1], first[0]]])  # rows: new x, new y
    size = np.array(field) * pixel_size
    reach = int(np.ceil(np.linalg.norm(size) / min(np.linalg.norm(prior.cell, axis=1)))) + 2
    ij = np.stack(np.meshgrid(np.arange(-reach, reach + 1), np.arange(-reach, reach + 1), indexing="ij"), -1)
    places = (ij.reshape(-1, 1, 2) + prior.fractional[None]).reshape(-1, 2) @ prior.cell @ turn.T
    yx = places[:, ::-1] / pixel_size + np.array(field) / 2
    index = np.tile(np.arange(len(prior.columns)), (2 * reach + 1) ** 2)
    inside = ((yx > 0) & (yx < np.array(field) - 1)).all(axis=1)
    return yx[inside], index[inside].astype(np.int64)
