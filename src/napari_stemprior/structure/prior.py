"""The lattice prior: what the crystal looks like along the beam."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from napari_stemprior.errors import StructureError
from napari_stemprior.structure.elements import ATOMIC_NUMBERS
from napari_stemprior.structure.unit_cell import UnitCell

#: HAADF intensity of an atom goes as Z to about this power
#: (Pennycook and Jesson, Ultramicroscopy 37 (1991) 14; measured values lie between 1.6 and 1.9).
HAADF_EXPONENT = 1.7
#: Atoms whose projections lie closer than this (Å) are one column, in priors, stacks and training scenes.
MERGE_DISTANCE = 0.4


@dataclass(frozen=True)
class Column:
    """One atom column of the projected unit cell.

    Parameters
    ----------
    position : tuple of float
        Fractional position (along the first, the second in-plane cell vector), each in [0, 1).
    composition : tuple of (str, float)
        Element symbols and the number of such atoms in one repeat along the beam,
        heaviest contribution first. Partial occupancy gives fractions.
    height : float
        Mean height along the beam in Å; 0 is the entrance surface ("top") and it grows downwards.
    layer : int
        0 is the entrance layer.
    site : str
        Label of the site, unique in the prior, such as ``"Mo1"``.
    """

    position: tuple[float, float]
    composition: tuple[tuple[str, float], ...]
    height: float = 0.0
    layer: int = 0
    site: str = ""

    @property
    def element(self) -> str:
        """Symbol of the element that scatters most in this column."""
        return self.composition[0][0]

    @property
    def formula(self) -> str:
        """Composition as text, for instance ``"S2"`` or ``"TiO"``."""
        return "".join(
            symbol + ("" if abs(count - 1) < 1e-6 else f"{count:g}") for symbol, count in self.composition
        )

    @property
    def z_weight(self) -> float:
        """Sum of ``count * Z ** HAADF_EXPONENT`` over the column."""
        return float(
            sum(count * ATOMIC_NUMBERS[symbol] ** HAADF_EXPONENT for symbol, count in self.composition)
        )


@dataclass(frozen=True)
class StructurePrior:
    """A projected unit cell: the structure that a micrograph should show.

    Parameters
    ----------
    name : str
        What a person picks, such as ``"MoS2"`` or ``"SrTiO3 [001]"``.
    zone_axis : str
        Direction of the beam, such as ``"[001]"``; ``"as is"`` for the z axis of a file.
    cell : (2, 2) array of float
        Rows are the in-plane cell vectors in Å as (x, y).
    columns : tuple of Column
        The atom columns of one cell.
    period : float
        Repeat along the beam in Å; 0 for a layer that does not repeat.
    source : str
        Where the structure comes from (a reference or a file name).
    unit_cell : UnitCell, optional
        The atoms in three dimensions, for multislice.
    remarks : tuple of str
        What a person should know of how it was read from its file; equal priors may differ in them.

    Notes
    -----
    Priors are equal where every field but the remarks is, the unit cell included: a prior that was read back
    from a dataset has none and differs from the one that was saved.

    Raises
    ------
    StructureError
        If the cell has no area, there is no column, or a column is none.
    """

    name: str
    zone_axis: str
    cell: NDArray[np.float64]
    columns: tuple[Column, ...]
    period: float = 0.0
    source: str = ""
    unit_cell: UnitCell | None = field(default=None, repr=False)
    remarks: tuple[str, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        cell = np.array(self.cell, dtype=np.float64)
        if cell.shape != (2, 2) or not np.isfinite(cell).all() or abs(np.linalg.det(cell)) < 0.5:
            raise StructureError(
                f"{self.name}: the projected cell has no area; give a structure with a cell "
                "in two directions across the beam."
            )
        if not self.columns:
            raise StructureError(f"{self.name}: the structure has no atoms.")
        counts = [(symbol, count) for column in self.columns for symbol, count in column.composition]
        numbers = [*(n for c in self.columns for n in (*c.position, c.height)), self.period]
        if (
            not np.isfinite(numbers).all()
            or not all(symbol in ATOMIC_NUMBERS and 0 < count < np.inf for symbol, count in counts)
            or not all(column.composition for column in self.columns)
        ):
            raise StructureError(
                f"{self.name}: a column has a position, an element or a number that is none."
            )
        cell.setflags(write=False)
        object.__setattr__(self, "cell", cell)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, StructurePrior)
            and self._plain == other._plain
            and np.array_equal(self.cell, other.cell)
            and self.unit_cell == other.unit_cell
        )

    def __hash__(self) -> int:
        return hash((*self._plain, *self.cell.ravel().tolist()))

    @property
    def _plain(self) -> tuple[object, ...]:
        """The fields that hold no array."""
        return self.name, self.zone_axis, self.columns, self.period, self.source

    @cached_property
    def fractional(self) -> NDArray[np.float64]:
        """(N, 2) fractional positions of the columns."""
        return np.array([column.position for column in self.columns], dtype=np.float64)

    @cached_property
    def positions(self) -> NDArray[np.float64]:
        """(N, 2) positions of the columns in Å as (x, y)."""
        return self.fractional @ self.cell

    @cached_property
    def atomic_numbers(self) -> NDArray[np.int64]:
        """(N,) atomic number of the element that scatters most in each column."""
        return np.array([ATOMIC_NUMBERS[column.element] for column in self.columns], dtype=np.int64)

    @cached_property
    def heights(self) -> NDArray[np.float64]:
        """(N,) height of each column in Å below the entrance surface."""
        return np.array([column.height for column in self.columns])

    @cached_property
    def z_weights(self) -> NDArray[np.float64]:
        """(N,) HAADF weights, see `Column.z_weight`."""
        return np.array([column.z_weight for column in self.columns])

    @cached_property
    def compositions(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """(N, K) atomic numbers in each column and (N, K) how many of each; 0 fills up."""
        most = max(len(column.composition) for column in self.columns)
        numbers = np.zeros((len(self.columns), most), dtype=np.int64)
        counts = np.zeros((len(self.columns), most))
        for row, column in enumerate(self.columns):
            for place, (symbol, count) in enumerate(column.composition):
                numbers[row, place], counts[row, place] = ATOMIC_NUMBERS[symbol], count
        return numbers, counts

    def intensities(self, exponent: float = HAADF_EXPONENT) -> NDArray[np.float64]:
        """Return (N,) HAADF intensities for a power of Z, in units of one atom of Z = 42."""
        numbers, counts = self.compositions
        return np.asarray((counts * (numbers / 42.0) ** exponent).sum(axis=1))

    @cached_property
    def layer_numbers(self) -> NDArray[np.int64]:
        """(N,) layer of each column, 0 = entrance side."""
        return np.array([column.layer for column in self.columns], dtype=np.int64)

    # --- what it shares with a `Stack`, of which it is the case of one layer
    @property
    def layers(self) -> tuple[StructurePrior]:
        """The lattices that make it up: itself alone."""
        return (self,)

    @property
    def crystal(self) -> StructurePrior:
        """The prior as one crystal with one small cell: itself."""
        return self

    @property
    def first_columns(self) -> tuple[int]:
        """Number, in `columns`, of the first column of each of `layers`."""
        return (0,)

    @property
    def twists(self) -> tuple[float]:
        """Degrees by which each of `layers` is turned: none."""
        return (0.0,)

    @property
    def shifts(self) -> tuple[tuple[float, float]]:
        """Å (x, y) by which each of `layers` is shifted: none."""
        return ((0.0, 0.0),)

    @property
    def cell_lines(self) -> tuple[str]:
        """What a person reads of its cell and its repeat along the beam."""
        repeat = f", repeat along the beam {self.period:.3f} Å" if self.period else ""
        return (f"cell {self.cell_text}{repeat}",)

    def carried(self, number: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return what carries coordinates of layer 0 to the frame of the prior: nothing turned or shifted.

        Parameters
        ----------
        number : int
            Of the layer; there is 0 alone.

        Returns
        -------
        turn : (2, 2) array
        shift : (2,) array
            Å.
        """
        return np.eye(2), np.zeros(2)

    @property
    def cell_text(self) -> str:
        """Lengths and angle of the projected cell, such as ``3.161 x 3.161 Å, 120.0°``."""
        a, b = (math.hypot(*vector) for vector in self.cell)
        angle = math.degrees(math.acos(float(self.cell[0] @ self.cell[1]) / (a * b)))
        return f"{a:.3f} x {b:.3f} Å, {angle:.1f}°"

    @property
    def area(self) -> float:
        """Area of the projected cell in Å²."""
        return float(abs(np.linalg.det(self.cell)))

    @property
    def elements(self) -> tuple[str, ...]:
        """Every element in the prior, in order of first appearance."""
        return tuple(dict.fromkeys(s for column in self.columns for s, _ in column.composition))

    @cached_property
    def neighbour_distance(self) -> float:
        """Median distance in Å from a column to its nearest projected neighbour."""
        return float(np.median(self.nearest_distances))

    @cached_property
    def nearest_distances(self) -> NDArray[np.float64]:
        """(N,) distances in Å from each column to its nearest projected neighbour."""
        return self._nearest(np.arange(len(self.columns)))

    @cached_property
    def closest_in_layer(self) -> float:
        """Smallest projected distance in Å between two columns of one layer."""
        layers = [np.flatnonzero(self.layer_numbers == layer) for layer in np.unique(self.layer_numbers)]
        return min(float(self._nearest(members).min()) for members in layers)

    def _nearest(self, members: NDArray[np.int64]) -> NDArray[np.float64]:
        """(M,) distances in Å from M of the columns to the nearest of them in the 25 nearest cells."""
        shifts = np.array([(i, j) for i in range(-2, 3) for j in range(-2, 3)]) @ self.cell
        places = self.positions[members]
        tree = cKDTree((places[None] + shifts[:, None]).reshape(-1, 2))
        # columns of several layers may lie above one another: neither these nor itself are its neighbours
        count = len(np.unique(self.layer_numbers)) + 2
        distance = np.asarray(tree.query(places, k=min(count, len(shifts) * len(members)))[0])
        return np.asarray(np.where(distance < 1e-6, np.inf, distance).min(axis=1))

    def renamed(self, name: str) -> Self:
        """Return the same prior under another name."""
        return replace(self, name=name)

    def scaled(self, factor: float) -> Self:
        """Return the prior with its projected cell stretched; its three-dimensional cell is left out."""
        return replace(self, cell=self.cell * factor, unit_cell=None)

    def repeated(self, first: int, second: int) -> Self:
        """Return the same crystal in a cell of `first` × `second`; a three-dimensional one is left out."""
        count = np.array([first, second])
        columns = [
            replace(column, position=(float(x), float(y)))
            for i in range(first)
            for j in range(second)
            for column, (x, y) in zip(self.columns, (self.fractional + np.array([i, j])) / count, strict=True)
        ]
        return replace(self, cell=self.cell * count[:, None], columns=numbered_sites(columns), unit_cell=None)


def numbered_sites(columns: Iterable[Column]) -> tuple[Column, ...]:
    """Label the columns of each element by their number in the order given, such as ``"Mo1"``."""
    seen: dict[str, int] = defaultdict(int)
    labelled = []
    for column in columns:
        seen[column.element] += 1
        labelled.append(replace(column, site=f"{column.element}{seen[column.element]}"))
    return tuple(labelled)
