"""Tables of other hands: no value that an atom cannot have, no live cell, names that are no text."""

import csv
import os
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from napari_stemprior.atoms import AtomTable
from napari_stemprior.errors import ExportError
from napari_stemprior.io import FORMATS, export_atoms, read_atoms

IMAGE = np.random.default_rng(0).normal(100, 10, (40, 50)).astype(np.float32)


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("pixel_size_angstrom", "-0.1", "pixel size is -0.1"),
        ("pixel_size_angstrom", "inf", "pixel size is inf"),
        ("pixel_size_angstrom", "nan", "pixel size is nan"),
        ("pixel_size_angstrom", "", "pixel size"),
        ("pixel_size_angstrom", "0", "pixel size is 0"),
        ("x_px", "1e308", "beyond every image"),
        ("x_px", "inf", "not finite"),
        ("y_px", "", "not finite"),
        ("confidence", "90", "confidence 90 lies outside"),
        ("evidence", "inf", "evidence is infinite"),
        ("status", "gone", "'gone' is none of ok"),
        ("layer", "-1", "layer"),
        ("atom_id", "99999999999999999999", "no atom table"),
    ],
)
def test_a_value_that_no_atom_has_is_refused(tmp_path, column, value, said):
    path = export_atoms(AtomTable.from_positions([(3.0, 4.0)], 0.1), tmp_path / "a.csv")
    with path.open() as file:
        (row,) = csv.DictReader(file)
    row[column] = value
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(row))
        writer.writeheader()
        writer.writerow(row)
    with pytest.raises(ExportError, match=said):
        read_atoms(path)


@pytest.mark.parametrize("pixel_size", [-0.1, float("inf"), float("nan"), 0.0])
def test_a_pixel_size_that_is_none_is_refused_from_parquet_and_by_hand(tmp_path, pixel_size):
    good = AtomTable.from_positions([(3.0, 4.0)], 0.1)
    with pytest.raises(ExportError):
        read_atoms(export_atoms(good, tmp_path / "a.csv"), pixel_size)
    bad = AtomTable.from_positions([(3.0, 4e5)], pixel_size)
    with pytest.raises(ExportError):
        read_atoms(export_atoms(bad, tmp_path / "a.parquet"))


def test_a_status_with_a_capital_is_the_status(tmp_path):
    table = AtomTable.from_positions([(3.0, 4.0)] * 3, 0.1, status=["Rejected", " VACANCY", "ok"])
    for name in ("a.csv", "a.parquet"):
        back = read_atoms(export_atoms(table, tmp_path / name))
        assert back.rows["status"].tolist() == ["rejected", "vacancy", "ok"]
        assert len(back.atoms) == 1


@pytest.mark.parametrize("text", ["=1+1", "+cmd", "-2", "@SUM(A1)", "\tx", "'=1", "''-", "plain", "'quoted'"])
def test_no_cell_of_a_csv_is_a_formula_and_the_text_comes_back(tmp_path, text):
    table = AtomTable.from_positions(
        [(-3.5, 4.0)], 0.1, site=text, element=text,
        provenance={"edits": [{"atom_id": 0, "by": text, "at": text, "what": text}]},
    )  # fmt: skip
    path = export_atoms(table, tmp_path / "a.csv")
    with path.open(newline="") as file:
        (row,) = csv.DictReader(file)
    numbers = {name for name in row if name.endswith(("_px", "_angstrom"))}
    assert not [v for name, v in row.items() if name not in numbers and v.startswith(tuple("=+-@\t\r"))]
    assert float(row["y_px"]) == -3.5, "numbers stay numbers"
    back = read_atoms(path)
    assert back.rows[["site", "element"]].iloc[0].tolist() == [text, text]
    points = pd.read_csv(export_atoms(table, tmp_path / "b.csv", key="points"), dtype=str)
    assert not points["site"][0].startswith(tuple("=+-@\t\r"))
    assert points["axis-0"][0] == "-3.5"


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="file names are text there")
@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.key)
def test_names_that_are_not_text_are_written_in_every_format(tmp_path, form):
    odd = os.fsdecode(b"caf\xe9")
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff"))
    table = AtomTable.from_positions(
        [(3.0, 4.0), (9.0, 9.0)], 0.1, status=["ok", "vacancy"],
        provenance={"image": odd, odd: Path(odd), "edits": [{"atom_id": 0, "by": odd}]},
    )  # fmt: skip
    path = export_atoms(table, folder / f"{odd}{form.suffix}", image=IMAGE, name=odd, key=form.key)
    assert path.exists()
    assert [entry.name for entry in folder.iterdir()] == [path.name]
