"""Which symmetry operators a CIF stands for: those that it lists, else those of the group that it names."""

from __future__ import annotations

from collections.abc import Iterable

import gemmi
import numpy as np
from numpy.typing import NDArray

from napari_stemprior.errors import StructureError
from napari_stemprior.structure.cif.blocks import Block, shortened
from napari_stemprior.structure.cif.group_names import groups_of_name, groups_of_number, with_code
from napari_stemprior.structure.cif.operators import (
    Symmetry,
    from_group_ops,
    products,
    read_operators,
)

#: A cell that a symmetry changes by more than this, relative, does not have it.
_STRETCH = 0.02

_OPERATORS = (
    "_space_group_symop_operation_xyz",
    "_symmetry_equiv_pos_as_xyz",
    "_space_group_symop_operation_algebraic",
    "_symmetry_equiv_as_xyz",
)
_MAGNETIC = ("_space_group_symop_magn_operation_xyz", "_space_group_symop_magn_xyz")
_MAGNETIC_CENTRING = ("_space_group_symop_magn_centering_xyz",)
_MODULATED = (
    "_space_group_symop_ssg_operation_algebraic",
    "_space_group_symop_magn_ssg_operation_algebraic",
)
_NAME = (
    "_space_group_name_h-m_alt",
    "_symmetry_space_group_name_h-m",
    "_space_group_name_h-m_full",
    "_space_group_name_h-m_ref",
    "_symmetry_space_group_name_h-m_alt",
)
_HALL = ("_space_group_name_hall", "_symmetry_space_group_name_hall")
_NUMBER = ("_space_group_it_number", "_symmetry_int_tables_number", "_symmetry_int_table_number")
_CODE = ("_space_group_it_coordinate_system_code",)


def symmetries(block: Block, cell: NDArray[np.float64]) -> tuple[list[Symmetry], list[str]]:
    """Find the operators of a block.

    Operators win over names, the Hall symbol over the name of Hermann and Mauguin, that over the number.

    Parameters
    ----------
    block : Block
    cell : (3, 3) array
        Rows are the cell vectors in Å.

    Returns
    -------
    symmetries : list of Symmetry
        Several where a name leaves its origin or setting open.
    remarks : list of str
        What the file says of its symmetry against itself.

    Raises
    ------
    StructureError
        If the block does not say its symmetry, says it in a way that cannot be read, or the cell does not
        have it.
    """
    listed = _listed(block)
    if listed is not None:
        _check(block, listed, cell)
        return [listed], _against_names(block, listed)
    found = _named(block)
    fitting = [symmetry for symmetry in found if symmetry.stretch(cell) < _STRETCH]
    if not fitting:
        names = " or ".join(dict.fromkeys(symmetry.name for symmetry in found))
        raise StructureError(f"{block.path}: the cell does not have the symmetry {names}; check both.")
    return fitting, []


def _listed(block: Block) -> Symmetry | None:
    """Return the operators that a block lists."""
    try:
        if texts := _known(block.column(*_OPERATORS)):
            return read_operators(texts, block.text(*_NAME) or "its operators")
        if texts := _known(block.column(*_MAGNETIC)):
            magnetic = read_operators(texts, "its magnetic operators")
            centring = _known(block.column(*_MAGNETIC_CENTRING))
            return products(magnetic.name, magnetic, read_operators(centring or ["x,y,z"], ""))
    except ValueError as error:
        raise StructureError(
            f"{block.path}: the symmetry operator {str(error)!r} cannot be read; write it like -x+1/2,y,z."
        ) from error
    if block.column(*_MODULATED):
        raise StructureError(
            f"{block.path}: the structure is modulated (operators in superspace); give its average structure "
            "or an approximant."
        )
    return None


def _known(values: Iterable[str | None]) -> list[str]:
    return [value for value in values if value]


def _check(block: Block, symmetry: Symmetry, cell: NDArray[np.float64]) -> None:
    if len(symmetry) > 1 and not symmetry.is_group:
        raise StructureError(
            f"{block.path}: its {len(symmetry)} symmetry operators are no group, so some are missing or "
            "wrong; list all of them."
        )
    if len(symmetry) == 1 and (symmetry.translations.any() or (symmetry.rotations[0] != np.eye(3)).any()):
        raise StructureError(f"{block.path}: its only symmetry operator is not x,y,z; list all of them.")
    if symmetry.stretch(cell) > _STRETCH:
        raise StructureError(
            f"{block.path}: the cell does not have the symmetry of the operators; "
            "check its lengths and angles."
        )


def _against_names(block: Block, symmetry: Symmetry) -> list[str]:
    """Compare listed operators with the group that the block names."""
    try:
        named = _named(block)
    except StructureError:
        return []  # the operators say all that is needed
    group = symmetry.group
    if group is not None:
        numbers = {other.group.number for other in named if other.group is not None}
        agree = not numbers or group.number in numbers
    else:
        agree = any(_order(symmetry) == _order(other) for other in named)
    if agree:
        return []
    own = f"those of {group.xhm()}" if group is not None else f"{len(symmetry)} of another group"
    return [f"the file names {named[0].name}, but its operators are {own}; the operators were used"]


def _order(symmetry: Symmetry) -> int:
    """Return the order of the point group."""
    return len(np.unique(symmetry.rotations.reshape(-1, 9), axis=0))


def _named(block: Block) -> list[Symmetry]:
    """Return the operators of the group that a block names."""
    hall, name, number = block.text(*_HALL), block.text(*_NAME), _number(block)
    groups = [] if name is None else groups_of_name(name)
    if name is not None and number is not None and groups and groups[0].number != number:
        raise StructureError(
            f"{block.path}: the space group {name} has the number {groups[0].number}, not {number}; "
            "correct one of them, or list the symmetry operators."
        )
    if hall is not None:
        return [_of_hall(block, hall, groups)]
    if not groups:
        if number is None:
            raise _unknown(block, name)
        groups = groups_of_number(number)
    code = block.text(*_CODE)
    if code is not None:
        groups = with_code(groups, code)
        if not groups:
            raise StructureError(
                f"{block.path}: the setting {code!r} of its space group is not known; list the operators."
            )
    return [from_group_ops(group.xhm(), group.operations()) for group in groups]


def _of_hall(block: Block, hall: str, groups: list[gemmi.SpaceGroup]) -> Symmetry:
    try:
        symmetry = from_group_ops(hall, gemmi.symops_from_hall(hall.replace("_", " ")))
    except (ValueError, RuntimeError) as error:
        raise StructureError(
            f"{block.path}: the Hall symbol {hall!r} cannot be read; list the symmetry operators."
        ) from error
    if groups and _order(symmetry) != len(groups[0].operations().sym_ops):
        raise StructureError(
            f"{block.path}: the Hall symbol {hall} and the space group {groups[0].xhm()} are not the same; "
            "correct one of them, or list the symmetry operators."
        )
    return symmetry


def _number(block: Block) -> int | None:
    text = block.text(*_NUMBER)
    if text is None:
        return None
    if not text.isdecimal() or not 1 <= int(text[:9]) <= 230:
        raise StructureError(f"{block.path}: there is no space group number {text}; they go from 1 to 230.")
    return int(text)


def _unknown(block: Block, name: str | None) -> StructureError:
    if name is not None:
        return StructureError(
            f"{block.path}: the space group {shortened(name)!r} is not known; list its symmetry operators "
            "(_space_group_symop_operation_xyz)."
        )
    magnetic = block.text("_space_group_magn_name_bns", "_space_group_magn_number_bns")
    if magnetic is not None:
        return StructureError(
            f"{block.path}: it names the magnetic space group {magnetic} without its operators; list them."
        )
    return StructureError(
        f"{block.path}: the CIF does not say its symmetry, so atoms may be missing; add its space group, "
        "or _symmetry_space_group_name_H-M 'P 1' if every atom of the cell is listed."
    )
