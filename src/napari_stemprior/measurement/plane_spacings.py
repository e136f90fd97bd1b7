"""Spacings of atomic planes, one after the other, such as across an interface."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_stemprior.atoms import AtomTable
from napari_stemprior.errors import MeasurementError
from napari_stemprior.measurement.lattice_indices import LatticeIndices
from napari_stemprior.measurement.reference_lattice import ReferenceLattice, in_polygon, polygon

Floats = NDArray[np.float64]

#: Atoms that make a plane.
_LEAST = 3


@dataclass(frozen=True, eq=False)
class PlaneSpacings:
    """P planes and the P - 1 spacings between them.

    Parameters
    ----------
    number : (P,) array of int
        Of the plane, ascending along the normal.
    position, position_error : (P,) arrays
        Å along the normal, relative to the first plane; the error is that of the mean of its atoms.
    count : (P,) array of int
        Atoms.
    spacing, spacing_error : (P - 1,) arrays
        Å from each plane to the next one; NaN where a plane between them has too few atoms.
    ideal : float
        Å in the reference lattice.
    normal : (2,) array
        Unit vector (x, y) on the image, in the direction of growing numbers.
    site : str
    """

    number: NDArray[np.int64]
    position: Floats
    position_error: Floats
    count: NDArray[np.int64]
    spacing: Floats
    spacing_error: Floats
    ideal: float
    normal: Floats
    site: str


def plane_spacings(
    atoms: AtomTable,
    indices: LatticeIndices,
    reference: ReferenceLattice,
    position_error: Floats,
    planes: tuple[int, int] = (1, 0),
    site: str | None = None,
    region: ArrayLike | None = None,
) -> PlaneSpacings:
    """Measure the spacings of the lattice planes (h k) of one site.

    The position of a plane is the mean of its atoms along the normal of the planes in the reference
    lattice. Its error is that of the mean, from position errors or from how the atoms scatter, whichever
    is larger: a plane that is bent or stepped is known less well.

    Parameters
    ----------
    atoms : AtomTable
    indices : LatticeIndices
    reference : ReferenceLattice
    position_error : (N,) array
        Å along one axis.
    planes : (int, int)
        Miller indices in the cell of the prior.
    site : str, optional
        Site label or element; the first site of the prior by default.
    region : (V, 2) array-like, optional
        Corners in pixels (y, x) within which atoms count; two are those of a rectangle.

    Returns
    -------
    PlaneSpacings

    Raises
    ------
    MeasurementError
        If the indices are both 0, the prior has no such site, or there are fewer than two planes.
    """
    h, k = planes
    if (h, k) == (0, 0):
        raise MeasurementError("Planes have two indices h and k that are not both 0.")
    prior, first = indices.priors[0], indices.first[0]
    wanted = site if site is not None else prior.columns[0].site
    columns = [i for i, c in enumerate(prior.columns) if wanted in (c.site, c.element)]
    if not columns:
        names = dict.fromkeys(name for c in prior.columns for name in (c.element, c.site))
        raise MeasurementError(f"The prior has no site {wanted}; it has {', '.join(names)}.")
    column = columns[0]
    own = (indices.lattice == 0) & (indices.column == first + column) & (indices.part == 0)
    own &= np.isfinite(position_error)
    if region is not None:
        own &= in_polygon(atoms.yx, polygon(region))
    rows = np.flatnonzero(own)
    vectors = prior.cell @ reference.matrix[0].T
    normal = np.linalg.inv(vectors) @ np.array([h, k], float)
    divisor = int(np.gcd(h, k))
    ideal = divisor / float(np.linalg.norm(normal))
    normal = normal / np.linalg.norm(normal)
    if not len(rows):
        raise MeasurementError(f"No {wanted} atom of the lattice lies there, so there are no planes.")
    number = (h * indices.h[rows] + k * indices.k[rows]) // divisor
    place = atoms.yx_angstrom[rows, ::-1] @ normal
    names, which, count = np.unique(number, return_inverse=True, return_counts=True)
    total = np.bincount(which, place) / count
    scatter = np.sqrt(np.bincount(which, (place - total[which]) ** 2) / np.maximum(count - 1, 1) / count)
    known = np.sqrt(np.bincount(which, position_error[rows] ** 2)) / count
    good = count >= _LEAST
    names, total, error, count = names[good], total[good], np.fmax(scatter, known)[good], count[good]
    if len(names) < 2:
        raise MeasurementError(
            f"Fewer than two planes ({h} {k}) hold {_LEAST} {wanted} atoms; take other planes or a wider "
            "region."
        )
    next_to = np.diff(names) == 1
    return PlaneSpacings(
        names.astype(np.int64), total - total[0], error, count.astype(np.int64),
        np.where(next_to, np.diff(total), np.nan),
        np.where(next_to, np.hypot(error[1:], error[:-1]), np.nan), ideal, normal,
        prior.columns[column].site,
    )  # fmt: skip
