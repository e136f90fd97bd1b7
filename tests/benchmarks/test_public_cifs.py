"""The comparison of public CIFs counts what is read alike and what is refused."""

from __future__ import annotations

from pathlib import Path

from benchmarks.structures.public_cifs import compared, files_below, read_with_gemmi, table

SALT = """data_NaCl
_cell_length_a 5.64
_cell_length_b 5.64
_cell_length_c 5.64
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_space_group_name_H-M_alt 'F m -3 m'
loop_
_atom_site_label
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
Na 0 0 0
Cl 0.5 0.5 0.5
"""


def test_the_table_of_three_files(tmp_path: Path) -> None:
    (tmp_path / "salt.cif").write_text(SALT)
    (tmp_path / "same.cif").write_text(SALT)
    (tmp_path / "cut.cif").write_text(SALT[:60])
    files = files_below([tmp_path])
    assert len(files) == 2, "equal contents count once"
    rows = {path.name: compared(path, {"gemmi": read_with_gemmi}) for path in files}
    assert rows["cut.cif"].verdict == "refused"
    (salt,) = (row for name, row in rows.items() if name != "cut.cif")
    assert salt.verdict == "as gemmi"
    assert salt.ours is not None
    assert salt.ours.formula == "Cl4 Na4"
    assert abs(salt.ours.density - 2.16) < 0.01
    assert "| cut.cif | refused | none | the CIF has no atom positions" in table(list(rows.values()))
