"""Crystals that need no table of space groups: cubic cells of one or two elements, and layers of MX2.

The cells and the order of their atoms are those of ``ase.build``, whose import reads molecules and databases.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ase import Atoms

_FACES = ((0.0, 0.0, 0.0), (0.0, 0.5, 0.5), (0.5, 0.0, 0.5), (0.5, 0.5, 0.0))
#: Where the atoms of each lattice point lie in the cubic cell, of the first element and of the next.
_BASIS = {
    "fcc": ((0.0, 0.0, 0.0),),
    "bcc": ((0.0, 0.0, 0.0), (0.5, 0.5, 0.5)),
    "diamond": ((0.0, 0.0, 0.0), (0.25, 0.25, 0.25)),
    "zincblende": ((0.0, 0.0, 0.0), (0.25, 0.25, 0.25)),
    "rocksalt": ((0.0, 0.0, 0.0), (0.5, 0.0, 0.0)),
}


def cubic_crystal(symbols: Sequence[str], crystal: str, a: float) -> Atoms:
    """Build the cubic cell of a crystal.

    Parameters
    ----------
    symbols : sequence of str
        One element, or two.
    crystal : str
        ``fcc``, ``bcc``, ``diamond``, ``zincblende`` or ``rocksalt``.
    a : float
        Å.
    """
    basis = np.array(_BASIS[crystal])
    points = _FACES if crystal != "bcc" else ((0.0, 0.0, 0.0),)
    places = [np.mod(np.array(point) + at, 1.0) for point in points for at in basis]
    elements = [symbols[number % len(symbols)] for number in range(len(places))]
    return Atoms(elements, cell=(a, a, a), scaled_positions=places, pbc=True)


def mx2_layer(metal: str, other: str, phase: str, a: float, thickness: float, vacuum: float) -> Atoms:
    """Build the hexagonal cell of a layer of a metal between two of another element.

    Parameters
    ----------
    metal, other : str
    phase : str
        ``2H`` with a mirror plane, ``1T`` with a centre of inversion.
    a : float
        Å.
    thickness : float
        Å between the outer layers.
    vacuum : float
        Å on either side.
    """
    below = {"2H": (2 / 3, 1 / 3), "1T": (1 / 3, 2 / 3)}[phase]
    cell = [[a, 0, 0], [-a / 2, a * 3**0.5 / 2, 0], [0, 0, 2 * vacuum + thickness]]
    places = [
        (0.0, 0.0, vacuum + thickness / 2),
        (2 / 3, 1 / 3, vacuum + thickness),
        (*below, vacuum),
    ]
    scaled = np.array(places) / (1.0, 1.0, cell[2][2])
    return Atoms([metal, other, other], cell=cell, scaled_positions=scaled, pbc=True)
