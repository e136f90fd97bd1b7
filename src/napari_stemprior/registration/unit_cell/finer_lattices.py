"""The lattices of which a lattice that was seen may be a larger cell.

Columns of one kind may differ in height by turns: those of a small particle, of a wedge or of a surface that
is reconstructed. The image then repeats over a larger cell than its crystal, and a prior of the crystal's own
cell is compared with the reflections of that cell alone, for what these are of all.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from napari_stemprior.registration.unit_cell.reciprocal_basis import shortest_cell
from napari_stemprior.registration.unit_cell.structure_match import SeenAmplitudes
from napari_stemprior.registration.unit_cell.sublattices import sublattices

#: How many times the area of the crystal's cell the cell that was seen may be.
_LARGEST = 4
#: Share of the amplitude that a finer lattice must hold to be the crystal's.
_HOLDS = 0.7


def finer_lattices(amplitudes: SeenAmplitudes) -> list[tuple[SeenAmplitudes, float]]:
    """List the lattice that was seen and the finer ones that hold most of its amplitude.

    Parameters
    ----------
    amplitudes : SeenAmplitudes

    Returns
    -------
    list of (SeenAmplitudes, float)
        Each with its share of the amplitude, root of that of the power; that of the lattice itself, the
        first, is 1.
    """
    whole = np.eye(2, dtype=np.int64)
    seen, (*_, norm) = amplitudes.seen, amplitudes.of(whole)
    found = [(amplitudes, 1.0)]
    for matrix in sublattices(_LARGEST):  # of the wave vectors
        finer = SeenAmplitudes(replace(seen, cell=shortest_cell(np.linalg.inv(matrix).T @ seen.cell)))
        hk, *_, part = finer.of(whole)
        if len(hk) and part >= _HOLDS * norm:
            found.append((finer, min(1.0, part / norm)))
    return found
