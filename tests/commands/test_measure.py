"""``stemprior measure`` from a micrograph and saved atoms to table, numbers, figures and report."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile

from napari_stemprior.atoms import AtomTable
from napari_stemprior.commands.main import main
from napari_stemprior.io import export_atoms
from napari_stemprior.measurement.column_table import MEANINGS
from napari_stemprior.optics import Instrument
from napari_stemprior.optics.reference import reference_image
from napari_stemprior.registration import Pose
from napari_stemprior.structure import built_in


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """An image of MoS2 whose pixels are of 0.12 Å, 8 missing columns, and its atoms."""
    folder = tmp_path_factory.mktemp("measure")
    prior, size, shape = built_in("MoS2"), 0.12, (400, 400)
    pose = Pose.from_angle(17, size, (5, 5))
    clean = reference_image(prior, Instrument(), size, shape, pose)
    rng = np.random.default_rng(0)
    image = rng.poisson(clean / clean.mean() * 30).astype(np.float32)
    yx, column = pose.columns(prior, shape)
    keep = np.ones(len(yx), bool)
    keep[rng.choice(np.flatnonzero(((yx > 20) & (yx < 380)).all(1)), 8, replace=False)] = False
    tifffile.imwrite(folder / "flake.tif", image)
    atoms = AtomTable.from_positions(
        yx[keep] + rng.normal(size=(keep.sum(), 2)) * 0.02 / size,
        size,
        element=[prior.columns[i].element for i in column[keep]],
    )
    export_atoms(atoms, folder / "flake.csv")
    return folder


def test_everything_is_written(files, tmp_path, capsys):
    arguments = [
        str(files / "flake.tif"),
        str(files / "flake.csv"),
        "--prior",
        "MoS2",
        "--pixel-size",
        "0.12",
    ]
    assert main(["measure", *arguments, "-o", str(tmp_path / "out"), "--figures", "png,svg"]) == 0
    names = {path.name for path in (tmp_path / "out").iterdir()}
    for name in ("columns.csv", "columns.parquet", "defects.csv", "results.json", "report.html"):
        assert f"flake_{name}" in names
    for figure in ("strain", "displacements", "defects", "intensities", "scan_errors"):
        assert {f"flake_{figure}.png", f"flake_{figure}.svg"} <= names
    table = pd.read_csv(tmp_path / "out" / "flake_columns.csv")
    assert list(table) == [name for name in MEANINGS if name in table]
    pd.testing.assert_frame_equal(
        table.drop(columns="reason"),
        pd.read_parquet(tmp_path / "out" / "flake_columns.parquet").drop(columns="reason"),
        check_dtype=False,
    )
    text = (tmp_path / "out" / "flake_results.json").read_text()
    results = json.loads(text)
    assert "NaN" not in text
    assert results["defects"]["counts"]["vacancy"] == 8
    cell = np.array(results["reference"]["cells_angstrom"][0])
    np.testing.assert_allclose(np.linalg.norm(cell, axis=1), 3.161, rtol=2e-3)
    page = (tmp_path / "out" / "flake_report.html").read_text()
    assert page.count("data:image/png;base64") >= 5
    assert not re.search(r'(src|href)="http', page)
    assert "Ultramicroscopy" in page
    # a second run replaces its own files
    assert main(["measure", *arguments, "-o", str(tmp_path / "out"), "--figures", "none"]) == 0


def test_only_what_is_asked_for(files, tmp_path):
    arguments = [
        str(files / "flake.tif"),
        str(files / "flake.csv"),
        "--prior",
        "MoS2",
        "--pixel-size",
        "0.12",
    ]
    assert main(["measure", *arguments, "-o", str(tmp_path), "--strain", "--figures", "none"]) == 0
    table = pd.read_csv(tmp_path / "flake_columns.csv")
    assert "strain_xx" in table
    assert "intensity_cell" not in table
    assert not (tmp_path / "flake_defects.csv").exists()
    known = table["strain_xx"].notna()
    assert known.mean() > 0.9
    # an empty field has its reason
    assert table.loc[~known, "reason"].fillna("").astype(str).str.contains("strain|lattice").all()


def test_single_questions(files, tmp_path):
    arguments = ["--prior", "MoS2", "--pixel-size", "0.12", "-o", str(tmp_path), "--profile-width", "3"]
    asked = [
        "--planes", "1,0,Mo", "--profile", "100,50,100,350", "--pick", "3,4", "--pick", "3,4,5",
        "--boundaries",
        "--count-atoms", "S", "--first-count", "2", "--statistics-in", "50,50,300,300", "--tilts", "Mo:S",
    ]  # fmt: skip
    assert main(["measure", str(files / "flake.tif"), str(files / "flake.csv"), *arguments, *asked]) == 0
    results = json.loads((tmp_path / "flake_results.json").read_text())
    # Mo planes (1 0) of a hexagonal lattice are a root of 3 / 2 of its cell apart
    assert results["planes"]["ideal"] == pytest.approx(3.161 * np.sqrt(3) / 2, rel=3e-3)
    assert len(results["picked"]) == 2
    assert len(results["profiles"][0]["value"]) == 301
    assert {row["lattice_site"] for row in results["region_statistics"]} == {"Mo1", "S1"}
    # what cannot be given says why
    assert "one crystal" in results["not_measured"]["boundaries"]
    assert "four S neighbours" in results["not_measured"]["octahedral tilts"]
    assert {"flake_planes.png", "flake_profiles.png"} <= {path.name for path in tmp_path.iterdir()}
    page = (tmp_path / "flake_report.html").read_text()
    for head in ("Planes of Mo1", "Picked atoms", "Counted atoms", "Inside the region", "Not measured"):
        assert f"<h2>{head}</h2>" in page
    assert "strain" not in results
    assert "atom_count" in pd.read_csv(tmp_path / "flake_columns.csv")


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--planes", "0,0"], "is not H,K"),
        (["--pick", "1"], "two or three numbers"),
        (["--profile", "1,2,3"], "corners|start and end"),
        (["--first-count", "0"], "1 or more"),
    ],
)
def test_options_that_are_none_are_refused(files, tmp_path, capsys, more, words):
    arguments = ["--prior", "MoS2", "-o", str(tmp_path / "out")]
    with pytest.raises(SystemExit) as stopped:
        main(["measure", str(files / "flake.tif"), str(files / "flake.csv"), *arguments, *more])
    assert stopped.value.code == 2
    assert re.search(words, capsys.readouterr().err)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--region", "0,0,5,5"], "draw it larger"),
        (["--region", "9000,9000,9900,9900"], "holds 0 atoms"),
        (["--part", "7"], "no part 7 of the lattice"),
        (["--polarisation", "Ti:Sr"], "no site Ti"),
        (["--pixel-size", "0.2"], "pixels of|does not fit|pixel size"),
        (["--frame", "4"], "no frame 4"),
        (["--zone-axis", "x"], "zone axis"),
    ],
)
def test_bad_input_is_one_sentence(files, tmp_path, capsys, more, words):
    arguments = ["--prior", "MoS2", "--pixel-size", "0.12", "-o", str(tmp_path / "out"), "--figures", "none"]
    assert main(["measure", str(files / "flake.tif"), str(files / "flake.csv"), *arguments, *more]) == 2
    said = capsys.readouterr().err.strip()
    assert re.search(words, said)
    assert "\n" not in said
    assert not (tmp_path / "out").exists()


def test_tables_without_atoms_or_with_few(files, tmp_path, capsys):
    for count, words in ((0, "no atoms"), (4, "6 or more")):
        path = tmp_path / f"{count}.csv"
        export_atoms(AtomTable.from_positions(np.arange(2 * count).reshape(-1, 2) + 9.0, 0.12), path)
        arguments = [str(files / "flake.tif"), str(path), "--prior", "MoS2", "--pixel-size", "0.12"]
        assert main(["measure", *arguments, "-o", str(tmp_path / "out")]) == 2
        assert words in capsys.readouterr().err


def test_an_input_is_never_replaced(files, tmp_path, capsys):
    atoms = tmp_path / "flake_columns.csv"
    atoms.write_bytes((files / "flake.csv").read_bytes())
    before = atoms.read_bytes()
    arguments = [str(files / "flake.tif"), str(atoms), "--prior", "MoS2", "--pixel-size", "0.12"]
    assert main(["measure", *arguments, "-o", str(tmp_path), "--overwrite"]) == 2
    assert "is an input" in capsys.readouterr().err
    assert Path(atoms).read_bytes() == before
