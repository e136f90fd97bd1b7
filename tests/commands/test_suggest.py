"""``stemprior suggest``: its table, its remarks, and one sentence for what it cannot do."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from scipy import ndimage

import napari_stemprior.structure
from napari_stemprior.commands import main as cli
from napari_stemprior.commands.suggest import remarks, reservations
from napari_stemprior.io import read_micrographs
from napari_stemprior.optics import Instrument
from napari_stemprior.optics.reference import reference_image
from napari_stemprior.progress import drain
from napari_stemprior.registration import Pose, Suggestion
from napari_stemprior.structure import built_in
from napari_stemprior.workflow.operations import Operations
from napari_stemprior.workflow.suggest import part_of, suggest

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


def two_crystals(path: Path) -> Path:
    """Write an image with graphene on the left and SrTiO3 on the right, 0.1 Å a pixel."""
    rng = np.random.default_rng(0)
    halves = []
    for name, angle in (("graphene", 7.0), ("SrTiO3 [001]", 21.0)):
        prior = built_in(name)
        pose = Pose.from_angle(angle, 0.1, (5.0, 9.0))
        halves.append(reference_image(prior, Instrument(), 0.1, (256, 256), pose))
    image = np.concatenate([half / half.mean() for half in halves], axis=1)
    tifffile.imwrite(path, rng.poisson(60 * image).astype(np.uint16))
    return path


def test_a_part_of_an_image_is_asked(capsys, tmp_path):
    path = two_crystals(tmp_path / "two.tif")
    for region, name in (
        (("0", "0", "255", "255"), "graphene"),
        (("0", "256", "255", "511"), "SrTiO3 [001]"),
    ):
        assert cli.main(["suggest", str(path), "--pixel-size", "0.1", "--region", *region]) == 0
        assert capsys.readouterr().out.splitlines()[1].split("  ")[2].strip() == name, region


def test_the_pose_of_a_part_is_that_of_the_image(tmp_path):
    micrograph = read_micrographs(two_crystals(tmp_path / "two.tif"), 0.1)[0]
    prior = built_in("SrTiO3 [001]")
    part = part_of((256, 512), (0, 300), (255, 511))
    assert part == (slice(0, 256), slice(300, 512))
    found = drain(suggest(Operations(), micrograph, [prior], part=part))[0]
    there = drain(suggest(Operations(), micrograph.cropped(*part), [prior]))[0]
    assert found.pose.origin == pytest.approx(there.pose.moved((0, 300)).origin)
    strong = [i for i, column in enumerate(prior.columns) if column.element == "Sr"]
    yx, index = found.pose.columns(prior, (256, 512), margin=-20)
    places = np.rint(yx[np.isin(index, strong) & (yx[:, 1] > 320)]).astype(int)
    image = ndimage.gaussian_filter(micrograph.image, 3)
    assert np.median(image[places[:, 0], places[:, 1]]) > np.quantile(image[:, 320:], 0.9)


@pytest.mark.parametrize(
    ("region", "said"),
    [
        (("0", "0", "9", "200"), "covers 10 × 201 pixels"),
        (("900", "0", "999", "200"), "covers 0 × 201 pixels"),
        (("100", "0", "0", "200"), "covers 0 × 201 pixels"),
        (("0", "0", "x", "200"), "'x' is not a row or column"),
    ],
)
def test_a_region_that_is_none_is_one_sentence(capsys, region, said):
    try:
        code = cli.main(["suggest", str(SAMPLE), "--region", *region])
    except SystemExit as stop:
        code = stop.code
    error = capsys.readouterr().err
    assert code == 2
    assert said in error
    assert error.count("\n") == 1


def test_a_region_that_shows_nothing_is_one_sentence(capsys, tmp_path):
    image = np.random.default_rng(0).poisson(20, (300, 300)).astype(np.uint16)
    image[:120, :120] = 7
    tifffile.imwrite(tmp_path / "masked.tif", image)
    region = ("0", "0", "99", "99")
    assert (
        cli.main(["suggest", str(tmp_path / "masked.tif"), "--pixel-size", "0.1", "--region", *region]) == 2
    )
    error = capsys.readouterr().err
    assert "has the same value" in error
    assert error.count("\n") == 1


def test_each_image_of_a_folder_has_a_line(capsys, tmp_path):
    two_crystals(tmp_path / "image10.tif")
    shutil.copy(SAMPLE, tmp_path / "image9.tif")
    tifffile.imwrite(
        tmp_path / "noise.tif", np.random.default_rng(0).poisson(3, (200, 200)).astype(np.uint16)
    )
    (tmp_path / "broken.tif").write_bytes(b"II*\0")
    assert cli.main(["suggest", str(tmp_path), "--pixel-size", "0.14"]) == 2
    out, error = capsys.readouterr()
    lines = out.splitlines()
    assert lines[0].split()[:3] == ["IMAGE", "RANK", "NAME"]
    assert lines[1].split()[0] == "image9.tif"
    assert all(line.split()[0] in ("image9.tif", "image10.tif") for line in lines[1:])
    assert "noise.tif: none of 5 crystals fits" in error
    assert "broken.tif" in error
    assert "of 4 images failed" in error.splitlines()[-1]


def test_an_overlay_is_of_one_image(capsys, tmp_path):
    assert cli.main(["suggest", str(SAMPLE.parent), "--overlay", str(tmp_path / "a.png")]) == 2
    assert "--overlay draws one image" in capsys.readouterr().err
