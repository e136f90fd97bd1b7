"""What is wrong with a structure file, in one sentence, before it is projected."""

from __future__ import annotations

import bz2
import gzip
import lzma
import re
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.data import covalent_radii
from numpy.typing import NDArray

from napari_stemprior.errors import StructureError
from napari_stemprior.structure.elements import SYMBOLS
from napari_stemprior.structure.near_pairs import near_pairs

#: The most atoms that a cell may have: a prior is a cell, not a whole specimen.
MOST_ATOMS = 10_000
#: The largest file that is read at all, bytes, unpacked.
_LARGEST_FILE = 50_000_000
#: No crystal repeats along a cell axis within less than this, Å (beryllium: 2.29).
_SHORTEST_AXIS = 2.0
#: No cell that is projected is longer than this, Å: the field of a micrograph of 4,096 px of 0.25 Å.
_LONGEST_AXIS = 1000.0
#: Cell axes that enclose less than this part of the box of their lengths lie in a plane.
_FLATTEST = 1e-3
#: Nor do its faces lie nearer to each other than this, Å.
_NARROWEST = 0.5
#: Atoms nearer than this part of the sum of their covalent radii clash (the tightest bonds reach 0.78).
_CLASH = 0.6
#: Occupancies of sites that exclude each other may add up to this, as they are rounded.
_ROUNDED_FULL = 1.02
#: The line of a PDB file that names a space group, and those of SHELX that list symmetry.
_CRYST1 = re.compile(rb"^CRYST1.{49}(.{1,11})", re.M)
#: What opens a packed file, by its suffix.
_OPENERS: dict[str, Callable[[Path, str], Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
_SHELX_SYMMETRY = re.compile(rb"^(SYMM\b.*|LATT\s+(?!-1\b)-?\d.*)$", re.M | re.I)


def check_size(path: Path) -> None:
    """Refuse an empty or an enormous file, packed ones by what is in them.

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
    if path.suffix.casefold() in _OPENERS:
        file_bytes(path)


def file_bytes(path: Path) -> bytes:
    """Read a file, and unpack it where its name says that it is packed.

    Raises
    ------
    StructureError
        If it is too large, or cannot be unpacked.
    """
    opener = _OPENERS.get(path.suffix.casefold(), open)
    try:
        with opener(path, "rb") as file:
            data: bytes = file.read(_LARGEST_FILE + 1)
    except (EOFError, gzip.BadGzipFile, lzma.LZMAError, zlib.error) as error:
        raise StructureError(
            f"{path}: the file cannot be unpacked; pack it again, or give it as it is."
        ) from error
    if len(data) > _LARGEST_FILE:
        raise StructureError(
            f"{path}: there is more than {_LARGEST_FILE / 1e6:.0f} MB in the file, too much for a cell; "
            "give one cell of the crystal."
        )
    return data


def is_cif(path: Path) -> bool:
    """Tell whether a file is a CIF, by its name or because it begins as one."""
    name = path.name.casefold()
    packed = path.suffix.casefold()
    if packed in _OPENERS:
        name = name.removesuffix(packed)
    if name.endswith((".cif", ".mcif")):
        return True
    start = file_bytes(path)[:65536].removeprefix(b"\xef\xbb\xbf")
    return bool(re.match(rb"(?:\s|#[^\r\n]*[\r\n])*data_\S*\s", start, re.I))


def check_symmetry(path: Path) -> None:
    """Refuse formats that give a part of the cell and its symmetry, which ASE does not apply.

    Raises
    ------
    StructureError
        If a PDB or SHELX file has more symmetry than P 1; most of the atoms would be missing.
    """
    suffix = path.suffix.casefold()
    if suffix in (".pdb", ".ent"):
        found = _CRYST1.search(file_bytes(path))
        group = found[1].decode("ascii", "replace").strip() if found else ""
        if group.replace(" ", "") not in ("", "P1"):
            raise StructureError(
                f"{path}: the symmetry {group} of a PDB file is not applied; "
                "give a CIF, or the whole cell in P 1."
            )
    elif suffix in (".res", ".ins") and (symmetry := _SHELX_SYMMETRY.search(file_bytes(path))):
        line = symmetry[1].decode("ascii", "replace").strip()
        raise StructureError(
            f"{path}: the symmetry ({line}) of a SHELX file is not applied; "
            "give a CIF, or the whole cell in P 1."
        )


def check_frames(path: Path) -> None:
    """See that every frame of an XYZ file has the lines that its first one promises.

    ASE reads on until it has as many as promised, however many those are.

    Raises
    ------
    StructureError
        If a frame promises more atoms than lines are left.
    """
    name = path.name.casefold().removesuffix(path.suffix.casefold() if path.suffix in _OPENERS else "")
    if not name.endswith((".xyz", ".extxyz")):
        return
    lines = file_bytes(path).splitlines()
    at = 0
    while at < len(lines) and (count := lines[at].strip()).isdigit():
        if len(count) > 9 or at + 2 + int(count) > len(lines):
            raise StructureError(
                f"{path}: not a readable structure file (it promises {count[:20].decode()} atoms and is "
                "cut off); export it again or check it."
            )
        at += int(count) + 2


def check_atoms(atoms: Atoms, path: Path) -> None:
    """See that atoms are fit for projection.

    Parameters
    ----------
    atoms : ase.Atoms
    path : pathlib.Path
        Named in the errors.

    Raises
    ------
    StructureError
        If there are too many atoms, an element that does not exist, a cell axis that no crystal has, axes
        that lie in a plane, or atoms that clash.
    """
    if len(atoms) > MOST_ATOMS:
        raise StructureError(
            f"{path}: the cell holds {len(atoms)} atoms, more than {MOST_ATOMS}; give one unit cell."
        )
    unknown = (atoms.numbers < 0) | (atoms.numbers >= len(SYMBOLS))
    if unknown.any():
        raise StructureError(
            f"{path}: there is no element with the atomic number {atoms.numbers[unknown][0]}; "
            "give chemical symbols."
        )
    if not (np.isfinite(atoms.cell.array).all() and np.isfinite(atoms.positions).all()):
        raise StructureError(f"{path}: the cell or a position is not a finite number.")
    check_cell(atoms.cell.array, path, atoms.pbc)
    _check_clashes(atoms, path)


def check_cell(cell: NDArray[np.float64], path: Path, periodic: Iterable[bool] = (True, True, True)) -> None:
    """See that a cell could be that of a crystal.

    Parameters
    ----------
    cell : (3, 3) array
        Rows are the cell vectors in Å; 0 where there is none.
    path : pathlib.Path
        Named in the errors.
    periodic : iterable of bool
        Along which vectors the structure repeats.

    Raises
    ------
    StructureError
        If an axis is shorter or longer than any crystal's, or axes lie in a plane.
    """
    lengths = np.linalg.norm(cell, axis=1)
    for name, length, repeats in zip("abc", lengths, periodic, strict=True):
        if repeats and 0 < length < _SHORTEST_AXIS:
            raise StructureError(
                f"{path}: the cell axis {name} is {length:.3g} Å, shorter than in any crystal; "
                "check its unit and the scale."
            )
        if length > _LONGEST_AXIS:
            raise StructureError(
                f"{path}: the cell axis {name} is {length:.5g} Å, longer than {_LONGEST_AXIS:.0f} Å; "
                "check its unit and the scale, or give one unit cell."
            )
    used = cell[lengths > 0]
    if len(used) < 2:
        raise StructureError(f"{path}: the structure has no cell; give a file with lattice vectors.")
    directions = used / np.linalg.norm(used, axis=1)[:, None]
    enclosed = float(np.sqrt(max(np.linalg.det(directions @ directions.T), 0.0)))
    if enclosed < _FLATTEST or (np.diag(np.linalg.inv(used @ used.T)) > _NARROWEST**-2).any():
        what = "lie in a plane" if len(used) == 3 else "are parallel"
        raise StructureError(f"{path}: the axes of the cell {what}; check the lattice vectors.")


def _check_clashes(atoms: Atoms, path: Path) -> None:
    radii = covalent_radii[atoms.numbers]
    first, second, distance = _close(atoms, 2 * _CLASH * float(radii.max(initial=0.0)))
    filled = _filled(atoms)
    clash = (distance < _CLASH * (radii[first] + radii[second])) & (
        filled[first] + filled[second] > _ROUNDED_FULL  # parts of one site may lie near each other
    )
    if clash.any():
        worst = np.flatnonzero(clash)[int(np.argmin(distance[clash]))]
        one, other = sorted((atoms[int(first[worst])], atoms[int(second[worst])]), key=lambda a: a.index)
        raise StructureError(
            f"{path}: the atoms {one.symbol} (number {one.index + 1}) and {other.symbol} (number "
            f"{other.index + 1}) lie {distance[worst]:.2f} Å apart; check the coordinates and the cell."
        )


def _close(atoms: Atoms, reach: float) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """List pairs of atoms within `reach` Å, across those faces of the cell along which it repeats."""
    cell = np.array(atoms.cell.array)
    open_sides = ~np.array(atoms.pbc) | (atoms.cell.lengths() == 0)
    complete = np.array(atoms.cell.complete().array)
    frac = atoms.positions @ np.linalg.inv(complete)
    for axis in np.flatnonzero(open_sides):  # a box so high that no image is near
        span = float(np.ptp(frac[:, axis])) if len(frac) else 0.0
        height = 1 / np.linalg.norm(np.linalg.inv(complete)[:, axis])
        factor = span + 3 * reach / height
        cell[axis] = complete[axis] * factor
        frac[:, axis] = (frac[:, axis] - frac[:, axis].min(initial=0.0)) / factor
    first, second, vectors = near_pairs(frac, cell, reach)
    return first, second, np.linalg.norm(vectors, axis=1)


def _filled(atoms: Atoms) -> NDArray[np.float64]:
    """(N,) share of the time that each site is filled."""
    table, kinds = atoms.info.get("occupancy"), atoms.arrays.get("spacegroup_kinds")
    if not table or kinds is None:
        return np.ones(len(atoms))
    return np.array([sum(table.get(str(kind), {"": 1.0}).values()) for kind in kinds], dtype=float)
