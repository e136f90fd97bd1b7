"""What CIFs say of symmetry, elements, occupancies and formulas, as programs write it."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from cell_contents import cif_text, contents

from napari_stemprior.errors import StructureError
from napari_stemprior.structure import load_prior, read_structure, structure_blocks
from napari_stemprior.structure.cif import read_cif

CUBE = "4 4 4 90 90 90"
RHOMBOHEDRON = "4.746 4.746 4.746 57.2 57.2 57.2"
SILICON = "5.431 5.431 5.431 90 90 90"
P1 = "_symmetry_space_group_name_H-M 'P 1'"
LABELS = "label fract_x fract_y fract_z"
SYMBOLS = "label type_symbol fract_x fract_y fract_z"
OCCUPIED = SYMBOLS + " occupancy"


def _file(tmp_path: Path, text: str, name: str = "x.cif") -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


# --- symmetry ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cell", "head", "rows", "wanted"),
    [
        # names in the ways that programs write them
        (CUBE, "_symmetry_space_group_name_H-M Fm-3m", "Na 0 0 0\nCl .5 .5 .5", {"Na": 4, "Cl": 4}),
        (CUBE, "_space_group_name_H-M_alt 'F m 3 m'", "Na 0 0 0\nCl .5 .5 .5", {"Na": 4, "Cl": 4}),
        (CUBE, "_space_group_name_H-M_alt 'F 4/m -3 2/m'", "Na 0 0 0\nCl .5 .5 .5", {"Na": 4, "Cl": 4}),
        (CUBE, "_space_group_IT_number 225", "Na 0 0 0\nCl .5 .5 .5", {"Na": 4, "Cl": 4}),
        (CUBE, "_space_group_name_Hall '-F 4 2 3'", "Na 0 0 0\nCl .5 .5 .5", {"Na": 4, "Cl": 4}),
        (SILICON, "_space_group_name_H-M_alt 'F d -3 m :1'", "Si 0 0 0", {"Si": 8}),
        (SILICON, "_space_group_name_H-M_alt 'F d -3 m Z'", "Si .125 .125 .125", {"Si": 8}),
        (SILICON, "_space_group_name_H-M_alt 'F d -3 m S'", "Si 0 0 0", {"Si": 8}),
        (SILICON, "_space_group_name_H-M_alt 'Fd-3m (origin choice 2)'", "Si .125 .125 .125", {"Si": 8}),
        (
            SILICON,
            "_space_group_IT_number 227\n_space_group_IT_coordinate_system_code 2",
            "Si .125 .125 .125",
            {"Si": 8},
        ),
        # the cell tells the axes of a rhombohedral group
        ("4.546 4.546 11.862 90 90 120", "_space_group_IT_number 166", "Bi 0 0 .2339", {"Bi": 6}),
        (RHOMBOHEDRON, "_space_group_IT_number 166", "Bi .2339 .2339 .2339", {"Bi": 2}),
        (RHOMBOHEDRON, "_space_group_name_H-M_alt 'R -3 m R'", "Bi .2339 .2339 .2339", {"Bi": 2}),
        # settings of a monoclinic and an orthorhombic group
        ("5 4 3 90 90 100", "_space_group_name_H-M_alt 'P 1 1 21/b'", "V .2 .2 .2", {"V": 4}),
        ("5.3 5.5 7.6 90 90 90", "_space_group_name_H-M_alt 'P b n m'", "La .99 .03 .25", {"La": 4}),
        (
            "5.3 7.6 5.5 90 90 90",
            "_space_group_IT_number 62\n_space_group_IT_coordinate_system_code abc",
            "La .03 .25 .99",
            {"La": 4},
        ),
        ("5 4 3 90 100 90", "_space_group_name_H-M_alt 'P 2(1)/c'", "V .2 .2 .2", {"V": 4}),
        # operators win over a name that says something else, or something unknown
        (CUBE, "_space_group_name_H-M_alt 'Q 42/x'\n_symmetry_equiv_pos_as_xyz x,y,z", "Na 0 0 0", {"Na": 1}),
        (
            CUBE,
            "_space_group_IT_number 225\nloop_\n_space_group_symop_id\n_space_group_symop_operation_xyz\n"
            "1 X,Y,Z\n2 '1/2 + x, .5+y, z'",
            "Na 0 0 0",
            {"Na": 2},
        ),
        # newer tags, magnetic groups with their centring, fifths
        (CUBE, "_symmetry.space_group_name_H-M 'I m -3 m'", "W 0 0 0", {"W": 2}),
        (
            CUBE,
            "loop_\n_space_group_symop_magn_operation.xyz\n'x,y,z,+1'\n'-x,-y,-z,+1'\n"
            "loop_\n_space_group_symop_magn_centering.xyz\n'x,y,z,+1'\n'x+1/2,y+1/2,z+1/2,-1'",
            "Mn .1 .1 .1",
            {"Mn": 4},
        ),
        (
            "20 4 4 90 90 90",
            "loop_\n_space_group_symop_operation_xyz\nx,y,z\nx+1/5,y,z\nx+2/5,y,z\nx+.6,y,z\nx+0.8,y,z",
            "Na 0 0 0",
            {"Na": 5},
        ),
    ],
)  # fmt: skip
def test_symmetry_is_understood(
    cell: str, head: str, rows: str, wanted: dict[str, float], tmp_path: Path
) -> None:
    assert contents(_file(tmp_path, cif_text(cell, head, rows))) == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("cell", "head", "says"),
    [
        (SILICON, "_space_group_name_H-M_alt 'F d -3 m'", "F d -3 m:1 or F d -3 m:2"),
        (SILICON, "_space_group_IT_number 227", "F d -3 m:1 or F d -3 m:2"),
        (CUBE, "_space_group_name_H-M_alt 'P m -3 m'\n_space_group_IT_number 225", "number 221, not 225"),
        (CUBE, "_space_group_name_H-M_alt 'P m -3 m'\n_space_group_name_Hall '-P 4 2'", "are not the same"),
        (CUBE, "_space_group_name_Hall 'what is this'", "Hall symbol"),
        (CUBE, "_space_group_IT_number 231", "from 1 to 230"),
        ("4 4 5 90 90 90", "_space_group_name_H-M_alt 'P m -3 m'", "does not have the symmetry P m -3 m"),
        ("4 4 5 90 90 90", "loop_\n_symmetry_equiv_pos_as_xyz\nx,y,z\ny,z,x\nz,x,y", "of the operators"),
        (CUBE, "loop_\n_space_group_symop_operation_xyz\nx,y,z\n-y,x,z", "no group"),
        (CUBE, "loop_\n_space_group_symop_operation_xyz\nx,y,z\nx,y", "'x,y' cannot be read"),
        (CUBE, "loop_\n_space_group_symop_operation_xyz\nx,y,z\nx+1/0,y,z", "cannot be read"),
        (CUBE, "loop_\n_space_group_symop_operation_xyz\nx,y,z\na,b,c", "cannot be read"),
        (CUBE, "_space_group_symop_operation_xyz -x,-y,-z", "only symmetry operator"),
        (CUBE, "_space_group_magn.name_BNS 'C_c 2/c'", "magnetic space group C_c 2/c without its operators"),
        (CUBE, "_space_group_symop_ssg_operation_algebraic x1,x2,x3,x4", "modulated"),
        (CUBE, "_space_group_crystal_system cubic", "does not say its symmetry"),
    ],
)  # fmt: skip
def test_symmetry_that_is_not_understood_is_refused(cell: str, head: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(StructureError, match=says) as caught:
        read_structure(_file(tmp_path, cif_text(cell, head, "Si .125 .125 .125")))
    assert "\n" not in str(caught.value)


def test_the_formula_decides_an_origin(tmp_path: Path) -> None:
    head = "_space_group_name_H-M_alt 'F d -3 m'\n_chemical_formula_sum Si\n_cell_formula_units_Z 8"
    for place, choice in (("0 0 0", "F d -3 m:1"), (".125 .125 .125", "F d -3 m:2")):
        crystal = read_cif(_file(tmp_path, cif_text(SILICON, head, f"Si {place}")))
        assert len(crystal.atoms) == 8
        assert crystal.remarks[0].endswith(f"by its formula it is {choice}.")


def test_operators_against_a_name_are_said(tmp_path: Path) -> None:
    head = "_space_group_name_H-M_alt 'F m -3 m'\n_space_group_symop_operation_xyz x,y,z"
    (remark,) = read_cif(_file(tmp_path, cif_text(CUBE, head, "Na 0 0 0"))).remarks
    assert "names F m -3 m, but its operators are those of P 1" in remark


# --- what is on a site ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("columns", "rows", "wanted"),
    [
        (OCCUPIED, "Fe1 Fe2+ 0 0 0 .4\nFe2 Fe3+ 0 0 0 .6", {"Fe": 1}),
        (OCCUPIED, "Fe1 Fe 0 0 0 .\nO O .5 .5 .5 ?", {"Fe": 1, "O": 1}),
        (OCCUPIED, "A Fe 0 0 0 .34\nB Co 0 0 0 .33\nC Ni 1 0 0 .34", {"Fe": 0.34, "Co": 0.33, "Ni": 0.34}),
        (OCCUPIED, "Fe1 Fe 0 0 0 1\nX1 O .5 .5 .5 0", {"Fe": 1}),
        (OCCUPIED, "M1 Nb0.8Zr0.2 0 0 0 0.5", {"Nb": 0.4, "Zr": 0.1}),
        (OCCUPIED, "M1 '0.8Nb + 0.2Zr' 0 0 0 1", {"Nb": 0.8, "Zr": 0.2}),
        (OCCUPIED, "M1 (Nb.8,Zr.2) 0 0 0 1\nV Va .5 .5 .5 1", {"Nb": 0.8, "Zr": 0.2}),
        (SYMBOLS, "a FE 0 0 0\nb Fe+3 .5 0 0\nc O-2 0 .5 0\nd Siv 0 0 .5", {"Fe": 2, "O": 1, "Si": 1}),
        (SYMBOLS, "a D 0 0 0\nb D1- .5 0 0\nc H1+ 0 .5 0", {"H": 3}),
        (SYMBOLS, "a Fe 1/3 2/3 0\nb O 0.5(1) 0 -0.4999(12)", {"Fe": 1, "O": 1}),
        (SYMBOLS, "a Fe 0 0 0\nh H ? ? ?", {"Fe": 1}),
        (LABELS, "MgM1 0 0 0\nOW1 .5 0 0\nSE2 0 .5 0\nOH 0 0 .5", {"Mg": 1, "O": 2, "Se": 1}),
        (LABELS, "mo(1) 0 0 0\nWat1 .5 .5 .5", {"Mo": 1, "O": 1}),
        (LABELS, "Nb0.8Zr0.2 0 0 0\nO1W .5 .5 .5\nC1B 0 .5 .5", {"Nb": 0.8, "Zr": 0.2, "O": 1, "C": 1}),
        ("label Cartn_x Cartn_y Cartn_z", "Fe 0 0 0\nO 2 2 2", {"Fe": 1, "O": 1}),
    ],
)  # fmt: skip
def test_sites(columns: str, rows: str, wanted: dict[str, float], tmp_path: Path) -> None:
    assert contents(_file(tmp_path, cif_text(CUBE, P1, rows, columns))) == pytest.approx(wanted)


def test_the_formula_tells_elements_from_labels(tmp_path: Path) -> None:
    for formula, wanted in (("'C O'", {"C": 1, "O": 1}), ("'Co O'", {"Co": 1, "O": 1})):
        head = f"{P1}\n_chemical_formula_sum {formula}"
        assert contents(_file(tmp_path, cif_text(CUBE, head, "CO1 0 0 0\nO1 .5 .5 .5"))) == wanted


@pytest.mark.parametrize(
    ("columns", "rows", "says"),
    [
        (OCCUPIED, "Mo1 Mo 0 0 0 full", "occupancy 'full' of Mo1"),
        (OCCUPIED, "Mo1 Mo 0 0 0 100", "occupancy '100' of Mo1"),
        (OCCUPIED, "Mo1 Mo 0 0 0 -0.5", "occupancy '-0.5'"),
        (OCCUPIED, "Mo1 Mo 0 0 0 nan", "occupancy 'nan'"),
        (OCCUPIED, "Mo1 Mo 0 0 0 .7\nW1 W 0 0 0 .7", "Mo1 and W1 fill one site 1.40 times"),
        (SYMBOLS, "M1 Al/Si 0 0 0", "'Al/Si' names several elements"),
        (SYMBOLS, "M1 NbZr 0 0 0", "'NbZr' names several elements"),
        (SYMBOLS, "M1 Nb0.8Zr0.8 0 0 0", "add up to more than 1"),
        (SYMBOLS, "M1 Qq 0 0 0", "'Qq' is not known"),
        (SYMBOLS, "Fe1 Fe inf 0 0", "not a number"),
        (SYMBOLS, "Fe1 Fe 1e400 0 0", "not a number"),
        (LABELS, "M1 0 0 0", "'M1' names no known element"),
        (LABELS, "Nb,Zr 0 0 0", "'Nb,Zr' names several elements"),
        (LABELS, "Al/Si1 0 0 0", "'Al/Si1' names several elements"),
        (LABELS, "AlSi1 0 0 0", "'AlSi1' names several elements"),
        (LABELS, "Centre 0 0 0", "'Centre' names no known element"),
        (LABELS, "12 0 0 0", "'12' names no element"),
        ("fract_x fract_y fract_z", "0 0 0", "neither a type symbol nor a label"),
        ("label fract_x fract_y", "Fe 0 0", "_atom_site_fract_z is missing"),
    ],
)  # fmt: skip
def test_sites_that_are_refused(columns: str, rows: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(StructureError, match=says) as caught:
        read_structure(_file(tmp_path, cif_text(CUBE, P1, rows, columns)))
    assert "\n" not in str(caught.value)


def test_a_split_site_stays_split_and_a_rounded_special_position_is_one(tmp_path: Path) -> None:
    head = "_space_group_name_H-M_alt 'P -1'"
    rows = "A Fe {x} 0 0 {share}"
    for x, share, count in ((0.02, 0.5, 1.0), (0.02, 1, 1), (0.003, 0.5, 0.5)):
        path = _file(tmp_path, cif_text(CUBE, head, rows.format(x=x, share=share), OCCUPIED))
        assert contents(path) == pytest.approx({"Fe": count})


# --- formula, cell, blocks --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ("_chemical_formula_sum 'Na Cl'\n_cell_formula_units_Z 4", ""),
        ("_chemical_formula_sum NaCl", ""),
        ("_chemical_formula_sum 'NA CL'", ""),
        ("_chemical_formula_sum 'Na4 Cl4'\n_cell_formula_units_Z 4", ""),  # as drawing programs write it
        ("_chemical_formula_sum 'Na1-x Cl'", ""),
        ("_chemical_formula_sum '(Na0.5)2 Cl'\n_cell_formula_units_Z 4", ""),
        ("_chemical_formula_sum 'Na Cl'\n_cell_formula_units_Z 8", "give Na8 Cl8, but the cell"),
        ("_chemical_formula_sum 'Na2 Cl'", "the formula is Na2 Cl, but the cell"),
        ("_chemical_formula_sum 'K Cl'\n_cell_formula_units_Z 4", "holds Na4 Cl4"),
        ("_cell_volume 100", "its _cell_volume is 100"),
        ("_cell_volume 64.00(3)", ""),
    ],
)
def test_the_formula_is_checked(lines: str, says: str, tmp_path: Path) -> None:
    head = f"_space_group_name_H-M_alt 'F m -3 m'\n{lines}"
    remarks = read_structure(_file(tmp_path, cif_text(CUBE, head, "Na 0 0 0\nCl .5 .5 .5"))).remarks
    assert bool(remarks) == bool(says)
    assert says in " ".join(remarks)


@pytest.mark.parametrize(
    "cell", ["4 4 0 90 90 90", "4 4 -4 90 90 90", "4 4 4 10 20 90", "4 4 4 90 90 0", "4 4 4 60 60 120"]
)
def test_cells_that_cannot_be(cell: str, tmp_path: Path) -> None:
    with pytest.raises(StructureError, match="no cell has the lengths and angles"):
        read_structure(_file(tmp_path, cif_text(cell, P1, "Fe 0 0 0")))


def test_a_tag_given_twice(tmp_path: Path) -> None:
    text = cif_text(CUBE, P1, "Fe 0 0 0").replace("data_x", "data_x\n_cell_length_a 5")
    with pytest.raises(StructureError, match="_cell_length_a is given twice"):
        read_structure(_file(tmp_path, text))
    assert contents(_file(tmp_path, text.replace("length_a 5", "length_a 4"))) == {"Fe": 1}


def test_blocks(tmp_path: Path) -> None:
    text = "data_global\n_journal_year 2001\n" + cif_text(CUBE, P1, "Fe 0 0 0", name="first")
    path = _file(tmp_path, text + cif_text(CUBE, P1, "Co 0 0 0", name="Second"))
    assert structure_blocks(path) == ("first", "Second")
    prior = load_prior(path)
    assert [c.formula for c in prior.columns] == ["Fe"]
    assert "2 structures, first, Second; first was read" in prior.remarks[0]
    assert [c.formula for c in load_prior(path, block="second").columns] == ["Co"]
    with pytest.raises(StructureError, match="no block 'third' with atoms; there is first, Second"):
        load_prior(path, block="third")
    with pytest.raises(StructureError, match="a block belongs to a structure file"):
        load_prior("MoS2", block="first")


@pytest.mark.parametrize(
    "encode",
    [
        lambda text: text.encode("utf-8-sig"),
        lambda text: text.encode("utf-16"),
        lambda text: text.replace("\n", "\r").encode(),
        lambda text: text.replace("\n", "\r\n").encode(),
        lambda text: ("# Müller\n" + text).encode("latin-1"),
        lambda text: text.encode() + b"\x1a",
    ],
)
def test_line_ends_and_encodings(encode, tmp_path: Path) -> None:
    path = tmp_path / "x.cif"
    path.write_bytes(encode(cif_text(CUBE, P1, "Fe 0 0 0")))
    assert contents(path) == {"Fe": 1}


def test_a_name_without_its_quotes(tmp_path: Path) -> None:
    head = "_symmetry_space_group_name_H-M F m -3 m\n_chemical_formula_sum Na Cl"
    assert contents(_file(tmp_path, cif_text(CUBE, head, "Na 0 0 0\nCl .5 .5 .5"))) == {"Na": 4, "Cl": 4}


def test_names_of_files(tmp_path: Path) -> None:
    text = cif_text(CUBE, P1, "Fe 0 0 0")
    for name in ("a@b.cif", "a@1.CIF", "iron.mcif", "iron.txt", "-.cif", "iron [001].cif"):
        assert [c.formula for c in read_structure(_file(tmp_path, text, name)).columns] == ["Fe"]
    packed = tmp_path / "iron.cif.gz"
    packed.write_bytes(gzip.compress(text.encode()))
    assert [c.formula for c in read_structure(packed).columns] == ["Fe"]


def test_a_packed_file_that_is_enormous_or_damaged(tmp_path: Path) -> None:
    path = tmp_path / "bomb.cif.gz"
    path.write_bytes(gzip.compress(b" " * 60_000_000))
    with pytest.raises(StructureError, match="more than 50 MB in the file"):
        read_structure(path)
    path.write_bytes(gzip.compress(b"data_x")[:-9])
    with pytest.raises(StructureError, match="cannot be unpacked"):
        read_structure(path)


@pytest.mark.parametrize("kind", ["alloy", "rattled"])
def test_a_large_cell_takes_seconds(kind: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    grid = np.stack(np.meshgrid(*[np.arange(20)] * 3, indexing="ij"), -1).reshape(-1, 3) / 20
    if kind == "rattled":
        grid += rng.normal(scale=0.002, size=grid.shape)
    symbols = rng.permutation(["Fe", "Co"] * 4000)
    rows = "\n".join(f"{s} {x:.5f} {y:.5f} {z:.5f}" for s, (x, y, z) in zip(symbols, grid, strict=True))
    prior = read_structure(_file(tmp_path, cif_text("50 50 50 90 90 90", P1, rows)))
    assert sum(count for c in prior.columns for _, count in c.composition) == pytest.approx(8000)


def test_too_many_atoms_are_not_even_made(tmp_path: Path) -> None:
    rows = "\n".join(f"Fe {i / 400:.4f} .1 .3" for i in range(300))
    with pytest.raises(StructureError, match="more than 10000 atoms"):
        read_structure(_file(tmp_path, cif_text("900 900 900 90 90 90", "_space_group_IT_number 225", rows)))
