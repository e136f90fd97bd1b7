"""``--mask`` of the commands that analyse an image; that of `segment` is in `test_segment_mask`."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image

import napari_stemprior.structure
from napari_stemprior.atoms import AtomTable
from napari_stemprior.commands.main import main
from napari_stemprior.io import export_atoms, read_atoms, read_micrograph

SAMPLE = Path(__file__).resolve().parents[2] / "sample_data" / "simulated_WS2_vacancies_1000e.tif"
TRUTH = SAMPLE.with_name("simulated_WS2_vacancies_1000e_atoms.csv")


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


@pytest.fixture
def image(tmp_path) -> Path:
    """Cut a corner of 200 x 240 pixels out of the sample."""
    whole = read_micrograph(SAMPLE)
    tifffile.imwrite(tmp_path / "flake.tif", whole.image[:200, :240])
    return tmp_path / "flake.tif"


@pytest.fixture
def size() -> float:
    return float(read_micrograph(SAMPLE).pixel_size)


@pytest.fixture
def mask(tmp_path) -> Path:
    """Mask the left half."""
    values = np.zeros((200, 240), np.uint8)
    values[:, :120] = 255
    Image.fromarray(values).save(tmp_path / "mask.png")
    return tmp_path / "mask.png"


def test_suggest_looks_at_what_is_not_masked(image, size, mask, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(napari_stemprior.structure, "names", lambda: ["graphene", "WS2", "Au [110]"])
    overlay = tmp_path / "overlay.png"
    arguments = ("suggest", image, "--pixel-size", size, "--mask", mask)
    assert run(*arguments, "--overlay", overlay) == 0
    told = capsys.readouterr()
    assert told.out.splitlines()[1].split()[1] == "WS2"
    assert "The mask (50.0 % of the pixels) left out." in told.err
    coloured = np.ptp(np.asarray(Image.open(overlay)).astype(int), axis=-1) > 30
    half = coloured.shape[1] // 2
    assert not coloured[:, : half - 30].any(), "no column is drawn in the mask"
    assert coloured[:, half:].mean() > 0.02
    before = mask.read_bytes()
    assert run(*arguments, "--overlay", mask, "--overwrite") == 2
    assert mask.read_bytes() == before


def test_measure_leaves_out_what_is_masked(image, size, mask, tmp_path, capsys):
    truth = read_atoms(TRUTH, size)
    inside = ((truth.yx >= 0) & (truth.yx < (199, 239))).all(axis=1)
    export_atoms(AtomTable(truth.rows[inside], size), tmp_path / "flake.csv")
    arguments = ("measure", image, tmp_path / "flake.csv", "--prior", "WS2", "--pixel-size", size)
    options = ("--defects", "--strain", "--figures", "none")
    assert run(*arguments, *options, "-o", tmp_path / "all") == 0
    assert run(*arguments, *options, "--mask", mask, "-o", tmp_path / "part") == 0
    whole, part = (pd.read_csv(tmp_path / name / "flake_columns.csv") for name in ("all", "part"))
    assert whole["x_px"].min() < 60
    assert part["x_px"].min() > 119
    assert len(part) == (whole["x_px"] >= 119.5).sum()
    defects = pd.read_csv(tmp_path / "part" / "flake_defects.csv")
    assert (defects["x_angstrom"] > 119 * size).all(), "empty places in the mask are no vacancies"
    about = [json.loads((tmp_path / name / "flake_results.json").read_text()) for name in ("all", "part")]
    assert [one.get("mask") for one in about] == [None, "mask.png"]


def test_the_whole_series_has_one_mask(image, size, mask, tmp_path, capsys):
    truth = read_atoms(TRUTH, size)
    inside = ((truth.yx >= 0) & (truth.yx < (199, 239))).all(axis=1)
    frames = np.stack([read_micrograph(image, size).image] * 2)
    tifffile.imwrite(tmp_path / "series.tif", frames, photometric="minisblack")
    (tmp_path / "tables").mkdir()
    for number in range(2):
        export_atoms(AtomTable(truth.rows[inside], size), tmp_path / "tables" / f"series_{number:03d}.csv")
    arguments = ("measure", tmp_path / "series.tif", tmp_path / "tables", "--prior", "WS2", "--strain")
    options = ("--pixel-size", size, "--mask", mask, "--figures", "none")
    assert run(*arguments, *options, "-o", tmp_path / "out") == 0
    for number in range(2):
        assert pd.read_csv(tmp_path / "out" / f"series_{number:03d}_columns.csv")["x_px"].min() > 119


@pytest.mark.parametrize("command", ["suggest", "measure"])
@pytest.mark.parametrize(
    ("values", "says"),
    [
        (np.eye(40, dtype=np.uint8), "40 x 40 pixels"),
        (None, "no such file"),
        ("all", "covers the whole image"),
    ],
)
def test_a_mask_that_does_not_suit_is_one_sentence(command, values, says, image, size, tmp_path, capsys):
    if values is not None:
        everything = np.ones((200, 240), np.uint8)
        tifffile.imwrite(tmp_path / "mask.tif", everything if isinstance(values, str) else values)
    export_atoms(AtomTable.from_positions([(30, 150)], size), tmp_path / "flake.csv")
    more = (tmp_path / "flake.csv", "--prior", "WS2", "-o", tmp_path / "out") if command == "measure" else ()
    assert run(command, image, *more, "--pixel-size", size, "--mask", tmp_path / "mask.tif") == 2
    said = capsys.readouterr().err
    assert says in said
    assert said.count("\n") == 1
