"""Whether the fringes of a lattice are strong in the same places."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def coherence(
    fringes: NDArray[np.complex128], measured: NDArray[np.complex128], variance: NDArray[np.float64]
) -> float:
    """Tell whether reflections are strong in the same places, from 0 to 1.

    Parameters
    ----------
    fringes : (n, gy, gx) complex array
        Fringes with the displacement taken out.
    measured : (n,) complex array
        Their sums.
    variance : (n,) array
        Variance of a fringe from noise alone.
    """
    unit = measured / (np.linalg.norm(measured) + 1e-30)
    along = np.maximum(np.einsum("n,nyx->yx", np.conj(unit), fringes).real, 0)
    power = (np.abs(fringes) ** 2).sum() - fringes[0].size * variance.sum()
    common = (along**2).sum() - 0.5 * along.size * float((np.abs(unit) ** 2 * variance).sum())
    return float(np.sqrt(np.clip(common / max(power, 1e-30), 0, 1)))
