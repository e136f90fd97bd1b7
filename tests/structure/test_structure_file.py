"""Structure files, zone axes as people write them, and how a prior is found by name."""

from __future__ import annotations

from pathlib import Path

import pytest
from ase import Atoms
from ase.io import write
from hypothesis import given
from hypothesis import strategies as st

from napari_stemprior.errors import StructureError, UnknownPriorError
from napari_stemprior.structure import (
    built_in,
    format_zone_axis,
    load_prior,
    parse_zone_axis,
    read_structure,
)
from napari_stemprior.structure.library import build_atoms, entries

PARTIAL_CIF = """data_alloy
_symmetry_space_group_name_H-M   'F -4 3 m'
_cell_length_a 5.869
_cell_length_b 5.869
_cell_length_c 5.869
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_occupancy
In1 In 0 0 0 0.53
Ga1 Ga 0 0 0 0.47
As1 As 0.25 0.25 0.25 1
"""


@pytest.mark.parametrize(
    ("text", "uvw"),
    [
        ("001", (0, 0, 1)),
        ("[001]", (0, 0, 1)),
        ("1-10", (1, -1, 0)),
        ("[1 -1 0]", (1, -1, 0)),
        ("1,1,0", (1, 1, 0)),
        (" < 1, 1 ,2 > ", (1, 1, 2)),
        ("-110", (-1, 1, 0)),
        ("[10 -3 0]", (10, -3, 0)),
        ("222", (1, 1, 1)),
        ("\u22121\u221210", (-1, -1, 0)),
        ("[11-20]", (1, 1, 0)),
        ("1-100", (1, -1, 0)),
        ("[0001]", (0, 0, 1)),
        ("[2 -1 -1 0]", (1, 0, 0)),
    ],
)
def test_zone_axes_as_people_write_them(text: str, uvw: tuple[int, int, int]) -> None:
    assert parse_zone_axis(text) == uvw


@given(st.tuples(*[st.integers(-12, 12)] * 3).filter(any))
def test_a_formatted_zone_axis_reads_back(uvw: tuple[int, int, int]) -> None:
    from math import gcd

    divisor = gcd(*uvw)
    primitive = tuple(i // divisor for i in uvw)
    assert parse_zone_axis(format_zone_axis(primitive)) == primitive


@given(st.integers(-5, 5), st.integers(-5, 5), st.integers(-5, 5))
def test_four_indices_name_the_same_direction(u: int, v: int, w: int) -> None:
    """[uvtw] is u a1 + v a2 + t a3 + w c with a3 = -a1 - a2."""
    if not (u or v or w):
        return
    x, y, z = parse_zone_axis(f"{u} {v} {-u - v} {w}")
    t = -u - v
    assert (x * (v - t), x * w, y * w) == ((u - t) * y, (u - t) * z, (v - t) * z)
    assert (x, y, z) == parse_zone_axis(f"{u - t} {v - t} {w}")


@pytest.mark.parametrize(
    "text", ["", "[]", "000", "[0 0 0]", "1", "11", "abc", "1.5 0 1", "11-10", "1 1 0 0 1"]
)
def test_what_is_no_zone_axis(text: str) -> None:
    with pytest.raises(StructureError, match="zone axis"):
        parse_zone_axis(text)


@pytest.mark.parametrize("suffix", ["cif", "vasp", "extxyz"])
def test_a_file_gives_the_same_prior_as_the_library(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"strontium.{suffix}"
    write(path, build_atoms(entries()["SrTiO3 [110]"]))
    prior, expected = read_structure(path, (1, 1, 0)), built_in("SrTiO3 [110]")
    assert (prior.name, prior.zone_axis, prior.source) == ("strontium", "[110]", path.name)
    assert prior.cell == pytest.approx(expected.cell, abs=1e-4)
    assert [c.composition for c in prior.columns] == [c.composition for c in expected.columns]


def test_a_file_without_an_axis_is_taken_as_it_lies(tmp_path: Path) -> None:
    atoms = build_atoms(entries()["MoS2"])
    atoms.rotate(20, "z", rotate_cell=True)
    path = tmp_path / "layer.extxyz"
    write(path, atoms)
    prior = read_structure(path)
    assert prior.zone_axis == "as is"
    assert prior.cell[0] == pytest.approx(atoms.cell[0, :2], abs=1e-6)


def test_poscar_without_suffix(tmp_path: Path) -> None:
    for name in ("POSCAR", "CONTCAR"):
        path = tmp_path / name
        write(path, build_atoms(entries()["NaCl [001]"]), format="vasp")
        assert [c.formula for c in read_structure(path).columns] == ["ClNa"]
        assert name in read_structure(path).name


def test_symmetry_and_partial_occupancy_of_a_cif(tmp_path: Path) -> None:
    path = tmp_path / "InGaAs.cif"
    path.write_text(PARTIAL_CIF)
    prior = load_prior(path, (1, 1, 0))
    assert [c.composition for c in prior.columns] == [(("In", 0.53), ("Ga", 0.47)), (("As", 1.0),)]
    assert prior.neighbour_distance == pytest.approx(5.869 / 4, abs=1e-3)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("empty.cif", "", "empty"),
        ("words.cif", "this is a shopping list\nmilk\n", "not a readable structure"),
        ("cut.cif", PARTIAL_CIF[:150], "no atom positions"),
        ("cut.vasp", "MoS2\n1.0\n3.1 0 0\n", "not a readable structure"),
        ("cut.extxyz", '3\nLattice="3 0 0 0 3 0 0 0 3"\nMo 0 0 0\n', "not a readable structure"),
        ("molecule.xyz", "1\n\nMo 0 0 0\n", "no cell"),
        ("odd.extxyz", '1\nLattice="3 0 0 0 3 0 0 0 3" Properties=species:S:1:pos:R:3\nQq 0 0 0\n', "Qq"),
        ("nopbc.extxyz", '1\nLattice="3 0 0 0 3 0 0 0 3" pbc="F F F"\nMo 0 0 0\n', "not periodic"),
        ("what.qqq", "\x00\x01\x02", "format is not known|not a readable"),
        ("bytes.cif", "\x00\x01\x02", "not a readable structure"),
    ],
)
def test_bad_files_get_one_sentence(name: str, content: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(StructureError, match=says) as caught:
        read_structure(path)
    message = str(caught.value)
    assert name in message
    assert "\n" not in message


def test_binary_rubbish_and_folders(tmp_path: Path) -> None:
    path = tmp_path / "noise.cif"
    path.write_bytes(bytes(range(256)) * 4)
    with pytest.raises(StructureError, match=r"noise\.cif"):
        read_structure(path)
    with pytest.raises(StructureError, match="folder"):
        read_structure(tmp_path)


def test_no_axis_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "gold.extxyz"
    write(path, Atoms("Au", cell=[4, 4, 4], pbc=True))
    with pytest.raises(StructureError, match=r"gold.*\[000\]"):
        read_structure(path, (0, 0, 0))


def test_a_built_in_name_wins_over_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "mos2", build_atoms(entries()["NaCl [001]"]), format="vasp")
    monkeypatch.chdir(tmp_path)
    assert load_prior("mos2") == built_in("MoS2")
    with pytest.raises(StructureError, match="format"):  # the file itself, whose name tells no format
        load_prior("./mos2")


def test_a_path_that_is_not_there_is_said_to_be_a_file() -> None:
    for missing in ("nowhere.cif", "./nowhere", "folder/POSCAR", "~/nowhere.xyz"):
        with pytest.raises(StructureError, match="no such file") as caught:
            load_prior(missing)
        assert not isinstance(caught.value, UnknownPriorError)


@pytest.mark.parametrize(
    ("name", "suggestion"), [("MoS3", "MoS2"), ("grafene", "graphene"), ("SrTiO3", r"SrTiO3 \[001\]")]
)
def test_an_unknown_name_suggests_the_nearest(name: str, suggestion: str) -> None:
    with pytest.raises(UnknownPriorError, match=suggestion):
        load_prior(name)


def test_a_name_like_nothing_points_to_the_list() -> None:
    with pytest.raises(UnknownPriorError, match="stemprior priors"):
        load_prior("qqqqqqqqqqqqqqq")


def test_a_built_in_crystal_along_another_axis() -> None:
    prior = load_prior("SrTiO3 [001]", (1, 1, 0))
    assert prior == built_in("SrTiO3 [110]")
    assert load_prior("SrTiO3", (1, 1, 1)).name == "SrTiO3 [111]"
    assert load_prior("SrTiO3 [110]", (1, 1, 0)) == built_in("SrTiO3 [110]")
    assert load_prior("srtio3[001]").name == "SrTiO3 [001]"
