"""The lattice against which displacements and strain are measured."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_stemprior.atoms import AtomTable
from napari_stemprior.errors import MeasurementError
from napari_stemprior.measurement.lattice_indices import LEAST_ATOMS, LatticeIndices

Floats = NDArray[np.float64]

#: Atoms farther from the reference than so many robust standard deviations do not define it.
_OUTLIER = 4.0
_ROUNDS = 4


@dataclass(frozen=True, eq=False)
class ReferenceLattice:
    """An undistorted lattice on the image, one for each lattice that is placed.

    Parameters
    ----------
    matrix : (L, 2, 2) array
        Carries Å (x, y) of the prior to Å (x, y) of the image.
    origin : (L, 2) array
        Å (x, y) of the prior's origin on the image.
    covariance : (L, 3, 3) array
        Of the three numbers (offset, x, y) along one axis, in units of the variance of a position.
    middle : (L, 2) array
        Å (x, y) in the prior about which `covariance` holds.
    used : (N,) array of bool
        The atoms that define it.
    description : str
        What it is, for a caption.
    """

    matrix: Floats
    origin: Floats
    covariance: Floats
    middle: Floats
    used: NDArray[np.bool_]
    description: str

    def positions(self, indices: LatticeIndices) -> Floats:
        """Return (N, 2) ideal positions, Å (x, y) on the image; NaN where an atom has no site."""
        ideal = np.full((len(indices), 2), np.nan)
        for number in range(len(self.matrix)):
            own = indices.lattice == number
            ideal[own] = indices.ideal[own] @ self.matrix[number].T + self.origin[number]
        return ideal

    def leverage(self, indices: LatticeIndices) -> Floats:
        """Return (N,) variance of the ideal positions along one axis, over that of one position."""
        out = np.full(len(indices), np.nan)
        for number in range(len(self.matrix)):
            own = indices.lattice == number
            relative = indices.ideal[own] - self.middle[number]
            design = np.concatenate([np.ones((len(relative), 1)), relative], axis=1)
            out[own] = np.einsum("na,ab,nb->n", design, self.covariance[number], design)
        return out


def reference_lattice(
    atoms: AtomTable, indices: LatticeIndices, region: ArrayLike | None = None, part: int = 0
) -> ReferenceLattice:
    """Fit the reference: the mean lattice of a connected part, of the largest by default, or of a region.

    Least squares of an affine map from the prior to the atoms; atoms far off are left out.

    Parameters
    ----------
    atoms : AtomTable
    indices : LatticeIndices
    region : (V, 2) array-like, optional
        Corners of a polygon, pixels (y, x). Two corners are those of a rectangle.
    part : int
        Number of the connected part (a grain), where no region is given.

    Returns
    -------
    ReferenceLattice

    Raises
    ------
    MeasurementError
        If the region is no polygon, there is no such part, or it holds too few atoms of a lattice.
    """
    xy = atoms.yx_angstrom[:, ::-1]
    inside = indices.part == part
    description = f"mean lattice of part {part}" if part else "mean lattice"
    if region is None and not inside.any():
        raise MeasurementError(
            f"There is no part {part} of the lattice; the parts that are connected have the numbers 0 to "
            f"{indices.part.max(initial=0)}."
        )
    if region is not None:
        inside = indices.known & in_polygon(atoms.yx, polygon(region))
        description = "reference region"
    count = len(indices.priors)
    matrix, origin = np.full((count, 2, 2), np.nan), np.full((count, 2), np.nan)
    covariance, middle = np.full((count, 3, 3), np.nan), np.full((count, 2), np.nan)
    used = np.zeros(len(atoms), bool)
    for number in range(count):
        own = np.flatnonzero(inside & (indices.lattice == number))
        if len(own) < LEAST_ATOMS:
            if region is None and count > 1:
                continue
            raise MeasurementError(
                f"The {description} holds {len(own)} atoms with a site; "
                f"{LEAST_ATOMS} or more define a lattice, so draw it larger and on the crystal."
            )
        ideal = indices.ideal[own]
        keep = np.ones(len(own), bool)
        for _ in range(_ROUNDS):
            centre = ideal[keep].mean(0)
            design = np.concatenate([np.ones((len(own), 1)), ideal - centre], axis=1)
            if np.linalg.matrix_rank(design[keep]) < 3:
                raise MeasurementError(f"The atoms of the {description} lie on one line; draw it wider.")
            solution = np.linalg.lstsq(design[keep], xy[own[keep]], rcond=None)[0]
            distance = np.linalg.norm(xy[own] - design @ solution, axis=1)
            # of a circular Gaussian the median distance is 1.177 standard deviations
            limit = _OUTLIER * max(float(np.median(distance[keep])) / 1.1774, 1e-9)
            inner = distance <= limit
            if np.array_equal(inner, keep) or np.count_nonzero(inner) < LEAST_ATOMS:
                break
            keep = inner
        covariance[number] = np.linalg.inv(design[keep].T @ design[keep])
        middle[number] = centre
        matrix[number] = solution[1:].T
        origin[number] = solution[0] - solution[1:].T @ centre
        used[own[keep]] = True
    if not used.any():
        raise MeasurementError("No lattice has enough connected atoms to be a reference.")
    return ReferenceLattice(matrix, origin, covariance, middle, used, description)


def polygon(region: ArrayLike) -> Floats:
    """Return the (V, 2) corners of a region; two are those of a rectangle.

    Raises
    ------
    MeasurementError
        If it is no polygon or a number is not finite.
    """
    try:
        corners = np.asarray(region, float)
    except (TypeError, ValueError) as error:
        raise MeasurementError("A region is a list of corners (y, x) in pixels.") from error
    if corners.ndim != 2 or corners.shape[1] != 2 or len(corners) < 2 or not np.isfinite(corners).all():
        raise MeasurementError("A region is a list of two or more finite corners (y, x) in pixels.")
    if len(corners) == 2:
        (a, b), (c, d) = corners
        corners = np.array([(a, b), (a, d), (c, d), (c, b)])
    return corners


def in_polygon(yx: Floats, corners: Floats) -> NDArray[np.bool_]:
    """Tell which of (N, 2) places lie in a polygon of (V, 2) corners (even-odd rule)."""
    inside = np.zeros(len(yx), bool)
    for (y0, x0), (y1, x1) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        if y0 == y1:
            continue
        crosses = (y0 > yx[:, 0]) != (y1 > yx[:, 0])
        inside ^= crosses & (yx[:, 1] < (x1 - x0) * (yx[:, 0] - y0) / (y1 - y0) + x0)
    return inside
