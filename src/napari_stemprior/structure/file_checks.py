"""What is wrong with a structure file, in one sentence, before it is projected."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.data import covalent_radii
from ase.neighborlist import neighbor_list
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from napari_stemprior.errors import StructureError

#: The most atoms that a cell may have: a prior is a cell, not a whole specimen.
MOST_ATOMS = 10_000
#: The largest file that is read at all, bytes.
_LARGEST_FILE = 50_000_000
#: No crystal repeats along a cell axis within less than this, Å (beryllium: 2.29).
_SHORTEST_AXIS = 2.0
#: Atoms nearer than this part of the sum of their covalent radii clash (the tightest bonds reach 0.78).
_CLASH = 0.6
#: Copies of a site nearer than this (Å) are one atom on a special position given with few digits.
_SAME_SITE = 0.3
_SYMMETRY = re.compile(
    r"^\s*_(symmetry|space_group)[._]?(space_group_name|name|int_tables|it_number|equiv_pos|symop)",
    re.I | re.M,
)
_POSITIONS = re.compile(r"^\s*_atom_site[._](fract|cartn)_x", re.I | re.M)


def check_size(path: Path) -> None:
    """Refuse an empty or an enormous file.

    Raises
    ------
    StructureError
        If there is nothing in the file, or too much.
    """
    size = path.stat().st_size
    if size == 0:
        raise StructureError(f"{path}: the file is empty.")
    if size > _LARGEST_FILE:
        raise StructureError(
            f"{path}: the file has {size / 1e6:.0f} MB, too much for a cell; give one cell of the crystal."
        )


def check_cif(path: Path) -> None:
    """See that a CIF says its symmetry and holds atoms, before it is parsed.

    Raises
    ------
    StructureError
        If it does not; without its symmetry most of the atoms would be missing.
    """
    text = path.read_text(encoding="utf-8", errors="replace")
    lines = (line.strip() for line in text.splitlines())
    if not any(line and not line.startswith("#") for line in lines):
        raise StructureError(f"{path}: the file is empty.")
    if not re.search(r"^\s*data_", text, re.I | re.M):
        return  # not a CIF whatever its name: the parser refuses it
    if not _POSITIONS.search(text):
        raise StructureError(f"{path}: the CIF has no atom positions (_atom_site_fract_x); is it cut off?")
    for axis in "abc":
        if not re.search(rf"^\s*_cell[._]length_{axis}\s", text, re.I | re.M):
            raise StructureError(f"{path}: the CIF has no _cell_length_{axis}; is it cut off?")
    if not _SYMMETRY.search(text):
        raise StructureError(
            f"{path}: the CIF does not say its symmetry, so atoms may be missing; add its space group, "
            "or _symmetry_space_group_name_H-M 'P 1' if every atom of the cell is listed."
        )


def checked_atoms(atoms: Atoms, path: Path) -> Atoms:
    """Return atoms fit for projection.

    Copies that symmetry made of a special position given with few digits, such as 0.333, are joined.

    Parameters
    ----------
    atoms : ase.Atoms
    path : pathlib.Path
        Named in the errors.

    Raises
    ------
    StructureError
        If there are too many atoms, a cell axis is shorter than any crystal's, or atoms clash.
    """
    if len(atoms) > MOST_ATOMS:
        raise StructureError(
            f"{path}: the cell holds {len(atoms)} atoms, more than {MOST_ATOMS}; give one unit cell."
        )
    for name, length, periodic in zip("abc", atoms.cell.lengths(), atoms.pbc, strict=True):
        if periodic and 0 < length < _SHORTEST_AXIS:
            raise StructureError(
                f"{path}: the cell axis {name} is {length:.3g} Å, shorter than in any crystal; "
                "check its unit and the scale."
            )
    if not (np.isfinite(atoms.cell.array).all() and np.isfinite(atoms.positions).all()):
        return atoms  # the projection has its own sentence for this
    return _without_clashes(_joined_copies(atoms), path)


def _joined_copies(atoms: Atoms) -> Atoms:
    kinds = atoms.arrays.get("spacegroup_kinds")
    if kinds is None:
        return atoms
    first, second, shift = neighbor_list("ijD", atoms, _SAME_SITE)
    same = kinds[first] == kinds[second]
    if not same.any():
        return atoms
    first, second, shift = first[same], second[same], shift[same]
    graph = coo_array((np.ones(len(first)), (first, second)), shape=(len(atoms), len(atoms)))
    _, group = connected_components(graph, directed=False)
    kept = np.unique(group, return_index=True)[1]
    joined = atoms[kept]
    for row, index in enumerate(kept):
        moves = shift[first == index]
        joined.positions[row] += moves.sum(axis=0) / (len(moves) + 1)
    return joined


def _without_clashes(atoms: Atoms, path: Path) -> Atoms:
    radii = covalent_radii[atoms.numbers]
    first, second, distance = neighbor_list("ijd", atoms, list(_CLASH * radii))
    filled = _filled(atoms)
    clash = filled[first] + filled[second] > 1.001  # parts of one site may lie near each other
    if clash.any():
        worst = np.flatnonzero(clash)[int(np.argmin(distance[clash]))]
        one, other = sorted((atoms[int(first[worst])], atoms[int(second[worst])]), key=lambda a: a.index)
        raise StructureError(
            f"{path}: the atoms {one.symbol} (number {one.index + 1}) and {other.symbol} (number "
            f"{other.index + 1}) lie {distance[worst]:.2f} Å apart; check the coordinates and the cell."
        )
    return atoms


def _filled(atoms: Atoms) -> NDArray[np.float64]:
    """(N,) share of the time that each site is filled."""
    table, kinds = atoms.info.get("occupancy"), atoms.arrays.get("spacegroup_kinds")
    if not table or kinds is None:
        return np.ones(len(atoms))
    return np.array([sum(table.get(str(kind), {"": 1.0}).values()) for kind in kinds], dtype=float)
