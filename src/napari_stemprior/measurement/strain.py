"""Local strain and rotation of the lattice around each atom."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_stemprior.measurement.displacements import Displacements
from napari_stemprior.measurement.lattice_indices import LatticeIndices
from napari_stemprior.measurement.local_affine import NEIGHBOURS, local_affine
from napari_stemprior.registration import LatticeFit

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Strain:
    """Strain at N places, in the axes x (to the right) and y (down) of the image unless they were turned.

    Parameters
    ----------
    xx, yy, xy : arrays
        Relative elongation; ``xy`` is half of the change of the angle between the axes. NaN where unknown.
    rotation : array
        Degrees, from x towards y (clockwise on screen).
    xx_error, yy_error, xy_error, rotation_error : arrays
        Standard errors, from the position errors; what bends within the neighbourhood is not in them.
    """

    xx: Floats
    yy: Floats
    xy: Floats
    rotation: Floats
    xx_error: Floats
    yy_error: Floats
    xy_error: Floats
    rotation_error: Floats


def local_strain(
    indices: LatticeIndices,
    moved: Displacements,
    *,
    neighbours: int = NEIGHBOURS,
    axis: float = 0.0,
) -> Strain:
    """Measure the strain around each atom by an affine fit over its neighbours of the same site.

    The deformation gradient ``F = 1 + gradient`` is split into a rotation and a stretch, ``F = R U``, and the
    strain is ``U - 1`` (Biot): a rotation of any size adds none. Atoms of one sublattice are compared with
    each other, so that off-centring of another is no strain.

    Parameters
    ----------
    indices : LatticeIndices
    moved : Displacements
    neighbours : int
        Atoms in a fit, the one in the middle included.
    axis : float
        Direction of the axis x of the result: degrees from the image's x towards its y.

    Returns
    -------
    Strain
        At the atoms.
    """
    local = local_affine(moved.ideal, moved.xy, indices.sublattice, moved.position_error, neighbours)
    return strain_of_gradient(local.gradient, local.covariance, axis)


def strain_of_gradient(gradient: Floats, covariance: Floats | None = None, axis: float = 0.0) -> Strain:
    """Split displacement gradients into strain and rotation.

    Parameters
    ----------
    gradient : (..., 2, 2) array
        ``[a, b]`` is the derivative of component a along b, x first.
    covariance : (..., 2, 2) array, optional
        Of a row of the gradient; the rows are independent.
    axis : float
        Degrees from the image's x towards its y.

    Returns
    -------
    Strain
        Errors are NaN without `covariance`; they are taken for a small gradient.
    """
    t = np.deg2rad(axis)
    turn = np.array([[np.cos(t), np.sin(t)], [-np.sin(t), np.cos(t)]])
    full = np.eye(2) + turn @ gradient @ turn.T
    angle = np.arctan2(full[..., 1, 0] - full[..., 0, 1], full[..., 0, 0] + full[..., 1, 1])
    c, s = np.cos(angle), np.sin(angle)
    xx = c * full[..., 0, 0] + s * full[..., 1, 0] - 1
    yy = -s * full[..., 0, 1] + c * full[..., 1, 1] - 1
    xy = c * full[..., 0, 1] + s * full[..., 1, 1]
    if covariance is None:
        none = np.full_like(xx, np.nan)
        return Strain(xx, yy, xy, np.rad2deg(angle), none, none.copy(), none.copy(), none.copy())
    # the noise of both components of a displacement is the same in any axes
    along = turn @ covariance @ turn.T
    a, b = along[..., 0, 0], along[..., 1, 1]
    shear = np.sqrt(a + b) / 2
    return Strain(xx, yy, xy, np.rad2deg(angle), np.sqrt(a), np.sqrt(b), shear, np.rad2deg(shear))


def strain_of_field(fit: LatticeFit, pixel_size: float, axis: float = 0.0) -> Strain | None:
    """Return the strain of the displacement field that follows the phases of the fringes (GPA).

    Geometric phase analysis after Hÿtch, Snoeck and Kilaas, Ultramicroscopy 74 (1998) 131, with the prior as
    template, see `registration.gpa`; relative to the pose.

    Parameters
    ----------
    fit : LatticeFit
    pixel_size : float
        Å per pixel.
    axis : float
        Degrees from the image's x towards its y.

    Returns
    -------
    Strain or None
        (gy, gx) arrays on ``fit.field.rows`` and ``fit.field.columns_``; None without a field, as of a stack.
    """
    field = fit.field
    if field is None or len(field.rows) < 2 or len(field.columns_) < 2:
        return None
    moved = field.displacement[..., ::-1] * pixel_size
    rows, columns = field.rows * pixel_size, field.columns_ * pixel_size
    gradient = np.stack(
        [np.stack([np.gradient(moved[..., a], *p, axis=1 - b) for b, p in enumerate(([columns], [rows]))], -1)
         for a in (0, 1)],
        axis=-2,
    )  # fmt: skip
    found = strain_of_gradient(gradient, axis=axis)
    unseen = field.reliability < 0.3
    for values in (found.xx, found.yy, found.xy, found.rotation):
        values[unseen] = np.nan
    return found
