"""``stemprior suggest``: its table, its remarks, and one sentence for what it cannot do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

import napari_stemprior.structure
from napari_stemprior.commands import main as cli
from napari_stemprior.commands.suggest import remarks, reservations
from napari_stemprior.registration import Pose, Suggestion
from napari_stemprior.structure import built_in

SAMPLE = Path(__file__).resolve().parents[2] / "sample_data" / "simulated_WS2_vacancies_1000e.tif"
FEW = ("graphene", "WS2", "MoSe2", "SrTiO3 [001]", "Au [110]")


@pytest.fixture(autouse=True)
def _few_priors(monkeypatch):
    monkeypatch.setattr(napari_stemprior.structure, "names", lambda: list(FEW))


def test_the_table_begins_with_the_crystal_of_the_sample(capsys, tmp_path):
    overlay = tmp_path / "overlay.png"
    assert cli.main(["suggest", str(SAMPLE), "--top", "2", "--overlay", str(overlay)]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0].split()[:3] == ["RANK", "NAME", "SCORE"]
    assert out[1].split()[:2] == ["1", "WS2"]
    assert float(out[1].split()[2]) > 0.9
    assert len(out) <= 3
    with Image.open(overlay) as picture:
        pixels = np.asarray(picture)
    assert pixels.shape[:2] == (768, 768)
    coloured = np.ptp(pixels.astype(int), axis=-1) > 30
    assert coloured.mean() > 0.02  # circles in the colours of the elements


def test_a_structure_of_ones_own_takes_part(capsys):
    own = SAMPLE.with_name("MoS2_twisted_bilayer.extxyz")
    image = SAMPLE.with_name("simulated_MoS2_twisted_bilayer_10000e.tif")
    assert cli.main(["suggest", str(image), "--structure", str(own)]) == 0
    assert capsys.readouterr().out.splitlines()[1].split()[1] == "MoS2_twisted_bilayer"


def test_an_image_without_a_lattice_is_one_sentence(capsys, tmp_path):
    path = tmp_path / "noise.tif"
    tifffile.imwrite(path, np.random.default_rng(0).poisson(3, (200, 200)).astype(np.uint16))
    assert cli.main(["suggest", str(path), "--pixel-size", "0.2"]) == 2
    said = capsys.readouterr().err
    assert "none of 5 crystals fits" in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    "wrong", [["--pixel-size", "-1"], ["--top", "0"], ["--structure", "unobtainium"], ["--overlay", "a.jpg"]]
)
def test_bad_options_are_one_sentence(capsys, wrong):
    try:
        code = cli.main(["suggest", str(SAMPLE), *wrong])
    except SystemExit as stop:
        code = stop.code
    said = capsys.readouterr().err
    assert code == 2
    assert "Traceback" not in said
    assert said.count("\n") == 1


def test_ties_and_a_contradicted_pixel_size_are_said():
    pose = Pose.from_angle(0, 0.1, score=0.9)
    fits = [
        Suggestion(n, pose, 0.1, 0.9, 0.9, tie)
        for n, tie in (("Si [110]", 0), ("Ge [110]", 0), ("Au [110]", 1))
    ]
    tied, scale = remarks(fits, 0.108)
    assert "Si [110], Ge [110]" in tied
    assert "Au" not in tied
    assert "0.1 Å/px, not 0.108" in scale
    assert remarks(fits[1:], 0.101) == []


def test_reservations_are_said_by_name():
    clean = Pose.from_angle(0, 0.1, score=0.9)
    doubted = Pose(clean.affine, clean.origin, 0.8, ("It may be another crystal.",))
    fits = [Suggestion(n, pose, 0.1, 0.9) for n, pose in (("WS2", clean), ("MoSe2", doubted))]
    assert reservations(fits) == ["MoSe2 fits with a reservation: It may be another crystal."]


def test_an_image_of_dark_columns_is_inverted(capsys, tmp_path):
    """The table is that of the image with bright columns."""
    with tifffile.TiffFile(SAMPLE) as file:
        image = file.asarray().astype(np.float32)
    path = tmp_path / "dark.tif"
    tifffile.imwrite(path, image.max() + image.min() - image)
    assert cli.main(["suggest", str(path), "--pixel-size", "0.14", "--invert"]) == 0
    line = capsys.readouterr().out.splitlines()[1].split()
    assert line[:2] == ["1", "WS2"]
    assert line[-1] == "clean"


def test_the_priors_of_the_test_are_built_in():
    assert all(built_in(name).name == name for name in FEW)


def test_an_overlay_never_replaces_the_micrograph_nor_a_foreign_picture(capsys, tmp_path):
    image = tmp_path / "flake.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8)).save(image)
    before = image.read_bytes()
    foreign = tmp_path / "foreign.png"
    foreign.write_bytes(before)
    for overlay, more in ((image, ["--overwrite"]), (foreign, [])):
        assert cli.main(["suggest", str(image), "--overlay", str(overlay), *more]) == 2
    assert "is an input" in capsys.readouterr().err
    assert image.read_bytes() == foreign.read_bytes() == before


def test_a_block_belongs_to_a_structure_file(capsys, tmp_path):
    path = tmp_path / "two.cif"
    cell = "_cell_length_a {a}\n_cell_length_b {a}\n_cell_length_c {a}\n" + "".join(
        f"_cell_angle_{n} 90\n" for n in ("alpha", "beta", "gamma")
    )
    rows = (
        "_space_group_name_H-M_alt 'P 1'\nloop_\n_atom_site_label\n_atom_site_fract_x\n_atom_site_fract_y\n"
    )
    rows += "_atom_site_fract_z\nPo1 0 0 0\n"
    path.write_text(
        "".join(f"data_{name}\n{cell.format(a=a)}{rows}\n" for name, a in (("one", 3.3), ("two", 9.9)))
    )
    assert cli.main(["suggest", str(SAMPLE), "--block", "two"]) == 2
    assert cli.main(["suggest", str(SAMPLE), "--structure", str(path), "--block", "three"]) == 2
    said = capsys.readouterr().err
    assert "give --structure FILE" in said
    assert "three" in said
