"""The reciprocal lattice of a prior: its reflections and their structure factors."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from napari_stemprior.structure import HAADF_EXPONENT, StructurePrior
from napari_stemprior.structure.elements import ATOMIC_NUMBERS

#: Finest spacing in Å whose reflections are looked for; probes of about 1 Å show little beyond.
RESOLUTION = 0.85
#: Standard deviation in Å of the Gaussian (probe and thermal motion) that columns are expected to have.
COLUMN_WIDTH = 0.38
#: The strongest reflections that are kept; more cost time and add nothing.
MOST_REFLECTIONS = 48
#: How the intensity of a column may go with Z: it depends on the detector, the thickness and channelling.
#: Multislice of WSe2 at 60 kV gives about 1.3.
EXPONENTS = (1.25, 1.5, 1.7, 1.95)


@dataclass(frozen=True, eq=False)
class Reflections:
    """Reciprocal reflections of a prior, one of each Friedel pair, strongest first.

    Parameters
    ----------
    hk : (n, 2) array of int
        Indices.
    g : (n, 2) array
        Wave vectors (x, y) in cycles per Å.
    factor : (n,) complex array
        Structure factors damped by the width of a column, relative to the sum of all weights.
    variants : (m, n) complex array
        The same for columns that scatter otherwise with Z, see `EXPONENTS`.
    """

    hk: NDArray[np.int64]
    g: NDArray[np.float64]
    factor: NDArray[np.complex128]
    variants: NDArray[np.complex128]

    @property
    def radius(self) -> NDArray[np.float64]:
        """(n,) length of each wave vector in cycles per Å."""
        return np.asarray(np.linalg.norm(self.g, axis=1))

    @property
    def weight(self) -> NDArray[np.float64]:
        """(n,) expected power, normalised to a sum of 1."""
        power = np.abs(self.factor) ** 2
        return np.asarray(power / power.sum())


@lru_cache(maxsize=64)
def list_reflections(
    prior: StructurePrior, resolution: float = RESOLUTION, width: float = COLUMN_WIDTH
) -> Reflections:
    """List the reciprocal reflections of a prior.

    Parameters
    ----------
    prior : StructurePrior
    resolution : float
        Finest spacing in Å.
    width : float
        Standard deviation of a column's image in Å.
    """
    hk, g = reflections_of(prior.cell, resolution)
    damping = np.exp(-2 * np.pi**2 * width**2 * (g**2).sum(1))
    factor = structure_factors(prior, hk) * damping
    order = np.argsort(-np.abs(factor), kind="stable")[:MOST_REFLECTIONS]
    order = order[np.abs(factor[order]) > 0.02 * np.abs(factor[order[0]])]
    variants = [structure_factors(prior, hk[order], exponent) * damping[order] for exponent in EXPONENTS]
    return Reflections(hk[order], g[order], factor[order], np.array(variants))


def reflections_of(
    cell: NDArray[np.float64], resolution: float
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """List the reflections of a plane cell, one of each Friedel pair.

    Parameters
    ----------
    cell : (2, 2) array
        Rows are the vectors (x, y) in Å.
    resolution : float
        Finest spacing in Å.

    Returns
    -------
    hk : (n, 2) array of int
    g : (n, 2) array
        Cycles per Å (x, y).
    """
    reach = np.ceil(np.linalg.norm(cell, axis=1) / resolution).astype(int)
    h, k = np.meshgrid(np.arange(0, reach[0] + 1), np.arange(-reach[1], reach[1] + 1), indexing="ij")
    hk = np.stack([h.ravel(), k.ravel()], axis=1)
    hk = hk[(hk[:, 0] > 0) | (hk[:, 1] > 0)]
    g = hk @ np.linalg.inv(cell).T
    inside = np.linalg.norm(g, axis=1) <= 1 / resolution
    return hk[inside], g[inside]


def structure_factors(
    prior: StructurePrior, hk: NDArray[np.int64], exponent: float = HAADF_EXPONENT
) -> NDArray[np.complex128]:
    """Return (n,) structure factors of point columns, relative to the sum of all weights.

    Parameters
    ----------
    prior : StructurePrior
    hk : (n, 2) array of int
    exponent : float
        Columns scatter as the sum of Z to this power.
    """
    phase = np.exp(-2j * np.pi * (hk @ prior.fractional.T))
    weights = column_weights(prior, exponent)
    factor: NDArray[np.complex128] = phase @ weights / weights.sum()
    return factor


def column_weights(prior: StructurePrior, exponent: float) -> NDArray[np.float64]:
    """Return (k,) what each column scatters: the sum of Z to a power over its atoms."""
    return np.array(
        [
            sum(count * ATOMIC_NUMBERS[symbol] ** exponent for symbol, count in column.composition)
            for column in prior.columns
        ],
        dtype=float,
    )
