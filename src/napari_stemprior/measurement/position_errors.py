"""How well atom positions are known: from the fit of the columns, checked by the lattice."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_stemprior.measurement.local_affine import local_affine, position_scatter

Floats = NDArray[np.float64]

#: Share of itself in the local fit of an atom in the middle of nine.
_OWN_SHARE = 1 / 9


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
    local = local_affine(reference, displacement, group)
    free = position_scatter(local, group)
    scattered = np.sqrt(_of_group(free, group))
    if sigma is None:
        return scattered
    known = np.isfinite(sigma) & (sigma > 0)
    usual = {int(one): float(np.median(sigma[known & (group == one)])) for one in np.unique(group[known])}
    # a column that could not be fitted is not known better than the others, nor than it lies off its lattice:
    # the fit did not confirm where it was found
    off = np.linalg.norm(displacement - local.shift, axis=1) / np.sqrt(2 * np.maximum(1 - _OWN_SHARE, 0))
    other = np.fmax(np.fmax(scattered, _of_group(usual, group)), off)
    fitted = np.where(known, sigma, other)
    scale = position_scatter(local_affine(reference, displacement, group, fitted), group)
    return np.asarray(fitted * np.sqrt(np.fmax(_of_group(scale, group), 1.0)))


def _of_group(values: dict[int, float], group: NDArray[np.int64]) -> Floats:
    """Return (N,) the value of each group; NaN where it has none."""
    table = np.full(int(group.max(initial=-1)) + 2, np.nan)
    for one, value in values.items():
        if one >= 0:
            table[one] = value
    return np.asarray(table[group])  # -1 is the last, which stays NaN
