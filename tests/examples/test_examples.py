"""The example of the README and the scripts of ``examples/`` run and give what they promise."""

from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path

import pandas as pd
import pytest
from scipy.spatial import cKDTree

from napari_stemprior.io import TrainingPairDataset, read_atoms

ROOT = Path(__file__).parents[2]
TRUTH = ROOT / "sample_data" / "simulated_WS2_vacancies_1000e"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Run a script of ``examples/`` in an empty folder."""

    def call(name: str, *arguments: str) -> None:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", [name, *arguments])
        runpy.run_path(str(ROOT / "examples" / name), run_name="__main__")

    return call


def test_the_example_of_the_readme_finds_atoms(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)
    names: dict[str, object] = {}
    exec(code, names)
    assert capsys.readouterr().out.startswith("True ()")
    assert len(names["atoms"]) == pytest.approx(len(pd.read_csv(f"{TRUTH}_atoms.csv")), rel=0.05)  # type: ignore[arg-type]


def test_a_micrograph_is_segmented_to_csv(run, tmp_path: Path) -> None:
    run("segment_micrograph.py", "-o", "out.csv")
    table = read_atoms(tmp_path / "out.csv")
    assert table.pixel_size == pytest.approx(0.14)
    truth = pd.read_csv(f"{TRUTH}_atoms.csv")[["y_px", "x_px"]].to_numpy()
    found = cKDTree(table.yx).query(truth)[0] < 0.3 / table.pixel_size
    assert found.mean() > 0.98


def test_vacancies_are_listed_with_a_structure_of_ones_own(run, tmp_path: Path) -> None:
    run("own_structure_vacancies.py", "-o", "empty.csv")
    empty = pd.read_csv(tmp_path / "empty.csv")
    truth = pd.read_csv(f"{TRUTH}_vacancies.csv")
    far = cKDTree(truth[["y_px", "x_px"]].to_numpy()).query(empty[["y_px", "x_px"]].to_numpy())[0]
    heavy = (empty["element"] == "W").to_numpy()
    assert (far[heavy] < 2).all(), "every tungsten that it calls missing is missing"
    assert (far < 2).mean() > 0.75, "some S2 columns of the sample hold one S only and look empty"
    missing = truth[(truth["element"] == "W") & truth["y_px"].between(8, 375) & truth["x_px"].between(8, 375)]
    assert heavy.sum() == len(missing)


def test_corrected_atoms_become_a_training_pair(run, tmp_path: Path) -> None:
    run("training_pair.py", "-o", "pairs")
    (pair,) = TrainingPairDataset(tmp_path / "pairs")
    assert len(pair.atoms) > 500
    assert pair.reviewed.sum() == 256 * 256
    assert pair.provenance["editor"] == "example"
