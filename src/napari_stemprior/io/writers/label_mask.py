"""Atoms as labelled disks."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from napari_stemprior.atoms.table import AtomTable
from napari_stemprior.errors import ExportError

#: Default radius of a disk over the median distance to the nearest neighbour.
_RADIUS_OVER_SPACING = 0.35
#: Radius in Å where a single atom leaves no spacing to go by.
_LONE_RADIUS = 0.5


def label_mask(
    table: AtomTable, shape: tuple[int, int], radius: float | None = None
) -> NDArray[np.uint16] | NDArray[np.uint32]:
    """Draw every atom as a disk with the value ``atom_id + 1``; 0 is the background.

    A pixel within reach of two atoms goes to the nearer, so disks never overlap. However small the radius,
    an atom marks the pixel that it lies in. Rejected atoms, vacancies and those off the
    image are left out.

    Parameters
    ----------
    table : AtomTable
    shape : (int, int)
        Rows and columns of the image.
    radius : float, optional
        Å; by default 0.35 of the median distance between nearest neighbours.

    Returns
    -------
    (H, W) array of uint16, or of uint32 where an id needs it.

    Raises
    ------
    ExportError
        If an id is negative or too large for a label, or the radius is not positive.
    """
    kept = table.atoms
    ids = kept.rows["atom_id"].to_numpy()
    if len(ids) and (ids.min() < 0 or ids.max() >= 2**32 - 1):
        raise ExportError(
            f"atom_id: {ids.min()} to {ids.max()} do not fit a label image; number the atoms from 0."
        )
    reach = (disk_radius(kept) if radius is None else float(radius)) / table.pixel_size
    if not reach > 0:
        raise ExportError(f"radius: {radius} Å is not a disk; give a positive number.")
    height, width = shape
    labels: NDArray[Any] = np.zeros(shape, np.uint32 if len(ids) and ids.max() >= 2**16 - 1 else np.uint16)
    nearest = np.full(shape, np.inf)
    for (y, x), atom_id in zip(kept.yx, ids, strict=True):
        if not (-0.5 <= y < height - 0.5 and -0.5 <= x < width - 0.5):
            continue
        centre = round(y), round(x)
        top, left = (max(0, int(np.ceil(c - reach))) for c in (y, x))
        bottom, right = (min(n, int(np.floor(c + reach)) + 1) for c, n in zip((y, x), shape, strict=True))
        # the pixel under the atom belongs to it even if the disk misses its centre
        top, left = min(top, centre[0]), min(left, centre[1])
        bottom, right = max(bottom, centre[0] + 1), max(right, centre[1] + 1)
        window = np.s_[top:bottom, left:right]
        distance = (np.arange(top, bottom)[:, None] - y) ** 2 + (np.arange(left, right)[None] - x) ** 2
        own = distance <= reach**2
        own[centre[0] - top, centre[1] - left] = True
        own &= distance < nearest[window]
        nearest[window][own] = distance[own]
        labels[window][own] = atom_id + 1
    return labels


def disk_radius(table: AtomTable) -> float:
    """Return the radius in Å of a disk: 0.35 of the median distance between nearest neighbours.

    Parameters
    ----------
    table : AtomTable
        Without a spacing to go by, as for a single atom, it is 0.5 Å.
    """
    yx = table.yx_angstrom
    if len(yx) < 2:
        return _LONE_RADIUS
    distance = np.asarray(cKDTree(yx).query(yx, k=[2])[0])
    spacing = float(np.median(distance))
    return _RADIUS_OVER_SPACING * spacing if spacing > 0 else _LONE_RADIUS
