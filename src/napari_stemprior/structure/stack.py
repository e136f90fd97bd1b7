"""Layers on one another: a lattice for each where they are twisted, one small cell where they are not."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from napari_stemprior.errors import StructureError
from napari_stemprior.structure.elements import ATOMIC_NUMBERS
from napari_stemprior.structure.periodic import image_distance
from napari_stemprior.structure.prior import (
    HAADF_EXPONENT,
    MERGE_DISTANCE,
    Column,
    StructurePrior,
    numbered_sites,
)

#: Van der Waals gap in Å between the facing planes of two layers: 2.9 in MoS2, 3.35 in graphite. Only
#: depths follow from it, which a projection hardly sees.
GAP = 3.1
#: A rotation (degrees) nearer than this to one that carries a lattice onto itself is no twist.
SMALLEST_TWIST = 0.2
#: Two lattices whose lengths differ by less (relative) are the same lattice.
_SAME_LENGTH = 1e-3
#: Ways to put a honeycomb layer on itself: whether the lower one is turned by 180 degrees, and by how many
#: times the vector from the first to the second column it is shifted. The first column is the metal.
STACKINGS: dict[str, tuple[bool, int]] = {
    "AA": (False, 0),
    "AB": (False, -1),
    "BA": (False, 1),
    "AA'": (True, 1),
    "AB'": (True, 0),
    "A'B": (True, 2),
}


@dataclass(frozen=True)
class Stack:
    """Layers that share no small cell, each with its own lattice; build it with `stacked`.

    Parameters
    ----------
    name : str
        Such as ``"MoS2/WS2 twist 3.1°"``.
    layers : tuple of StructurePrior
        Entrance side first; the columns of each carry its number as their layer.
    twists : tuple of float
        Degrees of each layer relative to the first, anticlockwise in the x-y plane of the prior;
        ``twists[0]`` is 0.
    shifts : tuple of (float, float)
        Å (x, y) of each layer's origin in the frame of the first.

    Raises
    ------
    StructureError
        If there are fewer than two layers, or a twist or shift is missing or not finite.
    """

    name: str
    layers: tuple[StructurePrior, ...]
    twists: tuple[float, ...]
    shifts: tuple[tuple[float, float], ...]

    def __post_init__(self) -> None:
        count = len(self.layers)
        if count < 2:
            raise StructureError(f"{self.name}: a stack needs at least two layers.")
        if len(self.twists) != count or len(self.shifts) != count:
            raise StructureError(
                f"{self.name}: a stack of {count} layers needs {count} twists and {count} shifts; "
                f"it has {len(self.twists)} and {len(self.shifts)}."
            )
        if not np.isfinite([*self.twists, *np.ravel(self.shifts)]).all():
            raise StructureError(f"{self.name}: a twist or shift is not a finite number.")
        if self.twists[0] != 0:
            raise StructureError(f"{self.name}: the first layer has a twist; twists are relative to it.")

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns of every layer, one layer after the other."""
        return tuple(column for layer in self.layers for column in layer.columns)

    @cached_property
    def first_columns(self) -> tuple[int, ...]:
        """Number, in `columns`, of each layer's first column."""
        counts = [len(layer.columns) for layer in self.layers]
        return tuple(int(n) for n in np.cumsum([0, *counts[:-1]]))

    @property
    def crystal(self) -> None:
        """The prior as one crystal with one small cell: layers that share none are not one."""
        return None

    @property
    def period(self) -> float:
        """Repeat along the beam in Å: 0, layers do not repeat."""
        return 0.0

    @property
    def cell_lines(self) -> tuple[str, ...]:
        """What a person reads of the cell of each layer and how it lies, a line a layer."""
        return tuple(
            f"layer {number}: {layer.name}, cell {layer.cell_text}, twist {twist:g}°, shift {x:g}, {y:g} Å"
            for number, (layer, twist, (x, y)) in enumerate(
                zip(self.layers, self.twists, self.shifts, strict=True)
            )
        )

    @property
    def zone_axis(self) -> str:
        """That of the first layer."""
        return self.layers[0].zone_axis

    @property
    def elements(self) -> tuple[str, ...]:
        """Every element, in order of first appearance."""
        return tuple(dict.fromkeys(symbol for layer in self.layers for symbol in layer.elements))

    @property
    def source(self) -> str:
        """The sources of the layers."""
        return "; ".join(dict.fromkeys(layer.source for layer in self.layers if layer.source))

    @property
    def remarks(self) -> tuple[str, ...]:
        """Those of the layers."""
        return tuple(dict.fromkeys(remark for layer in self.layers for remark in layer.remarks))

    @property
    def neighbour_distance(self) -> float:
        """The smallest of the layers', Å."""
        return min(layer.neighbour_distance for layer in self.layers)

    @property
    def closest_in_layer(self) -> float:
        """Smallest projected distance in Å between two columns of one layer."""
        return min(layer.closest_in_layer for layer in self.layers)

    @property
    def area(self) -> float:
        """Area in Å² of the largest cell of a layer."""
        return max(layer.area for layer in self.layers)

    def carried(self, number: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return what carries coordinates of a layer to the frame of the first, ``xy @ turn.T + shift``.

        Parameters
        ----------
        number : int
            Of the layer.

        Returns
        -------
        turn : (2, 2) array
        shift : (2,) array
            Å.
        """
        return rotation(self.twists[number]), np.array(self.shifts[number])

    def renamed(self, name: str) -> Stack:
        """Return the same stack under another name."""
        return replace(self, name=name)


#: What a micrograph may show. Both have `layers`, of which a `StructurePrior` has one: itself.
Prior = StructurePrior | Stack


def rotation(angle: float) -> NDArray[np.float64]:
    """Return the (2, 2) map of an anticlockwise rotation by degrees."""
    t = np.deg2rad(angle)
    return np.array([[np.cos(t), -np.sin(t)], [np.sin(t), np.cos(t)]])


def stacked(
    layers: Sequence[StructurePrior],
    twists: Sequence[float] | None = None,
    shifts: Sequence[tuple[float, float]] | None = None,
    *,
    name: str = "",
) -> Prior:
    """Put layers on one another.

    Parameters
    ----------
    layers : sequence of StructurePrior
        Entrance side first, each one layer that does not repeat along the beam.
    twists : sequence of float, optional
        Degrees of each layer relative to the first, anticlockwise; 0 without it.
    shifts : sequence of (float, float), optional
        Å (x, y) of each layer in the frame of the first.
    name : str, optional
        Made of the layers' names without it.

    Returns
    -------
    Stack or StructurePrior
        A prior of several layers in one small cell where all lattices are the same and none is twisted.

    Raises
    ------
    StructureError
        If there are fewer than two layers, one of them is no layer, or two of the same lattice lie
        on one another without a twist or a shift that tells how.
    """
    count = len(layers)
    turns = tuple(float(t) for t in twists) if twists is not None else (0.0,) * count
    moves = tuple((float(x), float(y)) for x, y in shifts) if shifts is not None else ((0.0, 0.0),) * count
    name = name or "/".join(layer.name for layer in layers) + _angles(turns)
    for layer in layers:
        if layer.period > 0:
            raise StructureError(
                f"{name}: {layer.name} repeats along the beam and is no layer; stack two-dimensional "
                "materials such as graphene or MoS2."
            )
        if layer.layer_numbers.any():
            raise StructureError(f"{name}: {layer.name} has several layers already; stack single ones.")
    stack = Stack(name, _numbered(layers), turns, moves)
    coincident = [
        same_lattice(stack.layers[0], layer, twist)
        for layer, twist in zip(stack.layers[1:], turns[1:], strict=True)
    ]
    if not any(coincident):
        return stack
    if shifts is None:
        lower = layers[1 + coincident.index(True)].name
        again = (
            "there is no twist" if not any(turns) else f"the twist carries the lattice of {lower} onto itself"
        )
        raise StructureError(
            f"{name}: {again}, so how the layers lie is open; name the stacking such as "
            f"'{layers[0].name} AA' or '{layers[0].name} AB', or give a shift in Å such as 'shift 1.0,0.5'."
        )
    if not all(coincident):
        raise StructureError(
            f"{name}: some layers share a lattice and others are twisted; give a stack of two lattices."
        )
    return overlaid(stack)


def bilayer(layer: StructurePrior, stacking: str) -> StructurePrior:
    """Put a layer on itself in one of the usual ways.

    In all of them the two layers share the cell. For 2H dichalcogenides (and h-BN, whose nitrogen takes the
    part of the metal) the lower layer is

    - ``AA``: the same, metal under metal and chalcogen under chalcogen;
    - ``AB``, ``BA``: the same but shifted, as in 3R crystals; in AB its chalcogen lies under the upper
      metal, in BA its metal under the upper chalcogen;
    - ``AA'``: turned by 180°, metal under chalcogen and chalcogen under metal, as in 2H crystals;
    - ``AB'``: turned by 180°, metal under metal;
    - ``A'B``: turned by 180°, chalcogen under chalcogen.

    Parameters
    ----------
    layer : StructurePrior
    stacking : str
        A key of `STACKINGS`; layers other than honeycombs of two columns know ``AA`` alone.

    Raises
    ------
    StructureError
        If the layer has no such stacking.
    """
    name = f"{layer.name} {stacking}"
    if stacking not in STACKINGS:
        raise StructureError(f"{name}: the stacking is not known; give one of {', '.join(STACKINGS)}.")
    turned, steps = STACKINGS[stacking]
    if stacking == "AA":
        step = np.zeros(2)
    elif _is_honeycomb(layer):
        step = layer.positions[1] - layer.positions[0]
    else:
        raise StructureError(
            f"{name}: only honeycombs such as graphene, h-BN and 2H dichalcogenides have this stacking; "
            f"use '{layer.name} AA' or '{layer.name}/{layer.name} shift X,Y' in Å."
        )
    # turn about the first column, so that the shift is told from there
    centre = layer.positions[0]
    shift = (2 * centre if turned else np.zeros(2)) + steps * step
    twists, shifts = (0.0, 180.0 if turned else 0.0), ((0.0, 0.0), (float(shift[0]), float(shift[1])))
    made = stacked([layer, layer], twists, shifts, name=name)
    assert made.crystal is not None  # the layers share the cell
    return made.crystal


def _is_honeycomb(layer: StructurePrior) -> bool:
    """Tell whether a layer is two columns on a hexagonal lattice, each amid three of the other."""
    if len(layer.columns) != 2:
        return False
    first, second = np.linalg.norm(layer.cell, axis=1)
    cosine = abs(layer.cell[0] @ layer.cell[1]) / (first * second)
    thirds = 3 * (layer.fractional[1] - layer.fractional[0])
    return bool(
        abs(first / second - 1) < 0.02
        and abs(cosine - 0.5) < 0.02
        and np.abs(thirds - np.round(thirds)).max() < 0.05
    )


def same_lattice(first: StructurePrior, second: StructurePrior, twist: float) -> bool:
    """Tell whether two lattices coincide when the second is turned by `twist` degrees."""
    change = second.cell @ rotation(twist).T @ np.linalg.inv(first.cell)
    whole = np.round(change)
    if abs(round(float(np.linalg.det(whole)))) != 1:
        return False
    # what is left as a map of the plane: a small strain and a small rotation
    rest = np.linalg.inv(whole @ first.cell) @ second.cell @ rotation(twist).T - np.eye(2)
    turn = abs(float(rest[0, 1] - rest[1, 0])) / 2
    strain = float(np.abs(rest + rest.T).max()) / 2
    return turn < np.deg2rad(SMALLEST_TWIST) and strain < _SAME_LENGTH


def overlaid(stack: Stack) -> StructurePrior:
    """Join the layers of a stack that share one lattice to a prior with the cell of the first."""
    cell = stack.layers[0].cell
    inverse = np.linalg.inv(cell)
    places: list[NDArray[np.float64]] = []
    groups: list[list[Column]] = []
    for number, layer in enumerate(stack.layers):
        turn, shift = stack.carried(number)
        for xy, column in zip(layer.positions @ turn.T + shift, layer.columns, strict=True):
            place = xy @ inverse
            distance = image_distance(np.array(places).reshape(-1, 2) - place, cell)
            if len(places) and distance.min() < MERGE_DISTANCE:
                groups[int(distance.argmin())].append(column)
            else:
                places.append(np.mod(np.round(place, 9) + 0.0, 1.0))
                groups.append([column])
    columns = [_joined(place, group) for place, group in zip(places, groups, strict=True)]
    return StructurePrior(stack.name, stack.zone_axis, cell, numbered_sites(columns), source=stack.source)


def _joined(place: NDArray[np.float64], group: list[Column]) -> Column:
    counts: dict[str, float] = defaultdict(float)
    for symbol, count in (part for column in group for part in column.composition):
        counts[symbol] += count
    ranked = sorted(counts.items(), key=lambda item: -item[1] * ATOMIC_NUMBERS[item[0]] ** HAADF_EXPONENT)
    weights = [column.z_weight for column in group]
    height = float(np.average([column.height for column in group], weights=weights))
    position = (float(place[0]), float(place[1]))
    return Column(position, tuple(ranked), round(height, 6), min(column.layer for column in group))


def _numbered(layers: Sequence[StructurePrior]) -> tuple[StructurePrior, ...]:
    """Give every layer its number and depth, and every column a label of its own."""
    depth = 0.0
    placed = []
    for number, layer in enumerate(layers):
        columns = [replace(c, layer=number, height=c.height + depth) for c in layer.columns]
        placed.append(columns)
        depth = max(c.height for c in columns) + GAP
    labelled = numbered_sites([column for columns in placed for column in columns])
    result, first = [], 0
    for layer in layers:
        last = first + len(layer.columns)
        result.append(replace(layer, columns=labelled[first:last]))
        first = last
    return tuple(result)


def _angles(twists: Sequence[float]) -> str:
    return f" twist {' '.join(f'{t:g}°' for t in twists[1:])}" if any(twists) else ""
