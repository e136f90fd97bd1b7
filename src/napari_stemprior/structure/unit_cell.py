"""The three-dimensional unit cell behind a prior, in the prior's own coordinates."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class UnitCell:
    """What lies above what: the atoms that a projection to columns forgets.

    Parameters
    ----------
    lattice : (3, 3) array
        Rows are lattice vectors in Å as (x, y, depth); the third lies along the beam. The first two may
        lean along it.
    positions : (N, 3) array
        Å as (x, y, depth), x and y as in the prior, depth growing along the beam.
    atomic_numbers : (N,) array of int
    occupancy : (N,) array
        Part of the repeats in which the atom is there.
    site : (N,) array of int
        Rows that share a number are alternatives on one site.

    Notes
    -----
    Unit cells are equal where every number is; the arrays cannot be written to.
    """

    lattice: NDArray[np.float64]
    positions: NDArray[np.float64]
    atomic_numbers: NDArray[np.int64]
    occupancy: NDArray[np.float64]
    site: NDArray[np.int64]

    def __post_init__(self) -> None:
        for name, kind in (
            ("lattice", np.float64),
            ("positions", np.float64),
            ("atomic_numbers", np.int64),
            ("occupancy", np.float64),
            ("site", np.int64),
        ):
            value = np.array(getattr(self, name), dtype=kind)
            value.setflags(write=False)
            object.__setattr__(self, name, value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, UnitCell) and all(
            np.array_equal(getattr(self, f.name), getattr(other, f.name)) for f in fields(self)
        )

    def __hash__(self) -> int:
        return hash((*self.atomic_numbers.tolist(), *self.lattice.ravel().tolist()))

    def __len__(self) -> int:
        return len(self.atomic_numbers)
