"""Structure files that once went wrong, with their right answers; skipped where the folder is not at hand."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from cell_contents import contents

from napari_stemprior.commands.main import main
from napari_stemprior.errors import StructureError
from napari_stemprior.structure import read_structure

FOLDER = Path(__file__).resolve().parents[3] / "shared" / "cases" / "structures"

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="the folder of cases is not there")

#: Atoms in a cell, and what must be said of the file.
READ = {
    "lsmo.cif": ({"La": 0.7, "Sr": 0.3, "Mn": 1, "O": 3}, ""),
    "snse.cif": ({"Sn": 4, "Se": 4}, ""),
    "lafeo3_pbnm.cif": ({"La": 4, "Fe": 4, "O": 12}, ""),
    "vo2_P_1_21_c_1.cif": ({"V": 4, "O": 8}, r"along \[001\]"),
    "diaspore.cif": ({"Al": 4, "O": 8, "H": 4}, ""),
    "spinel.cif": ({"Mg": 8, "Al": 16, "O": 32}, ""),
    "spinel_with_operators_is_right.cif": ({"Mg": 8, "Al": 16, "O": 32}, ""),
    "two_phases.cif": ({"Ba": 1, "Ti": 1, "O": 3}, "2 structures, phase_A, phase_B; phase_A"),
    "mos2_bom.cif": ({"Mo": 2, "S": 4}, ""),
    "mos2_cr.cif": ({"Mo": 2, "S": 4}, ""),
    "gaas_hall_only.cif": ({"Ga": 4, "As": 4}, ""),
    "magnetic_operators.cif": ({"Mn": 2, "O": 2}, ""),
    "nbzr.cif": ({"Nb": 1.6, "Zr": 0.4}, ""),
    "bismuth.cif": ({"Bi": 6}, ""),
    "a@b.cif": ({"Mo": 2, "S": 4}, ""),
}
REFUSED = {
    "POSCAR_long_axis": "axis a is 5000 Å",
    "occ.cif": "occupancy 'full' of Mo1",
    "z.xyz": "atomic number 230",
    "sing.xyz": "lie in a plane",
    "zz.cube": "atomic number 230",
}


def test_every_case_has_its_answer() -> None:
    assert {path.name for path in FOLDER.iterdir()} == READ.keys() | REFUSED.keys()


@pytest.mark.parametrize("name", READ)
def test_what_is_read(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    wanted, remark = READ[name]
    assert contents(FOLDER / name) == pytest.approx(wanted, abs=1e-6)
    assert main(["priors", str(FOLDER / name)]) == 0
    said = capsys.readouterr().err
    assert said.count("\n") == bool(remark)
    assert re.search(remark, said)


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_in_one_sentence(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(StructureError, match=REFUSED[name]):
        read_structure(FOLDER / name)
    assert main(["priors", str(FOLDER / name)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_the_origins_of_a_spinel_are_the_same() -> None:
    named, listed = (read_structure(FOLDER / f) for f in ("spinel.cif", "spinel_with_operators_is_right.cif"))
    assert [c.composition for c in named.columns] == [c.composition for c in listed.columns]
    np.testing.assert_allclose(named.positions, listed.positions, atol=1e-6)


def test_another_phase() -> None:
    prior = read_structure(FOLDER / "two_phases.cif", block="phase_B")
    assert [c.formula for c in prior.columns] == ["MgO"]
    assert prior.name == "two_phases phase_B"
    assert not prior.remarks
