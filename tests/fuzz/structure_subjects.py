"""Structure files of many formats, damaged."""

from __future__ import annotations

import warnings
from collections import Counter
from pathlib import Path

import numpy as np
from ase.build import bulk, mx2
from mutations import Rng, damaged_file, on_bytes, on_json, on_text
from subjects import Change, Seed, Subject

from napari_stemprior.structure import StructurePrior, load_prior
from napari_stemprior.structure.elements import ATOMIC_NUMBERS

#: Perovskite with operators, two charges of one element on a site, and the formula before the atoms.
_CIF = """\
data_lsmo
_chemical_formula_sum 'La0.7 Mn O3 Sr0.3'
_cell_formula_units_Z 1
_cell_length_a 3.88(2)
_cell_length_b 3.88(2)
_cell_length_c 3.88(2)
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_space_group_name_H-M_alt 'P m -3 m'
loop_
_space_group_symop_operation_xyz
{operators}
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_occupancy
La1 La3+ 0.5 0.5 0.5 0.7
Sr1 Sr2+ 0.5 0.5 0.5 0.3
Mn1 Mn3+ 0 0 0 0.7
Mn2 Mn4+ 0 0 0 0.3
O1 O2- 0.5 0 0 1.0
_exptl_crystal_description
;
 black
;
"""
_P1 = """\
data_one
_cell_length_a 4.05
_cell_length_b 4.05
_cell_length_c 4.05
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_symmetry_space_group_name_H-M 'P 1'
loop_
_atom_site_label
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
Al1 0 0 0
Al2 0.5 0.5 0
Al3 0.5 0 0.5
Al4 0 0.5 0.5

data_two
_cell_length_a 3.6
"""
#: File names of the formats that ASE reads, by the format in which ASE writes them.
_BY_ASE = {
    "POSCAR": "vasp", "a.vasp": "vasp", "a.xyz": "extxyz", "b.extxyz": "extxyz", "a.xsf": "xsf",
    "a.cube": "cube", "a.json": "json", "geometry.in": "aims", "a.gen": "gen", "a.res": "res",
    "a.pdb": "proteindatabank",
    "a.cfg": "cfg", "a.traj": "traj",
}  # fmt: skip
#: What a structure holds in the cell: atoms of each element.
Contents = dict[str, float]
_HARMLESS_CIF = (
    lambda data: b"\xef\xbb\xbf" + data,
    lambda data: data.replace(b"\n", b"\r\n"),
    lambda data: data.replace(b"\n", b"\r"),
    lambda data: b"# a comment with data_ in it\n" + data,
    lambda data: data + b"\n\n# end\n",
    lambda data: data.replace(b"_atom_site_label", b"_ATOM_SITE_LABEL"),
)


def make(folder: Path) -> list[Seed]:
    import gemmi

    warnings.simplefilter("ignore")  # ASE warns of writers that move elsewhere
    operators = "\n".join(f"'{op.triplet()}'" for op in gemmi.SpaceGroup("P m -3 m").operations())
    (folder / "lsmo.cif").write_text(_CIF.format(operators=operators))
    (folder / "short.cif").write_text(_CIF.format(operators="x,y,z"))  # a contradiction, which is said
    (folder / "p1.cif").write_text(_P1)
    aluminium = bulk("Al", cubic=True)
    layer = mx2("MoS2", size=(1, 1, 1), vacuum=6)
    layer.pbc = True
    for name, form in _BY_ASE.items():
        (layer if form in ("vasp", "gen") else aluminium).write(folder / name, format=form)
    return [Seed(path, contents(load_prior(path))) for path in sorted(folder.iterdir())]


def contents(prior: object) -> Contents:
    """Atoms of each element in a repeat, from the columns of a prior."""
    assert isinstance(prior, StructurePrior)
    counts: Counter[str] = Counter()
    for column in prior.columns:
        for symbol, number in column.composition:
            counts[symbol] += number
    return {symbol: round(number, 3) for symbol, number in counts.items()}


def damage(seed: Seed, folder: Path, rng: Rng) -> tuple[Path, Change]:
    def change(data: bytes, rng: Rng, seed: Seed) -> tuple[bytes, Change]:
        if seed.path.suffix == ".traj":
            return on_bytes(data, rng, seed)
        if seed.path.suffix == ".json" and rng.random() < 0.6:
            return on_json(data, rng)
        harmless = _HARMLESS_CIF if seed.path.suffix == ".cif" else ()
        return on_text(data, rng, harmless)

    path, what = damaged_file(seed, folder, rng, change)
    by_name = seed.path.name in ("POSCAR", "geometry.in")  # as which ASE knows these formats
    return path, Change("renamed") if what.kind == "name" and by_name else what


def judge(path: Path, seed: Seed, change: Change) -> str:
    """Read the structure; what it holds must be finite, and the seed's where the change is not in it."""
    prior = load_prior(path)
    if not isinstance(prior, StructurePrior):
        return "no single structure"
    places = np.array([c.position for c in prior.columns])
    heights = np.array([c.height for c in prior.columns])
    if not all(np.isfinite(a).all() for a in (prior.cell, places, heights)):
        return "a position that is not finite"
    if not np.isfinite(prior.period) or abs(np.linalg.det(prior.cell)) < 1e-3:
        return f"a cell that is none: {prior.cell.tolist()} {prior.period}"
    found = contents(prior)
    if unknown := [symbol for symbol in found if symbol not in ATOMIC_NUMBERS]:
        return f"no such element: {unknown}"
    if not all(np.isfinite(n) and n > 0 for n in found.values()):
        return f"counts that are none: {found}"
    if change.harmless and found != seed.expected:
        return f"{found}, not {seed.expected}"
    if change.kind == "cut" and found.keys() != seed.expected.keys() and not prior.remarks:
        return f"cut off, and {found} in place of {seed.expected} without a word"
    return ""


def words(path: Path, seed: Seed, out: Path) -> list[list[str]]:
    return [["priors", f"./{path}" if path.name.startswith("-") else str(path)]]


SUBJECTS = [Subject("structures", make, damage, judge, words, spoken=0.25, weight=3.0)]
