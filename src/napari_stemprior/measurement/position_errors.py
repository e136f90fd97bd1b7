"""How well atom positions are known: from the fit of the columns, checked by the lattice."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_stemprior.measurement.local_affine import local_affine, position_scatter

Floats = NDArray[np.float64]


def position_errors(
    reference: Floats,
    displacement: Floats,
    group: NDArray[np.int64],
    sigma: Floats | None = None,
) -> Floats:
    """Return the standard error of each position along one axis, Å.

    Without errors of a fit, the residuals of local affine fits say how far atoms of a group scatter about
    their lattice. With them, they are raised where the residuals are larger than they say (scale factor as
    the Particle Data Group uses it, Phys. Rev. D 110 (2024) 030001, section 5.2.2) and never lowered.

    Parameters
    ----------
    reference : (N, 2) array
        Ideal positions, Å (x, y).
    displacement : (N, 2) array
        Measured less ideal, Å.
    group : (N,) array of int
        Sublattice; -1 for none.
    sigma : (N,) array, optional
        Standard errors of the column fit, Å; NaN where it has none.

    Returns
    -------
    (N,) array
        NaN where nothing is known.
    """
    free = position_scatter(local_affine(reference, displacement, group), group)
    scattered = np.array([np.sqrt(free.get(int(one), np.nan)) for one in group])
    if sigma is None:
        return scattered
    known = np.isfinite(sigma) & (sigma > 0)
    usual = {one: np.median(sigma[known & (group == one)]) for one in np.unique(group[known])}
    # a column that could not be fitted is not known better than the others
    other = np.fmax(scattered, [usual.get(one, np.nan) for one in group])
    fitted = np.where(known, sigma, other)
    scale = position_scatter(local_affine(reference, displacement, group, fitted), group)
    factor = np.array([scale.get(int(one), np.nan) for one in group])
    return np.asarray(fitted * np.sqrt(np.fmax(factor, 1.0)))
