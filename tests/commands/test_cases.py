"""Micrographs of the folder of cases, from the file to the atoms; skipped where they are not at hand."""

from pathlib import Path

import pandas as pd
import pytest

from napari_stemprior.commands.main import main

FOLDER = Path(__file__).resolve().parents[2].parent / "shared" / "cases" / "images"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not FOLDER.is_dir(), reason="the folder of cases is not there"),
]


def segmented(name, out, *extra):
    words = ["segment", str(FOLDER / name), "--prior", "SrTiO3 [001]", "--pixel-size", "0.1"]
    assert main([*words, "--device", "cpu", "-o", str(out), *extra]) == 0
    return pd.read_csv(out / f"{Path(name).stem}.csv")


@pytest.mark.parametrize(("name", "share"), [("control.tif", 1.0), ("drift_corrected_20px.tif", 0.89)])
def test_strontium_titanate_also_with_a_border_of_zeros(tmp_path, name, share):
    counts = segmented(name, tmp_path)["element"].value_counts()
    for element, expected in {"O": 174, "Sr": 87, "Ti": 86}.items():
        assert 0.88 * expected * share < counts[element] < 1.05 * expected * share


def test_no_atom_lies_on_a_caption_strip(tmp_path):
    atoms = segmented("strip.png", tmp_path)
    assert len(atoms) > 300
    assert (atoms["y_px"] < 319.5).all()


def test_dark_columns_are_said_and_can_be_inverted(tmp_path, capsys):
    segmented("abf.tif", tmp_path)
    assert "columns look dark" in capsys.readouterr().err
    counts = segmented("abf.tif", tmp_path, "--invert")["element"].value_counts()
    assert counts["Sr"] > 70
    assert counts["Ti"] > 70
