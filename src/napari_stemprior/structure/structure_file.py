"""Lattice priors from structure files, and the zone axis as people write it."""

from __future__ import annotations

import re
import warnings
from math import gcd
from pathlib import Path

from ase import Atoms
from ase.io import read
from ase.io.formats import UnknownFileTypeError

from napari_stemprior.errors import StructureError
from napari_stemprior.structure.file_checks import check_cif, check_size, checked_atoms
from napari_stemprior.structure.library import built_in, is_built_in
from napari_stemprior.structure.prior import StructurePrior
from napari_stemprior.structure.projection import project
from napari_stemprior.structure.stack import Prior
from napari_stemprior.structure.stack_name import parse_stack

_ZONE_AXIS_HINT = (
    "give three indices such as 001, [1-10] or 1,1,0, or four for a hexagonal cell such as [11-20]."
)


def load_prior(name_or_file: str | Path, zone_axis: tuple[int, int, int] | None = None) -> Prior:
    """Return a built-in prior of that name, a stack of such, or else read the file.

    Parameters
    ----------
    name_or_file : str or pathlib.Path
        A built-in name wins over a file of the same name; write ``./NAME`` for the file. Stacks are
        written ``MoS2/WS2 twist 3.1``, ``MoS2 AB`` and so on, see `parse_stack`.
    zone_axis : tuple of int, optional
        Direction [uvw] of the beam. None keeps a built-in prior's own axis and takes a file as it lies.

    Returns
    -------
    StructurePrior or Stack
        The projected unit cell: a (2, 2) cell in Å (a vector a row) and its N columns; or layers that have
        such a cell each.

    Raises
    ------
    UnknownPriorError
        If there is neither; the message suggests the nearest name.
    StructureError
        If the file cannot be used, see `read_structure`, or a stack cannot be made.
    """
    text = str(name_or_file)
    path = Path(text).expanduser()
    if isinstance(name_or_file, Path) or (path.exists() and not is_built_in(text)):
        return read_structure(path, zone_axis)
    if is_built_in(text):
        return built_in(text, zone_axis)
    stack = parse_stack(text, is_built_in, load_prior)
    if stack is not None:
        if zone_axis is not None:
            raise StructureError(f"{text!r}: a stack is seen along its normal; leave out the zone axis.")
        return stack
    return read_structure(path, zone_axis) if _looks_like_path(text) else built_in(text, zone_axis)


def read_structure(path: str | Path, zone_axis: tuple[int, int, int] | None = None) -> StructurePrior:
    """Read a crystal structure (CIF, POSCAR, extxyz and whatever else ASE reads) and project it.

    Parameters
    ----------
    path : str or pathlib.Path
    zone_axis : tuple of int, optional
        Direction [uvw] of the beam in the basis of the file's cell; None takes the structure as it
        lies, beam along z.

    Raises
    ------
    StructureError
        If the file is missing, empty, truncated, huge, not a structure, does not say its symmetry,
        holds clashing atoms, has no cell or too small a one, or does not repeat across the beam.
    """
    path = Path(path).expanduser()
    if not path.exists():
        raise StructureError(f"{path}: no such file; give a structure file or a name of 'stemprior priors'.")
    if path.is_dir():
        raise StructureError(f"{path} is a folder; give one structure file.")
    try:
        check_size(path)
        if path.suffix.casefold() == ".cif":
            check_cif(path)
        atoms = _read_atoms(path)
    except OSError as error:
        raise StructureError(f"{path}: the file cannot be read ({error.strerror or error}).") from error
    if atoms.cell.rank < 2:
        raise StructureError(f"{path}: the structure has no cell; give a file with lattice vectors.")
    atoms = checked_atoms(atoms, path)
    name = path.stem if path.suffix else f"{path.parent.resolve().name} {path.name}".strip()
    return project(atoms, zone_axis, name=str(path), source=path.name).renamed(name)


def parse_zone_axis(text: str) -> tuple[int, int, int]:
    """Read a zone axis such as ``001``, ``[1-10]``, ``[1 -1 0]``, ``1,1,0`` or hexagonal ``[11-20]``.

    Parameters
    ----------
    text : str
        Three indices [uvw], or four [uvtw] of a hexagonal cell. Without separators every index is
        one digit with its sign before it.

    Returns
    -------
    tuple of int
        [uvw] without a common divisor.

    Raises
    ------
    StructureError
        If it is not a zone axis, or is [000].
    """
    inner = text.replace("\u2212", "-").replace("\u2013", "-").strip()  # signs as pages print them
    if inner[:1] in ("[", "<", "(") and inner[-1:] in ("]", ">", ")"):
        inner = inner[1:-1].strip()
    separated = re.fullmatch(r"[+-]?\d+(?:(?:\s*,\s*|\s+)[+-]?\d+)*", inner)
    if separated and re.search(r"[\s,]", inner):
        indices = [int(part) for part in re.split(r"[\s,]+", inner)]
    elif re.fullmatch(r"(?:[+-]?\d)+", inner):
        indices = [int(part) for part in re.findall(r"[+-]?\d", inner)]
    else:
        indices = []
    if len(indices) == 4:
        u, v, t, w = indices
        if u + v + t:
            raise StructureError(
                f"The zone axis {text!r} has four indices, but the first three do not add up to 0."
            )
        indices = [u - t, v - t, w]
    if len(indices) != 3:
        raise StructureError(f"The zone axis {text!r} is not a direction; {_ZONE_AXIS_HINT}")
    divisor = gcd(*indices)
    if divisor == 0:
        raise StructureError(f"The zone axis {text!r} has no direction; {_ZONE_AXIS_HINT}")
    u, v, w = (index // divisor for index in indices)
    return u, v, w


def _looks_like_path(text: str) -> bool:
    bare = text.split(" [")[0]
    return "/" in text or "\\" in text or bool(re.search(r"\.[A-Za-z]\w*$", bare))


def _read_atoms(path: Path) -> Atoms:
    """Read the last configuration of a file; ASE's parsers raise whatever their lines ran into."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # ASE warns of settings and CIF details that do not matter here
        try:
            atoms = read(path)
        except UnknownFileTypeError as error:
            raise StructureError(
                f"{path}: the format is not known; give a CIF, POSCAR or extxyz file, named as such."
            ) from error
        except ImportError as error:
            raise StructureError(
                f"{path}: reading this format needs a package that is missing ({error})."
            ) from error
        except Exception as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise  # the disk's trouble, not the format's: ASE's own parse errors have no number
            raise StructureError(_unreadable(path, error)) from error
    if not isinstance(atoms, Atoms):
        raise StructureError(f"{path}: the file holds no structure.")
    return atoms


def _unreadable(path: Path, error: Exception) -> str:
    """Put what a parser ran into in a sentence."""
    text = str(error).strip()
    if isinstance(error, KeyError):  # the parsers look elements up
        return f"{path}: the element {text} is not known; give chemical symbols."
    if not text or isinstance(error, AssertionError | StopIteration | TypeError) or "broadcast" in text:
        reason = "it is cut off or a number is missing"
    else:
        reason = text.splitlines()[0]
    return f"{path}: not a readable structure file ({reason}); export it again or check it."
