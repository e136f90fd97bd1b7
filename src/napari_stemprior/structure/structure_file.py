"""Lattice priors from structure files, and how a prior is found by name."""

from __future__ import annotations

import glob
import re
import warnings
from dataclasses import replace
from pathlib import Path

from ase import Atoms
from ase.io import read
from ase.io.formats import UnknownFileTypeError

from napari_stemprior.errors import StructureError
from napari_stemprior.structure.cif import block_names, read_cif
from napari_stemprior.structure.cif.blocks import unreadable
from napari_stemprior.structure.file_checks import (
    check_atoms,
    check_frames,
    check_size,
    check_symmetry,
    is_cif,
)
from napari_stemprior.structure.layer_normal import direction_of_leaning, project_along
from napari_stemprior.structure.library import built_in, is_built_in
from napari_stemprior.structure.prior import StructurePrior
from napari_stemprior.structure.stack import Prior
from napari_stemprior.structure.stack_name import parse_stack
from napari_stemprior.structure.zone_axis import Direction

#: Bytes of a CIF whose blocks are listed in a fraction of a second.
_QUICKLY_READ = 5_000_000
#: What ASE's parsers run into where a file ends too soon.
_CUT_OFF = (AssertionError, StopIteration, TypeError, IndexError)


def load_prior(
    name_or_file: str | Path, zone_axis: Direction | None = None, block: str | None = None
) -> Prior:
    """Return a built-in prior of that name, a stack of such, or else read the file.

    Parameters
    ----------
    name_or_file : str or pathlib.Path
        A built-in name wins over a file of the same name; write ``./NAME`` for the file. Stacks are
        written ``MoS2/WS2 twist 3.1``, ``MoS2 AB`` and so on, see `parse_stack`.
    zone_axis : tuple of int or PlaneNormal, optional
        Direction of the beam, [uvw] or a normal. None keeps a built-in prior's own axis and takes a file as
        it lies.
    block : str, optional
        Which data block of a CIF with several; the first with atoms by default.

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
    if isinstance(name_or_file, Path) or (_exists(path) and not is_built_in(text)):
        return read_structure(path, zone_axis, block)
    if block is not None and not _looks_like_path(text):
        raise StructureError(f"{text!r}: a block belongs to a structure file; leave it out.")
    if is_built_in(text):
        return built_in(text, zone_axis)
    stack = parse_stack(text, is_built_in, load_prior)
    if stack is not None:
        if zone_axis is not None:
            raise StructureError(f"{text!r}: a stack is seen along its normal; leave out the zone axis.")
        return stack
    return read_structure(path, zone_axis, block) if _looks_like_path(text) else built_in(text, zone_axis)


def read_structure(
    path: str | Path, zone_axis: Direction | None = None, block: str | None = None
) -> StructurePrior:
    """Read a crystal structure (CIF, POSCAR, extxyz and whatever else ASE reads) and project it.

    Parameters
    ----------
    path : str or pathlib.Path
    zone_axis : tuple of int or PlaneNormal, optional
        Direction of the beam, [uvw] in the basis of the file's cell or the normal of a plane; None takes the
        structure as it lies, beam along z, and a single layer in vacuum along its normal. Where no lattice
        vector lies along z, layers are seen along their normal and other crystals along [001].
    block : str, optional
        Which data block of a CIF with several; the first with atoms by default.

    Returns
    -------
    StructurePrior
        What a person should know of the file is in its `remarks`.

    Raises
    ------
    StructureError
        If the file is missing, empty, truncated, huge, not a structure, does not say its symmetry,
        holds clashing atoms, has no cell or one that no crystal has, does not repeat across the beam, or has
        no such block.
    """
    path = Path(path).expanduser()
    if not _exists(path):
        raise StructureError(f"{path}: no such file; give a structure file or a name of 'stemprior priors'.")
    if path.is_dir():
        raise StructureError(f"{path} is a folder; give one structure file.")
    if not path.is_file():
        raise StructureError(f"{path} is no regular file; give one structure file.")
    name = path.stem if path.suffix else f"{path.parent.resolve().name} {path.name}".strip()
    try:
        check_size(path)
        if is_cif(path):
            crystal = read_cif(path, block)
            atoms, remarks = crystal.atoms, crystal.remarks
            if len(crystal.blocks) > 1:
                name = f"{name} {crystal.block}"
        elif block is not None:
            raise StructureError(f"{path}: only a CIF has blocks; leave the block out.")
        else:
            check_symmetry(path)
            check_frames(path)
            atoms, remarks = _read_atoms(path)
    except OSError as error:
        raise StructureError(f"{path}: the file cannot be read ({error.strerror or error}).") from error
    check_atoms(atoms, path)
    if zone_axis is None:
        zone_axis, chosen = direction_of_leaning(atoms)
        remarks += tuple(f"{path}: {text}" for text in chosen)
    prior = project_along(atoms, zone_axis, name=str(path), source=path.name)
    return replace(prior, name=name, remarks=(*remarks, *prior.remarks))


def structure_blocks(path: str | Path) -> tuple[str, ...]:
    """List the data blocks of a CIF that hold atoms, at once.

    Empty for other files, those that cannot be read, and those above 5 MB, which take longer.
    """
    path = Path(path).expanduser()
    try:
        if not path.is_file() or path.stat().st_size > _QUICKLY_READ:
            return ()
        check_size(path)
        return block_names(path) if is_cif(path) else ()
    except (OSError, StructureError):
        return ()


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a name that is too long, or with a zero byte
        return False


def _looks_like_path(text: str) -> bool:
    bare = text.split(" [")[0]
    return "/" in text or "\\" in text or bool(re.search(r"\.[A-Za-z]\w*$", bare))


def _read_atoms(path: Path) -> tuple[Atoms, tuple[str, ...]]:
    """Read the last configuration of a file; ASE's parsers raise whatever their lines ran into."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # ASE warns of settings that do not matter here
        try:
            # the whole path: ASE takes a part after @ for an index, and a bare - for standard input
            name, form = str(path.resolve()), None
            if path.suffix == ".res":  # whose name ASE takes for a pattern
                name, form = glob.escape(name), "res"
            read_all = read(name, index=":", format=form, do_not_split_by_at_sign=True)
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
            raise unreadable(path, _reason(error)) from error
    configurations = read_all if isinstance(read_all, list) else [read_all]
    if not configurations or not isinstance(configurations[-1], Atoms):
        raise StructureError(f"{path}: the file holds no structure.")
    count = len(configurations)
    remarks = (f"{path}: the file holds {count} configurations; the last was read.",) if count > 1 else ()
    return configurations[-1], remarks


def _reason(error: Exception) -> str:
    """Put what a parser ran into in a few words."""
    text = str(error).strip()
    if isinstance(error, KeyError):  # the parsers look elements up
        return f"the element {text} is not known; give chemical symbols"
    if (
        not text
        or isinstance(error, _CUT_OFF)
        or any(part in text for part in ("broadcast", "StopIteration"))
    ):
        return "it is cut off or a number is missing"
    return text.splitlines()[0]
