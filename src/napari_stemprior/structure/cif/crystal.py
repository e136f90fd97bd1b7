"""A cell of atoms from a CIF."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.geometry import cellpar_to_cell
from numpy.typing import NDArray

from napari_stemprior.errors import StructureError
from napari_stemprior.structure.cif.blocks import Block, number, read_blocks
from napari_stemprior.structure.cif.formula import contradiction, formula_of
from napari_stemprior.structure.cif.operators import Symmetry
from napari_stemprior.structure.cif.rows import Row, read_rows
from napari_stemprior.structure.cif.sites import AtomSites, fill_cell
from napari_stemprior.structure.cif.symmetry import symmetries
from napari_stemprior.structure.elements import SYMBOLS
from napari_stemprior.structure.file_checks import check_cell

_LENGTHS = ("_cell_length_a", "_cell_length_b", "_cell_length_c")
_ANGLES = ("_cell_angle_alpha", "_cell_angle_beta", "_cell_angle_gamma")
#: The volume that a file gives may differ from that of its cell by this part.
_VOLUME = 0.02


@dataclass(frozen=True, eq=False)
class CifCrystal:
    """One structure of a CIF.

    Parameters
    ----------
    atoms : ase.Atoms
        One atom a site, a along x and b in the plane of x and y. What shares a site or leaves it empty is in
        ``atoms.info["occupancy"]``, by the site's kind in ``atoms.arrays["spacegroup_kinds"]``.
    block : str
        Which of the blocks it is.
    blocks : tuple of str
        All that hold atoms.
    remarks : tuple of str
        What a person should know: contradictions in the file and choices that were made.
    """

    atoms: Atoms
    block: str
    blocks: tuple[str, ...]
    remarks: tuple[str, ...]


def block_names(path: Path) -> tuple[str, ...]:
    """List the blocks of a CIF that hold atoms.

    Raises
    ------
    StructureError
        If the file cannot be read as a CIF.
    """
    return tuple(block.name for block in read_blocks(path) if block.has_atoms)


def read_cif(path: Path, block: str | None = None) -> CifCrystal:
    """Read one structure of a CIF.

    Parameters
    ----------
    path : pathlib.Path
    block : str, optional
        The name of a data block; the first that holds atoms by default.

    Raises
    ------
    StructureError
        If the file breaks the syntax, holds no atoms, no such block, no symmetry or one that cannot be read,
        an occupancy, number or element that cannot be read, or more on a site than fits.
    """
    blocks = [one for one in read_blocks(path) if one.has_atoms]
    if not blocks:
        raise StructureError(f"{path}: the CIF has no atom positions (_atom_site_fract_x); is it cut off?")
    names = tuple(one.name for one in blocks)
    chosen = _chosen(path, blocks, block)
    remarks = []
    if block is None and len(blocks) > 1:
        remarks.append(
            f"the file holds {len(blocks)} structures, {', '.join(names[:6])}"
            f"{' and more' if len(names) > 6 else ''}; {chosen.name} was read; "
            "--block, or the list in the desk, takes another"
        )
    cell = _cell(chosen)
    check_cell(cell, path)
    options, said = symmetries(chosen, cell)
    formula = formula_of(chosen)
    rows, left_out = read_rows(chosen, cell, frozenset(formula or ()))
    sites, chose = _decided(chosen, options, rows, cell)
    against = contradiction(chosen, _contents(sites))
    remarks += [*said, *left_out, *chose, *([against] if against else []), *_volume(chosen, cell)]
    return CifCrystal(_atoms(sites, cell), chosen.name, names, tuple(f"{path}: {text}." for text in remarks))


def _chosen(path: Path, blocks: list[Block], name: str | None) -> Block:
    if name is None:
        return blocks[0]
    for fold in (str, str.casefold):
        for block in blocks:
            if fold(block.name) == fold(name):
                return block
    raise StructureError(
        f"{path}: there is no block {name!r} with atoms; there is {', '.join(one.name for one in blocks)}."
    )


def _cell(block: Block) -> NDArray[np.float64]:
    values = []
    for tag in _LENGTHS:
        text = block.text(tag)
        if text is None:
            raise StructureError(f"{block.path}: the CIF has no {tag}; is it cut off?")
        values.append(number(block, tag, text))
    values += [90.0 if (text := block.text(tag)) is None else number(block, tag, text) for tag in _ANGLES]
    lengths, cosines = np.array(values[:3]), np.cos(np.radians(values[3:]))
    # (volume / a b c) squared, International Tables for Crystallography C (2004), 1.1
    share = 1 - float(cosines @ cosines) + 2 * float(np.prod(cosines))
    if (lengths <= 0).any() or share < 1e-6 or not all(0 < angle < 180 for angle in values[3:]):
        shown = ", ".join(f"{value:g}" for value in values)
        raise StructureError(f"{block.path}: no cell has the lengths and angles {shown}; check them.")
    cell: NDArray[np.float64] = cellpar_to_cell(values)
    return cell


def _decided(
    block: Block, options: list[Symmetry], rows: list[Row], cell: NDArray[np.float64]
) -> tuple[AtomSites, list[str]]:
    """Fill the cell; where the name leaves the origin open, the formula of the file decides."""
    filled: list[tuple[Symmetry, AtomSites]] = []
    failed: StructureError | None = None
    for symmetry in options:
        try:
            filled.append((symmetry, fill_cell(block.path, rows, symmetry, cell)))
        except StructureError as error:
            failed = error
    if not filled:
        assert failed is not None
        raise failed
    if len(filled) == 1:
        return filled[0][1], []
    agreeing = [pair for pair in filled if contradiction(block, _contents(pair[1])) is None]
    names = " or ".join(symmetry.name for symmetry in options)
    if formula_of(block) is not None and len(agreeing) == 1:
        symmetry, sites = agreeing[0]
        return sites, [f"it does not say whether {names} is meant; by its formula it is {symmetry.name}"]
    raise StructureError(
        f"{block.path}: it does not say whether {names} is meant, and the atoms differ; write one of them as "
        "its space group, or list the symmetry operators."
    )


def _contents(sites: AtomSites) -> Mapping[int, float]:
    counts: Counter[int] = Counter()
    for content in sites.contents:
        for z, part in content:
            counts[z] += part  # type: ignore[assignment]
    return counts


def _volume(block: Block, cell: NDArray[np.float64]) -> list[str]:
    text = block.text("_cell_volume")
    if text is None:
        return []
    try:
        said = number(block, "_cell_volume", text)
    except StructureError:
        return [f"its _cell_volume is {text!r}, not a number"]
    volume = abs(float(np.linalg.det(cell)))
    if abs(said - volume) <= _VOLUME * volume:
        return []
    return [f"its _cell_volume is {said:g} Å³, but its lengths and angles give {volume:.1f} Å³"]


def _atoms(sites: AtomSites, cell: NDArray[np.float64]) -> Atoms:
    kinds = {content: str(kind) for kind, content in enumerate(dict.fromkeys(sites.contents))}
    atoms = Atoms(
        [content[0][0] for content in sites.contents],
        scaled_positions=sites.fractional,
        cell=cell,
        pbc=True,
    )
    atoms.new_array("spacegroup_kinds", np.array([int(kinds[content]) for content in sites.contents], int))
    atoms.info["occupancy"] = {
        kind: {SYMBOLS[z]: part for z, part in content} for content, kind in kinds.items()
    }
    return atoms
