"""How the lattice around each atom is displaced, stretched and turned: affine fits over neighbours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.stats import chi2

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

#: Atoms in a fit, the one in the middle included: the first two shells of a square lattice.
NEIGHBOURS = 9
#: A fit of three numbers along each axis needs more atoms than this.
_LEAST = 4
#: Neighbours farther than so many distances to the next one are not local.
_FARTHEST = 2.3


@dataclass(frozen=True, eq=False)
class LocalAffine:
    """Affine fits ``u(R) = shift + gradient @ (R - R_i)`` around N atoms.

    Parameters
    ----------
    shift : (N, 2) array
        Å (x, y), of the lattice at the atom.
    gradient : (N, 2, 2) array
        ``gradient[:, a, b]`` is the derivative of component a of the displacement along b; x first.
    shift_covariance : (N,) array
        Variance of a component of `shift`, in units of the variance of one position (Å² where `sigma` was
        given).
    covariance : (N, 2, 2) array
        Of a row of `gradient`, in the same units per Å².
    chi2 : (N,) array
        Squared residuals of the fit, over the squared position errors where they were given (Å² otherwise).
    freedom : (N,) array of int
        Degrees of freedom of `chi2`; 0 where there are too few neighbours, and all else is NaN.
    """

    shift: Floats
    gradient: Floats
    shift_covariance: Floats
    covariance: Floats
    chi2: Floats
    freedom: Integers


def local_affine(
    reference: Floats,
    displacement: Floats,
    group: Integers,
    sigma: Floats | None = None,
    neighbours: int = NEIGHBOURS,
) -> LocalAffine:
    """Fit an affine displacement to each atom and its nearest neighbours of the same group.

    Weighted least squares; weights are the inverse squared position errors.

    Parameters
    ----------
    reference : (N, 2) array
        Ideal positions, Å (x, y) on the image; NaN where there is none.
    displacement : (N, 2) array
        Measured less ideal, Å.
    group : (N,) array of int
        Atoms are compared within a group, such as a sublattice; -1 for none.
    sigma : (N,) array, optional
        Standard error of a position along one axis, Å. Without it, all weigh the same.
    neighbours : int
        Atoms in a fit, the one in the middle included.

    Returns
    -------
    LocalAffine
    """
    n = len(reference)
    out = LocalAffine(
        np.full((n, 2), np.nan),
        np.full((n, 2, 2), np.nan),
        np.full(n, np.nan),
        np.full((n, 2, 2), np.nan),
        np.full(n, np.nan),
        np.zeros(n, np.int64),
    )
    usable = np.isfinite(reference).all(1) & np.isfinite(displacement).all(1) & (group >= 0)
    if sigma is not None:
        usable &= np.isfinite(sigma) & (sigma > 0)
    for one in np.unique(group[usable]):
        own = np.flatnonzero(usable & (group == one))
        if len(own) < _LEAST:
            continue
        near = cKDTree(reference[own]).query(reference[own], k=min(neighbours, len(own)))
        distance, index = np.asarray(near[0]), np.asarray(near[1])
        spacing = float(np.median(distance[:, 1]))
        weight = np.asarray(distance <= _FARTHEST * spacing, float)
        if sigma is not None:
            weight = weight / sigma[own][index] ** 2
        _fit(out, own, reference[own][index], displacement[own][index], weight)
    return out


def _fit(out: LocalAffine, own: Integers, places: Floats, moved: Floats, weight: Floats) -> None:
    """Fit (M, k, 2) displacements at (M, k, 2) places; the first of the k is the atom itself."""
    total = weight.sum(1)
    relative = places - places[:, :1]
    middle = np.einsum("mk,mka->ma", weight, relative) / total[:, None]
    mean = np.einsum("mk,mka->ma", weight, moved) / total[:, None]
    centred, rest = relative - middle[:, None], moved - mean[:, None]
    normal = np.einsum("mk,mka,mkb->mab", weight, centred, centred)
    determinant = normal[:, 0, 0] * normal[:, 1, 1] - normal[:, 0, 1] ** 2
    trace = normal[:, 0, 0] + normal[:, 1, 1]
    count = np.count_nonzero(weight, axis=1)
    # neighbours along one line do not say what happens across it
    good = (count >= _LEAST) & (determinant > 0.01 * trace**2)
    own, normal, determinant = own[good], normal[good], determinant[good]
    centred, rest, middle, mean = centred[good], rest[good], middle[good], mean[good]
    weight, total = weight[good], total[good]
    inverse = np.empty_like(normal)
    inverse[:, 0, 0], inverse[:, 1, 1] = normal[:, 1, 1], normal[:, 0, 0]
    inverse[:, 0, 1] = inverse[:, 1, 0] = -normal[:, 0, 1]
    inverse /= determinant[:, None, None]
    moments = np.einsum("mk,mka,mkb->mab", weight, rest, centred)
    gradient = moments @ inverse
    residual = rest - np.einsum("mab,mkb->mka", gradient, centred)
    out.gradient[own] = gradient
    out.covariance[own] = inverse
    out.shift[own] = mean - np.einsum("mab,mb->ma", gradient, middle)
    out.shift_covariance[own] = 1 / total + np.einsum("ma,mab,mb->m", middle, inverse, middle)
    out.chi2[own] = np.einsum("mk,mka,mka->m", weight, residual, residual)
    out.freedom[own] = 2 * (count[good] - 3)


def position_scatter(local: LocalAffine, group: Integers) -> dict[int, float]:
    """Return, for each group, the variance that the residuals of its fits show, robustly.

    The median of χ² over its degrees of freedom, over the median of that distribution: a few atoms that are
    off their sites do not count.

    Parameters
    ----------
    local : LocalAffine
    group : (N,) array of int

    Returns
    -------
    dict
        Å² along one axis, or a factor on the variances that were given; NaN where nothing could be fitted.
    """
    found = {}
    for one in np.unique(group[group >= 0]):
        own = (group == one) & (local.freedom > 0)
        freedom = local.freedom[own].astype(float)
        if not len(freedom):
            found[int(one)] = float("nan")
            continue
        found[int(one)] = float(np.median(local.chi2[own] / np.asarray(chi2.median(freedom))))
    return found
