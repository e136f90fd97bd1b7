"""`stemprior segment` without a prior: the lattice that the image shows is used, said, or left aside."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from napari_stemprior.atoms import UNKNOWN_ELEMENT
from napari_stemprior.commands import main as cli

SAMPLE = Path(__file__).parents[2] / "sample_data" / "simulated_WS2_vacancies_1000e.tif"


def segmented(options: list[str], out: Path, capsys: pytest.CaptureFixture[str]) -> tuple[pd.DataFrame, str]:
    assert cli.main(["segment", str(SAMPLE), "--device", "cpu", *options, "-o", str(out)]) == 0
    said = capsys.readouterr()
    rows = pd.read_csv(out / f"{SAMPLE.stem}.csv", keep_default_na=False)
    return rows, " ".join((said.out + said.err).split())


def test_the_lattice_of_the_image_is_used_and_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows, said = segmented(["--no-prior"], tmp_path / "used", capsys)
    assert "The image itself shows a lattice, 3.1" in said
    assert "with 2 columns in the mean of" in said
    assert set(rows["element"]) == {UNKNOWN_ELEMENT}
    assert set(rows["site"].str[0]) == {"A", "B"}
    alone, quiet = segmented(["--no-prior", "--image-lattice", "ignore"], tmp_path / "ignored", capsys)
    assert "shows a lattice" not in quiet
    assert set(alone["site"]) == {""}
    truth = pd.read_csv(SAMPLE.with_name(f"{SAMPLE.stem}_atoms.csv"))
    assert abs(len(rows) - len(truth)) < abs(len(alone) - len(truth))


def test_it_stands_in_for_a_prior_that_does_not_fit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows, said = segmented(["--prior", "SrTiO3 [001]"], tmp_path / "wrong", capsys)
    assert "does not fit" in said
    assert "The image itself shows a lattice" in said
    assert set(rows["element"]) == {UNKNOWN_ELEMENT}
