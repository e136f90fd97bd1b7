"""``stemprior simulate``: the files it writes, and one sentence for what it cannot do."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_stemprior.commands import main as cli
from napari_stemprior.io import read_micrograph
from napari_stemprior.optics import PRESETS
from napari_stemprior.optics.multislice import engine as multislice
from napari_stemprior.optics.multislice import reference as multislice_reference
from napari_stemprior.optics.multislice import scan_cache
from napari_stemprior.optics.reference import reference_image
from napari_stemprior.registration import Pose
from napari_stemprior.structure import built_in

SMALL = ("--shape", "40x56", "--pixel-size", "0.2")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(scan_cache.FOLDER_VARIABLE, str(tmp_path / "cache"))


def run(*arguments: object) -> int:
    try:
        return cli.main(["simulate", *map(str, arguments)])
    except SystemExit as stop:
        return int(stop.code or 0)


def test_the_file_is_the_reference_and_says_all(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "new" / "ref.tif"
    assert run("MoS2", *SMALL, "--angle", 12, "--defocus=-20", "-o", out) == 0
    assert capsys.readouterr() == ("", "")
    read = read_micrograph(out)
    assert read.pixel_size == pytest.approx(0.2)
    lens = PRESETS["80 kV HAADF"]
    lens = type(lens)(**{**vars(lens), "defocus": -20.0})
    expected = reference_image(built_in("MoS2"), lens, 0.2, (40, 56), Pose.from_angle(12, 0.2, (20, 28)))
    np.testing.assert_array_equal(read.image, expected)
    said = {
        "prior": "MoS2",
        "engine": "fast",
        "values": "fraction of the beam",
        "beam_energy_kev": 80.0,
        "defocus_angstrom": -20.0,
        "angle_degrees": pytest.approx(12.0),
    }
    assert {name: read.metadata[name] for name in said} == said
    with tifffile.TiffFile(out) as tiff:  # for programs that know the resolution tags alone
        pixels, centimetres = tiff.pages.first.tags["XResolution"].value
        assert 1e8 * centimetres / pixels == pytest.approx(0.2, rel=1e-4)


def test_a_dose_gives_counts_under_the_seed(tmp_path: Path) -> None:
    images = []
    for seed in (1, 1, 2):
        path = tmp_path / f"{len(images)}.tif"
        assert run("MoS2", *SMALL, "--dose", 2000, "--seed", seed, "-o", path) == 0
        images.append(read_micrograph(path).image)
    np.testing.assert_array_equal(images[0], images[1])
    assert not np.array_equal(images[0], images[2])
    np.testing.assert_array_equal(images[0], np.round(images[0]))
    assert run("MoS2", *SMALL, "--dose", 2000, "--scan-noise", "-o", tmp_path / "scan.tif") == 0
    assert read_micrograph(tmp_path / "scan.tif").metadata["noise_drift"] == 0.5
    spoiled = tmp_path / "recorded.tif"
    assert run("MoS2", *SMALL, "--dose", 2000, "--recording-artefacts", "-o", spoiled) == 0
    metadata = read_micrograph(spoiled).metadata
    assert metadata["noise_artefacts_saturated_rows"] == 1
    assert metadata["noise_scan_noise_mains"] == 0.05
    assert metadata["noise_drift"] == 0


def test_several_make_a_folder(tmp_path: Path) -> None:
    out = tmp_path / "refs"
    assert run("MoS2", "Si [110]", *SMALL, "--thickness", "20:60:20", "-o", out) == 0
    names = sorted(p.name for p in out.iterdir())
    assert names == ["MoS2.tif", "Si_110_20A.tif", "Si_110_40A.tif", "Si_110_60A.tif"]
    means = [read_micrograph(out / name).image.mean() for name in names[1:]]
    assert means == sorted(means)


def test_a_stack_and_a_montage(tmp_path: Path) -> None:
    assert run("MoS2/WS2 twist 3.1", *SMALL, "-o", tmp_path / "stack.tif") == 0
    both = read_micrograph(tmp_path / "stack.tif").image.mean()
    assert run("MoS2", *SMALL, "-o", tmp_path / "one.tif") == 0
    assert both > 1.8 * read_micrograph(tmp_path / "one.tif").image.mean()
    montage = tmp_path / "montage.tif"
    assert run("Si [110]", "--montage", "--thickness", 20, 40, "--defocus=-40:40:40", "-o", montage) == 0
    assert read_micrograph(montage).image.max() == 1


def test_multislice_and_bright_field(tmp_path: Path) -> None:
    quick = ("--engine", "multislice", "--preview", "--convergence", 20, "--detector", 10, 60)
    assert run("graphene", *SMALL, *quick, "-o", tmp_path / "abf.tif") == 0
    read = read_micrograph(tmp_path / "abf.tif")
    assert read.metadata["quality"] == "preview"
    y, x = np.round(Pose.from_angle(0, 0.2, (20, 28)).to_pixels(built_in("graphene").positions[0])).astype(
        int
    )
    assert read.image[y, x] < read.image.mean()  # atoms are dark in annular bright field


def test_multislice_without_abtem_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "abtem", None)
    assert run("MoS2", "--engine", "multislice", "-o", tmp_path / "a.tif") == 2
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert "needs abTEM" in captured.err
    assert "napari-stemprior[multislice]" in captured.err
    assert run("MoS2", "-o", tmp_path / "a.tif", "--shape", "32x32") == 0, "the fast engine does without"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["Nope"], "no built-in prior"),
        (["MoS2", "--preset", "80 kV ABF"], "multislice"),
        (["MoS2", "--preset", "5 kV"], "no preset"),
        (["MoS2", "--beam-energy", "-3"], "beam energy"),
        (["MoS2", "--detector", "90", "40"], "inner angle below"),
        (["MoS2", "--thickness", "0"], "thickness"),
        (["MoS2", "--thickness", "20:10:5"], "range"),
        (["MoS2", "--scan-noise"], "--dose"),
        (["MoS2", "--recording-artefacts"], "--dose"),
        (["MoS2", "--phonons", "3"], "multislice"),
        (["MoS2", "WS2"], "folder"),
        (["MoS2", "--shape", "3x3"], "shape"),
        (["MoS2", "--zone-axis", "000"], "zone axis"),
        (["MoS2/WS2 twist 3.1", "--engine", "multislice"], "fast engine"),
        (["MoS2/WS2 twist 3.1", "--montage"], "montage"),
        (["MoS2", "--scheduler", "tcp://127.0.0.1:1", "--montage"], "--scheduler"),
    ],
)
def test_bad_input_is_one_sentence(
    arguments: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*arguments, "-o", tmp_path / "a.tif") == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert len(captured.err.strip().splitlines()) == 1
    assert said in captured.err
    assert not (tmp_path / "a.tif").exists()


def test_the_waves_of_a_series_go_through_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    passes = []
    real = multislice.scan_series
    monkeypatch.setattr(
        multislice_reference, "scan_series", lambda *a, **k: passes.append(k["depths"]) or real(*a, **k)
    )
    quick = ("--engine", "multislice", "--preview", "--convergence", 12, "--detector", 20, 50, "--phonons", 1)
    series = (
        "Si [110]",
        *SMALL,
        *quick,
        "--thickness",
        8,
        16,
        "--defocus",
        0,
        30,
        "--seed",
        3,
        "--dose",
        1e9,
    )
    assert run(*series, "-o", tmp_path / "series") == 0
    period = built_in("Si [110]").period
    assert passes == [[2 * period, 4 * period]]
    paths = sorted((tmp_path / "series").iterdir())
    read = [read_micrograph(path) for path in paths]
    assert [r.metadata["thickness_angstrom"] for r in read] == [16, 16, 8, 8]
    assert [r.metadata["seed"] for r in read] == [3] * 4
    assert sorted(r.metadata["noise_seed"] for r in read) == [3, 4, 5, 6]
    assert run("Si [110]", *SMALL, *quick, "--thickness", 16, "--seed", 3, "-o", tmp_path / "one.tif") == 0
    alone = read_micrograph(tmp_path / "one.tif").image.ravel()
    same = next(r for r in read if r.metadata["noise_seed"] == 5)
    assert (same.metadata["thickness_angstrom"], same.metadata["defocus_angstrom"]) == (16, 0)
    assert np.corrcoef(same.image.ravel(), alone)[0, 1] > 0.99


@pytest.fixture
def scheduler() -> Iterator[str]:
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        processes=False, n_workers=1, threads_per_worker=1, dashboard_address=None, protocol="inproc"
    ) as cluster:
        yield cluster.scheduler_address


# the event loop of an in-process cluster closes its sockets after the test looks
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_cluster_gives_the_same_files(scheduler: str, tmp_path: Path) -> None:
    arguments = ("MoS2", "WS2", *SMALL, "--dose", 1000)
    assert run(*arguments, "-o", tmp_path / "here") == 0
    assert run(*arguments, "--scheduler", scheduler, "-o", tmp_path / "there") == 0
    for path in (tmp_path / "here").iterdir():
        np.testing.assert_array_equal(
            read_micrograph(path).image, read_micrograph(tmp_path / "there" / path.name).image
        )


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_what_fails_on_the_cluster_is_one_sentence(
    scheduler: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stack = ("MoS2/WS2 twist 3.1", *SMALL, "--engine", "multislice", "--scheduler", scheduler)
    assert run(*stack, "-o", tmp_path / "a.tif") == 2
    assert "fast engine" in capsys.readouterr().err
