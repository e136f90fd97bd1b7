"""``stemprior measure`` of stacks and folders: a table a frame, and what changes from frame to frame."""

import numpy as np
import pandas as pd
import pytest
import tifffile

from napari_stemprior.atoms import AtomTable
from napari_stemprior.commands.main import main
from napari_stemprior.io import export_atoms
from napari_stemprior.optics import Instrument
from napari_stemprior.optics.reference import reference_image
from napari_stemprior.registration import Pose
from napari_stemprior.structure import built_in

_SIZE, _SHAPE = 0.12, (300, 300)
#: Å (x, y) by which each frame has drifted.
_DRIFT = ((0.0, 0.0), (0.4, -0.3), (0.8, -0.6))


@pytest.fixture(scope="module")
def series(tmp_path_factory):
    """A stack of three frames of MoS2 that drifts, and the table of each frame."""
    folder = tmp_path_factory.mktemp("series")
    prior, rng = built_in("MoS2"), np.random.default_rng(0)
    (folder / "atoms").mkdir()
    frames = []
    for number, drift in enumerate(_DRIFT):
        pose = Pose.from_angle(17, _SIZE, np.array([5.0, 5.0]) + np.array(drift[::-1]) / _SIZE)
        clean = reference_image(prior, Instrument(), _SIZE, _SHAPE, pose)
        frames.append(rng.poisson(clean / clean.mean() * 30).astype(np.float32))
        yx, column = pose.columns(prior, _SHAPE)
        atoms = AtomTable.from_positions(yx, _SIZE, element=[prior.columns[i].element for i in column])
        export_atoms(atoms, folder / "atoms" / f"scan_{number:03d}.csv")
    tifffile.imwrite(folder / "scan.tif", np.stack(frames), photometric="minisblack")
    return folder


def _measure(image, atoms, out):
    arguments = ["--prior", "MoS2", "--pixel-size", str(_SIZE), "--defects", "--intensities"]
    return main(["measure", str(image), str(atoms), *arguments, "-o", str(out)])


def test_a_stack_gives_a_table_a_frame_and_the_drift(series, tmp_path):
    assert _measure(series / "scan.tif", series / "atoms", tmp_path) == 0
    table = pd.read_csv(tmp_path / "series.csv")
    assert table["frame"].tolist() == [0, 1, 2]
    assert (table["status"] == "measured").all()
    for number in range(3):
        assert (tmp_path / f"scan_{number:03d}_columns.csv").is_file()
    drift = table[["drift_x_angstrom", "drift_y_angstrom"]].to_numpy()
    np.testing.assert_allclose(drift, _DRIFT, atol=0.02)
    np.testing.assert_allclose(table["lattice_strain_xx"], 0, atol=1e-4)
    assert table["lattice_rotation_degrees"].abs().max() < 0.01
    assert (table["defects_vacancy"] == 0).all()
    assert (tmp_path / "series.png").stat().st_size > 10_000
    assert pd.read_csv(tmp_path / "series_atoms.csv").groupby("track").size().mode()[0] == 3


def test_a_frame_that_cannot_be_measured_does_not_stop_the_others(series, tmp_path, capsys):
    atoms = tmp_path / "atoms"
    atoms.mkdir()
    for number in (0, 2):
        name = f"scan_{number:03d}.csv"
        (atoms / name).write_bytes((series / "atoms" / name).read_bytes())
    out = tmp_path / "out"
    assert _measure(series / "scan.tif", atoms, out) == 2
    table = pd.read_csv(out / "series.csv")
    assert table["status"].tolist() == ["measured", "failed", "measured"]
    assert "scan_001.csv" in table["reason"][1]
    assert np.isnan(table["drift_x_angstrom"][1])
    assert table["drift_x_angstrom"][2] == pytest.approx(0.8, abs=0.02)
    said = capsys.readouterr().err
    assert "1 of 3 frames could not be measured" in said
    assert "Traceback" not in said


def test_a_folder_with_a_broken_image_goes_on(series, tmp_path):
    images, out = tmp_path / "images", tmp_path / "out"
    images.mkdir()
    tifffile.imwrite(images / "scan_000.tif", tifffile.imread(series / "scan.tif")[0])
    (images / "scan_001.tif").write_bytes(b"no image")
    assert _measure(images, series / "atoms", out) == 2
    table = pd.read_csv(out / "series.csv")
    assert table["image"].tolist() == ["scan_000.tif", "scan_001.tif"]
    assert table["status"].tolist() == ["measured", "failed"]


@pytest.mark.parametrize(
    ("image", "atoms", "more", "said"),
    [
        ("", "atoms/scan_000.csv", [], "give the folder of their tables"),
        ("scan.tif", "atoms", ["--frame", "1"], "leave out --frame"),
        ("scan.tif", "", [], "holds no table of these images"),
    ],
)
def test_what_does_not_go_together_is_said(series, tmp_path, capsys, image, atoms, more, said):
    arguments = ["--prior", "MoS2", "--pixel-size", str(_SIZE), "-o", str(tmp_path / "out"), *more]
    assert main(["measure", str(series / image), str(series / atoms), *arguments]) == 2
    assert said in capsys.readouterr().err
