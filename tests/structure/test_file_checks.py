"""Structure files as people have them: what is read, and one sentence for what cannot be."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from ase.build import bulk
from ase.io import write

from napari_stemprior.errors import StructureError
from napari_stemprior.structure import built_in, load_prior, read_structure

RUTILE = """data_TiO2
_cell_length_a 4.5937(2)
_cell_length_b 4.5937(2)
_cell_length_c 2.9587
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_symmetry_space_group_name_H-M 'P 42/m n m'
_symmetry_Int_Tables_number 136
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_occupancy
Ti1 Ti4+ 0 0 0 1
O1 O2- 0.3048(4) 0.3048(4) 0 1
"""
NUMBERED = '1\nLattice="3 0 0 0 3 0 0 0 3" Properties=species:S:1:pos:R:3:Z:I:1\n'
SYMMETRY = "_symmetry_space_group_name_H-M 'P 42/m n m'\n_symmetry_Int_Tables_number 136\n"
MOLYBDENITE = """data_MoS2
_cell_length_a 3.161
_cell_length_b 3.161
_cell_length_c 12.3
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 120
_space_group_IT_number 194
_space_group_name_H-M_alt 'P 63/m m c'
loop_
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
Mo 0.333 0.667 0.25
S 0.333 0.667 0.621
"""


def test_a_cif_with_errors_and_charges_is_rutile(tmp_path: Path) -> None:
    path = tmp_path / "rutile.cif"
    path.write_text(RUTILE)
    prior = read_structure(path, (0, 0, 1))
    assert sorted(c.formula for c in prior.columns) == ["O"] * 4 + ["Ti"] * 2
    assert prior.neighbour_distance == pytest.approx(
        built_in("TiO2 rutile [001]").neighbour_distance, abs=1e-3
    )


@pytest.mark.parametrize("digits", ["0.33", "0.333", "0.3333", "0.333333"])
def test_special_positions_with_few_digits_are_one_atom(digits: str, tmp_path: Path) -> None:
    path = tmp_path / "molybdenite.cif"
    path.write_text(MOLYBDENITE.replace("0.333 0.667", f"{digits} {1 - float(digits):.6f}"))
    prior = read_structure(path, (0, 0, 1))
    assert [c.formula for c in prior.columns] == ["MoS2", "MoS2"]
    assert prior.neighbour_distance == pytest.approx(3.161 / 3**0.5, abs=2e-3)
    side = load_prior(path, (1, 1, 0))  # [11-20]
    assert sorted(c.formula for c in side.columns) == ["Mo", "Mo", "S", "S", "S", "S"]


def test_parts_of_one_site_may_lie_near_each_other(tmp_path: Path) -> None:
    path = tmp_path / "split.cif"
    path.write_text(RUTILE.replace("Ti4+ 0 0 0 1", "Ti4+ 0 0 0.1 0.5"))
    prior = read_structure(path, (0, 0, 1))
    assert sorted(c.formula for c in prior.columns)[-1] == "Ti"  # two halves above one another


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("# a comment\n\n", "empty"),
        (RUTILE.replace(SYMMETRY, ""), "does not say its symmetry"),
        (RUTILE[: RUTILE.index("_atom_site_fract_x")], "no atom positions"),
        (RUTILE.replace("_cell_length_c 2.9587\n", ""), "_cell_length_c"),
        (RUTILE[:-12], "not a readable structure"),
        (RUTILE.replace("P 42/m n m", "Q 42/x").replace("_symmetry_Int_Tables_number 136\n", ""), "Q 42/x"),
        (RUTILE.replace("Ti1 Ti4+", "Qq1 Qq"), "'Qq' is not known"),
        (RUTILE.replace("0.3048(4) 0.3048(4) 0", "0.05 0.05 0"), r"Ti .* and O .* lie 0\.32 Å apart"),
        (RUTILE.replace("2.9587", "1.0"), "axis c is 1 Å"),
        (RUTILE.replace("0.3048(4)", "?"), "not a readable structure"),
        (RUTILE.replace("4.5937(2)", "abc"), "not a readable structure"),
    ],
)
def test_a_bad_cif_gets_one_sentence(content: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.cif"
    path.write_text(content)
    with pytest.raises(StructureError, match=says) as caught:
        read_structure(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert "\n" not in message


def test_too_many_atoms(tmp_path: Path) -> None:
    path = tmp_path / "specimen.extxyz"
    write(path, bulk("Au", cubic=True) * (14, 14, 14))
    with pytest.raises(StructureError, match="10976 atoms"):
        read_structure(path)


def test_an_enormous_file_is_not_even_read(tmp_path: Path) -> None:
    path = tmp_path / "trajectory.extxyz"
    with path.open("wb") as file:
        file.truncate(60_000_000)  # sparse
    with pytest.raises(StructureError, match="60 MB"):
        read_structure(path)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("POSCAR", "S\n1.0\n5000 0 0\n0 4 0\n0 0 4\nSr\n1\nDirect\n0 0 0\n", "axis a is 5000 Å, longer"),
        ("POSCAR", "S\n1.0\n4 0 0\n8 0 0\n0 0 4\nSr\n1\nDirect\n0 0 0\n", "axes of the cell lie in a plane"),
        ("POSCAR", "S\n1.0\n4 0 0\n4 1e-4 0\n0 0 4\nSr\n1\nDirect\n0 0 0\n", "lie in a plane"),
        ("POSCAR", "S\n1.0\n4 0 0\n4 .01 0\n0 0 4\nSr\n1\nDirect\n0 0 0\n", "lie in a plane"),
        ("x.cif", RUTILE.replace("angle_gamma 90", "angle_gamma 0.2"), "lie in a plane"),
        ("POSCAR", "S\n1.0\n4 0 0\n0 4 0\n0 0 nan\nSr\n1\nDirect\n0 0 0\n", "not a finite number"),
        ("POSCAR", "S\n1.0\n4 0 0\n0 4 0\n0 0 4\nSr\n9\nDirect\n0 0 0\n", "not a readable structure"),
        ("flat.xyz", '1\nLattice="3 0 0 6 0 0 0 0 0" pbc="T T F"\nC 0 0 0\n', "are parallel"),
        ("z.xyz", NUMBERED + "C 0 0 0 230\n", "number 230"),
        ("z.xyz", NUMBERED + "C 0 0 0 -3\n", "number -3"),
        ("many.xyz", "99999999999\n\nMo 0 0 0\n", "promises 99999999999 atoms and is cut off"),
        (
            "cell.pdb",
            "CRYST1    5.000    5.000    5.000  90.00  90.00  90.00 P 21 21 21    4\n"
            "ATOM      1   Na MOL     1       0.000   0.000   0.000  1.00  0.00          Na\n",
            "symmetry P 21 21 21 of a PDB file",
        ),
        ("cell.res", "TITL x\nCELL 1 5 5 5 90 90 90\nLATT 1\nSYMM -X, Y, -Z\nSFAC Na\nNa 1 0 0 0\n", "SHELX"),
    ],
)  # fmt: skip
def test_what_would_run_forever_or_lack_atoms(name: str, content: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(StructureError, match=says) as caught:
        read_structure(path)
    assert "\n" not in str(caught.value)


def test_several_configurations_are_said(tmp_path: Path) -> None:
    path = tmp_path / "relaxation.extxyz"
    write(path, [bulk("Au", cubic=True), bulk("Cu", cubic=True)])
    prior = read_structure(path)
    assert [c.formula for c in prior.columns] == ["Cu"]
    assert "2 configurations; the last was read" in prior.remarks[0]
    with pytest.raises(StructureError, match="only a CIF has blocks"):
        read_structure(path, block="1")


def test_indices_too_high_for_any_microscope(tmp_path: Path) -> None:
    path = tmp_path / "rutile.cif"
    path.write_text(RUTILE)
    with pytest.raises(StructureError, match=r"along \[17 3 40\] the columns lie closer"):
        read_structure(path, (17, 3, 40))


def test_a_poscar_whose_scale_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "POSCAR"
    path.write_text("Mo\n1.0\n1 0 0\n0 1 0\n0 0 1\nMo\n1\nDirect\n0 0 0\n")
    with pytest.raises(StructureError, match="POSCAR: the cell axis a is 1 Å"):
        read_structure(path)


def test_no_zone_axis_and_no_twist_through_the_same_door(tmp_path: Path) -> None:
    path = tmp_path / "rutile.cif"
    path.write_text(RUTILE)
    with pytest.raises(StructureError, match=r"rutile\.cif.*\[000\]"):
        load_prior(path, (0, 0, 0))


@pytest.mark.skipif(sys.platform == "win32", reason="there are no named pipes")
def test_a_pipe_is_no_structure_file(tmp_path: Path) -> None:
    path = tmp_path / "pipe.cif"
    os.mkfifo(path)
    with pytest.raises(StructureError, match="no regular file"):
        read_structure(path)
