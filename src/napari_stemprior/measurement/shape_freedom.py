"""How much the shapes of the columns of one image differ: the prior that the fit holds them by."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_stemprior.measurement.batched_cholesky import BatchedCholesky
from napari_stemprior.measurement.normal_equations import eased

Floats = NDArray[np.float64]

#: How much the inverse squared widths of a column may differ from the common ones, relative: at most, and at
#: least. With 0.25 positions of Sr in SrTiO3 at 10⁴ e/Å² are 8 % better than with 0.5, as faint oxygen takes
#: less from it; 0.12 gives no more. With 0.02 pairs of silicon 0.55 Å wide at 10⁴ e/Å² are placed 4 % better
#: than with 0.05, but a single column of another width would hardly show.
MOST, LEAST = 0.25, 0.05
#: Values that are tried, and by how much the logarithm of the likelihood may be below its maximum.
_TRIED, _AS_LIKELY = 12, 0.5


def shape_freedom(normal: Floats, force: Floats, shift: Floats, usual: float) -> float:
    """Return the largest likely standard deviation of shapes about the common one (empirical Bayes).

    What pulls the shapes off the common one scatters by the noise alone where all columns have one shape, and
    more where they differ. Two overlapping columns whose shapes are free move along their line together,
    the one brighter and narrower, at hardly any cost; where the image shows that all shapes are alike, they
    must not. The marginal likelihood is that of Gaussians (Carlin and Louis, Bayesian Methods for Data
    Analysis, 3rd ed. 2008, chapter 5).

    Parameters
    ----------
    normal : (N, 7, 7) array
        Normal equations of height, place, level and shape, without a prior.
    force : (N, 7) array
    shift : (N, 3) array
        Of the shapes from the common one where the equations were taken.
    usual : float
        Inverse squared width of the common shape.

    Returns
    -------
    float
        Relative to `usual`, `LEAST` to `MOST`; `MOST` where the image does not tell.
    """
    factors = BatchedCholesky(eased(normal[:, :4, :4]))
    rest = np.stack([factors.solve(normal[:, :4, 4 + i]) for i in range(3)], axis=2)
    known = normal[:, 4:, 4:] - np.einsum("nai,naj->nij", normal[:, :4, 4:], rest)
    pull = force[:, 4:] - np.einsum("na,nai->ni", force[:, :4], rest) + np.einsum("nij,nj->ni", known, shift)
    good = np.isfinite(known).all((1, 2)) & np.isfinite(pull).all(1)
    if not good.any():
        return MOST
    stiff, axes = np.linalg.eigh(known[good])
    along = np.einsum("nij,ni->nj", axes, pull[good]) * usual
    stiff = np.maximum(stiff, 0) * usual**2
    tried = np.geomspace(LEAST, MOST, _TRIED)
    likely = np.array([0.5 * (v * along**2 / (1 + v * stiff) - np.log1p(v * stiff)).sum() for v in tried**2])
    return float(tried[np.flatnonzero(likely >= likely.max() - _AS_LIKELY)[-1]])
