"""The rows of the atom table of a CIF."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

import numpy as np
from gemmi import cif
from numpy.typing import NDArray

from napari_stemprior.errors import SpeciesError, StructureError
from napari_stemprior.structure.cif.blocks import Block, number, unreadable
from napari_stemprior.structure.cif.species import (
    content_of_label,
    content_of_symbol,
)
from napari_stemprior.structure.elements import Content

#: Occupancies are rounded: those of one site may add up to this.
FULL = 1.05
_AXES = "xyz"


@dataclass(frozen=True)
class Row:
    """One row of the table: a position, what is there, and the label for messages.

    Parameters
    ----------
    label : str
    place : tuple of float
        Fractional x, y, z.
    content : tuple of (int, float)
        Atomic numbers with their share of the site, the occupancy of the row included.
    """

    label: str
    place: tuple[float, float, float]
    content: Content


def read_rows(
    block: Block, cell: NDArray[np.float64], elements: frozenset[int]
) -> tuple[list[Row], list[str]]:
    """Read the atom table of a block.

    Parameters
    ----------
    block : Block
    cell : (3, 3) array
        Rows are the cell vectors in Å, a along x and b in the plane of x and y.
    elements : frozenset of int
        Atomic numbers in the formula of the file; empty where it has none.

    Returns
    -------
    rows : list of Row
        Without those that hold nothing.
    remarks : list of str
        What was left out.

    Raises
    ------
    StructureError
        If a position, an occupancy or an element cannot be read.
    """
    labels = block.values.get("_atom_site_label", ())
    symbols = block.values.get("_atom_site_type_symbol", ())
    occupancies = block.values.get("_atom_site_occupancy", ())
    flags = block.values.get("_atom_site_calc_flag", ())
    for tag in ("_atom_site_label", "_atom_site_type_symbol", "_atom_site_occupancy"):
        block.column(tag)  # raises where it is given twice
    table = _coordinates(block)
    rows, hydrogens = [], 0
    for index, texts in enumerate(zip(*table.values(), strict=True)):
        label, symbol = _at(labels, index), _at(symbols, index)
        if (_at(flags, index) or "").lower() == "dum":
            continue
        content = _content(block, label, symbol, elements)
        if all(text is None for text in texts) and content and all(z == 1 for z, _ in content):
            hydrogens += 1
            continue
        share = _occupancy(block, _at(occupancies, index), label or symbol or str(index + 1))
        place = np.array([number(block, tag, text) for tag, text in zip(table, texts, strict=True)])
        if "cartn" in next(iter(table)):
            place = place @ np.linalg.inv(cell)
        filled = tuple((z, part * share) for z, part in content if part * share > 0)
        if filled:
            rows.append(
                Row(label or symbol or "", (float(place[0]), float(place[1]), float(place[2])), filled)
            )
    if not rows:
        raise StructureError(f"{block.path}: the block {block.name} has no atom with a position.")
    remarks = [f"{hydrogens} hydrogen atoms without positions were left out"] if hydrogens else []
    return rows, remarks


def _at(column: tuple[str | None, ...], index: int) -> str | None:
    return column[index] if index < len(column) else None


def _coordinates(block: Block) -> dict[str, tuple[str | None, ...]]:
    """Return the columns of the coordinates by tag, fractional before Cartesian."""
    for kind in ("fract", "cartn"):
        table = {f"_atom_site_{kind}_{axis}": block.column(f"_atom_site_{kind}_{axis}") for axis in _AXES}
        if not table[f"_atom_site_{kind}_x"]:
            continue
        for tag, column in table.items():
            if not column:
                raise unreadable(block.path, f"{tag} is missing")
        if len({len(column) for column in table.values()}) > 1:
            raise unreadable(block.path, f"the columns of _atom_site_{kind} differ in length")
        if kind == "cartn" and any(tag.startswith("_atom_sites_cartn_tran") for tag in block.values):
            raise StructureError(
                f"{block.path}: the atoms are given in Cartesian axes of their own; "
                "give fractional coordinates."
            )
        return table
    raise StructureError(f"{block.path}: the CIF has no atom positions (_atom_site_fract_x); is it cut off?")


def _content(block: Block, label: str | None, symbol: str | None, elements: frozenset[int]) -> Content:
    try:
        if symbol is not None:
            return content_of_symbol(symbol)
        if label is not None:
            return content_of_label(label, elements)
    except SpeciesError as error:
        raise StructureError(f"{block.path}: {error}.") from error
    raise StructureError(f"{block.path}: an atom has neither a type symbol nor a label; give type symbols.")


def _occupancy(block: Block, text: str | None, label: str) -> float:
    """Read an occupancy; unknown means full."""
    if text is None:
        return 1.0
    share = cif.as_number(text)
    if not isfinite(share) or not -1e-6 <= share <= FULL:
        raise StructureError(f"{block.path}: the occupancy {text!r} of {label} is no number from 0 to 1.")
    return max(share, 0.0)
