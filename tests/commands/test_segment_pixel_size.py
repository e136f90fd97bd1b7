"""The pixel size that `stemprior segment` takes: given, of the file, or of the lattice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image
from segment_bench import FakeSegmenter, lattice_image, one_sentence, run

import napari_stemprior
import napari_stemprior.registration
from napari_stemprior.errors import RegistrationError
from napari_stemprior.registration import Pose
from napari_stemprior.structure import StructurePrior


def test_no_prior_and_no_pixel_size(
    fake: type[FakeSegmenter], picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("segment", picture, "--no-prior", "-o", tmp_path / "out") == 2
    assert "flake.png" in (said := one_sentence(capsys))
    assert "--pixel-size" in said
    assert not (tmp_path / "out").exists()


def test_the_pixel_size_is_fitted_from_the_lattice_and_said(
    fake: type[FakeSegmenter], picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("segment", picture, "--prior", "MoS2", "-o", tmp_path / "out") == 0
    assert "fitted from the lattice of MoS2" in one_sentence(capsys)
    assert fake.asked[0]["pixel_size"] == pytest.approx(0.2, rel=0.01)


def test_no_lattice_no_pixel_size(
    fake: type[FakeSegmenter], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "noise.png"
    Image.fromarray(np.random.default_rng(1).integers(0, 255, (96, 96), dtype=np.uint8)).save(path)
    assert run("segment", path, "--prior", "SrTiO3 [001]", "-o", tmp_path / "out") == 2
    assert "--pixel-size" in one_sentence(capsys)
    assert fake.asked == []


def test_no_pixel_size_is_looked_for_twice(
    fake: type[FakeSegmenter],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = tmp_path / "flake.tif"
    calibration = {"unit": "nm", "spacing": 0.02}
    frames = np.stack([lattice_image(), 255 - lattice_image()])
    asked: list[float] = []

    def fit(image: np.ndarray, prior: StructurePrior, *, guess: float) -> tuple[float, Pose]:
        asked.append(guess)
        raise RegistrationError("no lattice")

    monkeypatch.setattr(napari_stemprior.registration, "fit_pixel_size", fit)
    options = ("--prior", "W [111]", "--pixel-size", "lattice", "-o", tmp_path / "out")
    for count in (1, 2):
        tifffile.imwrite(
            path, frames[:count], imagej=True, resolution=(1 / 0.02, 1 / 0.02), metadata=calibration
        )
        asked.clear()
        assert run("segment", path, *options) == 0
        said = capsys.readouterr().err
        assert said.count("fits at no pixel size, so the file's 0.2") == 1
        assert said.count("does not fit") == count
        assert asked == pytest.approx([0.2] * count), "a second frame is another image"


def test_the_pixel_size_of_the_lattice_wins_where_it_is_asked_for(
    fake: type[FakeSegmenter], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "flake.tif"  # its file says 7 % too much
    calibration = {"unit": "nm", "spacing": 0.0214}
    tifffile.imwrite(
        path, lattice_image(), imagej=True, resolution=(1 / 0.0214, 1 / 0.0214), metadata=calibration
    )
    options = ("--prior", "MoS2", "-o", tmp_path / "out")
    assert run("segment", path, *options) == 0
    assert run("segment", path, *options, "--pixel-size", "lattice") == 0
    stated, fitted = (answer["pixel_size"] for answer in fake.asked)
    assert stated == pytest.approx(0.214)
    assert fitted == pytest.approx(0.2, rel=0.01)
    assert "in place of the file's 0.214" in one_sentence(capsys)
    rows = pd.read_csv(tmp_path / "out" / "flake.csv")
    assert set(rows["pixel_size_from"]) == {"lattice"}
    np.testing.assert_allclose(rows["x_angstrom"], rows["x_px"] * fitted)


def test_a_lattice_that_tells_no_pixel_size_leaves_that_of_the_file(
    fake: type[FakeSegmenter], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (96, 96), dtype=np.uint8)
    path = tmp_path / "noise.tif"
    tifffile.imwrite(path, noise, imagej=True, resolution=(50, 50), metadata={"unit": "nm"})
    options = ("--prior", "SrTiO3 [001]", "--pixel-size", "lattice", "-o", tmp_path / "out")
    assert run("segment", path, *options) == 0
    assert "the file's 0.2 Å/px is kept" in one_sentence(capsys)
    assert set(pd.read_csv(tmp_path / "out" / "noise.csv")["pixel_size_from"]) == {"file"}
