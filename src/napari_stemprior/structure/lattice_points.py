"""The columns of an endless lattice that fall on a field."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_stemprior.structure.prior import StructurePrior


def lattice_columns(
    prior: StructurePrior,
    affine: NDArray[np.float64],
    origin: NDArray[np.float64],
    shape: tuple[int, int],
    margin: float = 0.0,
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """List every column of a prior's lattice that falls on an image.

    Parameters
    ----------
    prior : StructurePrior
    affine : (2, 2) array
        Maps (x, y) in Å of the prior to (y, x) in pixels.
    origin : (2,) array
        Pixel (y, x) of the prior's origin.
    shape : (int, int)
        Rows and columns of the image, whose pixel centres lie on integers.
    margin : float
        Pixels around the image to include as well; less than 0 to leave some out.

    Returns
    -------
    positions : (M, 2) array
        Pixels (y, x), cell by cell.
    index : (M,) array of int64
        The column of the prior.
    """
    low = np.full(2, -0.5 - margin)
    high = np.array(shape) - 0.5 + margin
    corners = np.array([(y, x) for y in (low[0], high[0]) for x in (low[1], high[1])])
    cells = (corners - origin) @ np.linalg.inv(affine).T @ np.linalg.inv(prior.cell)
    # a column lies up to one cell from the corner of its own
    first, last = np.floor(cells.min(0)).astype(int) - 1, np.ceil(cells.max(0)).astype(int) + 1
    ij = np.stack(
        np.meshgrid(*(np.arange(a, b + 1) for a, b in zip(first, last, strict=True)), indexing="ij"), -1
    )
    places = (ij.reshape(-1, 1, 2) + prior.fractional[None]).reshape(-1, 2)
    yx = places @ prior.cell @ affine.T + origin
    index = np.tile(np.arange(len(prior.columns)), ij.shape[0] * ij.shape[1])
    inside = ((yx >= low) & (yx < high)).all(axis=1)
    return yx[inside], index[inside].astype(np.int64)
