"""Whether a lattice repeats over a larger cell than its strong reflections say.

Faint columns may double or treble a cell and be too weak for a peak of the spectrum. Averaged over all cells
with the displacement taken out, the reflections in between are known to the noise; all of a larger cell are
judged together, against waves that belong to no such cell.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import gamma

from napari_stemprior.registration.fourier.reflections import reflections_of
from napari_stemprior.registration.unit_cell.mean_cell import SeenLattice
from napari_stemprior.registration.unit_cell.reciprocal_basis import shortest_cell
from napari_stemprior.registration.unit_cell.sublattices import sublattices

Floats = NDArray[np.float64]

#: Cells of up to this many times the area are tried: 14 of them.
LARGEST = 4
#: Å: finest spacing of the reflections that are judged.
_FINEST = 1.0
#: Decimal logarithm of the chance that noise makes a larger cell, and to each power of its area over that of
#: the lattice: the smallest that explains the power is wanted.
_CHANCE = -6.0
#: The cell must fit this often into the narrower side of the image.
_TIMES = 4.0
#: Waves that must be left of a larger cell, and how far from a reflection along the fast-scan axis, over the
#: width of the image, a wave must be for jitter of the rows not to reach it.
_FEWEST, _SMEARED = 4, 1.6
#: Part of the strongest amplitude from which on a reflection is strong enough to be seen smeared.
_STRONG = 0.35
#: Fractions of the lattice whose waves belong to no cell that is tried: what these show, any wave shows.
_NOWHERE = ((0.41, 0.19), (0.19, 0.41), (0.41, -0.19), (-0.19, 0.41), (0.41, 0.41), (0.41, -0.41))


def larger_cell(seen: SeenLattice) -> Floats | None:
    """Return the (2, 2) larger cell over which a lattice repeats, rows (x, y) in Å; None where it has none.

    Parameters
    ----------
    seen : SeenLattice
        The lattice, followed over the image.
    """
    height, width = seen.weight.shape
    # without a taper the strong reflections would reach all the others
    taper = np.hanning(height + 2)[1:-1, None] * np.hanning(width + 2)[1:-1]
    weight = seen.weight * taper
    lattice, extent = seen.cell, float(seen.features.normalized.extent.min())
    nowhere = _not_smeared(seen, _nowhere(lattice))
    usual = max(1.0, float(_power(seen, nowhere, weight).mean())) if len(nowhere) else 1.0
    best: tuple[float, Floats] | None = None
    for matrix in sublattices(LARGEST):
        cell = shortest_cell(matrix @ lattice)
        if np.linalg.norm(cell, axis=1).max() * _TIMES > extent:
            continue
        _, g = reflections_of(cell, _FINEST)
        index = g @ lattice.T
        between = _not_smeared(seen, g[np.abs(index - np.round(index)).max(axis=1) > 1e-6])
        if len(between) < _FEWEST:
            continue
        power = _power(seen, between, weight) / usual
        chance = float(gamma.logsf(power.sum(), len(power))) / np.log(10)
        worth = max(chance, -300.0) / abs(float(np.linalg.det(matrix)))
        if worth < _CHANCE and (best is None or worth < best[0]):
            best = worth, cell
    return None if best is None else best[1]


def _nowhere(lattice: Floats) -> Floats:
    hk, _ = reflections_of(lattice, _FINEST)
    g = np.concatenate([(hk + np.array(part)) @ np.linalg.inv(lattice).T for part in _NOWHERE])
    return np.asarray(g[np.linalg.norm(g, axis=1) < 1 / _FINEST])


def _not_smeared(seen: SeenLattice, g: Floats) -> Floats:
    """Return the waves that jitter of the rows does not smear the lattice's reflections onto.

    Jitter spreads every reflection along the slow-scan axis; row offsets lie on that axis itself.
    """
    inverse = np.linalg.inv(seen.phases.linear)
    own = reflections_of(seen.cell, _FINEST)[1] @ inverse
    strength = np.sqrt(seen.spectrum.at(own))
    strong = own[strength > _STRONG * strength.max(initial=0.0), 1]
    along = np.concatenate([np.zeros(1), strong, -strong])
    apart = np.abs((g @ inverse)[:, 1, None] - along[None]).min(axis=1)
    return np.asarray(g[apart > _SMEARED / float(seen.features.normalized.extent[1])])


def _power(seen: SeenLattice, g: Floats, weight: Floats) -> Floats:
    """Return the power of waves over that of noise, (n,); noise alone gives 1 on average, exponential."""
    amplitude, variance = seen.amplitudes(g, weight)
    return np.asarray(np.abs(amplitude) ** 2 / variance)
