"""What `stemprior segment` says of an image and its lattice."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from segment_bench import FakeSegmenter, answer_with, lattice_image, one_sentence, run

import napari_stemprior
import napari_stemprior.registration
from napari_stemprior.atoms import AtomTable
from napari_stemprior.errors import RegistrationError
from napari_stemprior.io import read_atoms
from napari_stemprior.registration import Pose
from napari_stemprior.structure import StructurePrior
from napari_stemprior.workflow import batch


@pytest.mark.parametrize("near", [True, False])
def test_a_prior_that_does_not_fit_is_said(
    near: bool,
    fake: type[FakeSegmenter],
    picture: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fit(image: np.ndarray, prior: StructurePrior, *, guess: float) -> tuple[float, Pose]:
        if not near:
            raise RegistrationError("no lattice")
        return 0.9 * guess, Pose.from_angle(0, 0.9 * guess, score=0.9)

    monkeypatch.setattr(napari_stemprior.registration, "fit_pixel_size", fit)
    assert run("segment", picture, "--prior", "W [111]", "--pixel-size", 0.2, "-o", tmp_path / "out") == 0
    assert "does not fit" in (said := one_sentence(capsys))
    assert ("--pixel-size 0.18" in said) == near
    assert (tmp_path / "out" / "flake.csv").exists()


def test_a_reservation_is_said_and_written(
    fake: type[FakeSegmenter],
    picture: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known = {"prior_fits": True, "reservations": ["Its columns hardly agree.", "It leans."]}
    answer_with(monkeypatch, fake, AtomTable.from_positions([(3, 7)], 0.2, provenance=known))
    options = ("--prior", "MoS2", "--pixel-size", 0.2, "-o", tmp_path / "out")
    assert run("segment", picture, *options) == 0
    assert capsys.readouterr().err.splitlines() == [
        "stemprior: flake: fits with a reservation: Its columns hardly agree.",
        "stemprior: flake: fits with a reservation: It leans.",
    ]
    rows = pd.read_csv(tmp_path / "out" / "flake.csv")
    assert rows[["prior_fit", "pixel_size_from"]].to_numpy().tolist() == [["reservation", "given"]]
    assert run("segment", picture, *options, "--format", "parquet") == 0
    provenance = read_atoms(tmp_path / "out" / "flake.parquet").provenance
    assert provenance["reservations"] == known["reservations"]
    assert provenance["inverted"] is False


def test_what_was_set_right_is_said(
    fake: type[FakeSegmenter], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = lattice_image(side=128)
    image[:14] = 0
    path = tmp_path / "framed.png"
    Image.fromarray(image).save(path)
    assert run("segment", path, "--prior", "MoS2", "--pixel-size", 0.2, "-o", tmp_path / "out") == 0
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("stemprior: framed: A border without signal")
    assert all(line.startswith("stemprior: framed: ") for line in lines)


def test_dark_columns_are_said_and_inverted(
    fake: type[FakeSegmenter],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    image = lattice_image("SrTiO3 [001]", side=160)
    path = tmp_path / "abf.png"
    Image.fromarray(255 - image).save(path)
    seen: list[np.ndarray] = []
    before = fake.set_image

    def watched(self: FakeSegmenter, given: np.ndarray, size: float) -> None:
        seen.append(given)
        before(self, given, size)

    monkeypatch.setattr(fake, "set_image", watched)
    options = ("--prior", "SrTiO3 [001]", "--pixel-size", 0.2, "-o", tmp_path / "out")
    assert run("segment", path, *options) == 0
    assert "columns look dark" in (said := one_sentence(capsys))
    assert said.endswith("give --invert.")
    assert run("segment", path, *options, "--invert", "--format", "parquet") == 0
    assert capsys.readouterr().err == ""
    low, high = int(image.min()), int(image.max())
    np.testing.assert_allclose(seen[1], image.astype(float) - low + (255 - high))
    assert read_atoms(tmp_path / "out" / "abf.parquet").provenance["inverted"] is True
    written: list[np.ndarray] = []
    monkeypatch.setattr(batch, "export_atoms", lambda *_, image, **__: written.append(image))
    assert run("segment", path, *options, "--invert") == 0
    np.testing.assert_array_equal(written[0], 255 - image)  # files hold the image as it was recorded


def test_a_lattice_that_fits_the_inverted_image_is_said(
    fake: type[FakeSegmenter],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = tmp_path / "abf.png"
    Image.fromarray(255 - lattice_image("SrTiO3 [001]", side=160)).save(path)
    refused = AtomTable.from_positions([(3, 7)], 0.2, provenance={"prior_fits": False})
    answer_with(monkeypatch, fake, refused)
    options = ("--prior", "SrTiO3 [001]", "--pixel-size", 0.2, "-o", tmp_path / "out")
    assert run("segment", path, *options) == 0
    said = capsys.readouterr().err
    assert "it fits the inverted image" in said
    assert "in place of" not in said


def test_atoms_that_stand_on_the_prior_alone_are_kept_or_dropped(
    fake: type[FakeSegmenter],
    picture: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    table = AtomTable.from_positions(
        [(3, 7), (9, 7)], 0.2, element=["O", "Sr"], source=["lattice", "model"], evidence=[0.0, 0.9]
    )
    answer_with(monkeypatch, fake, table)
    options = ("--prior", "MoS2", "--pixel-size", 0.2, "-o", tmp_path / "out")
    assert run("segment", picture, *options) == 0
    assert "1 O stands on the prior alone" in (said := one_sentence(capsys))
    assert "--inferred drop" in said
    assert pd.read_csv(tmp_path / "out" / "flake.csv")["element"].tolist() == ["O", "Sr"]
    assert run("segment", picture, *options, "--inferred", "drop") == 0
    assert "left out" in one_sentence(capsys)
    assert pd.read_csv(tmp_path / "out" / "flake.csv")["element"].tolist() == ["Sr"]


def test_a_terminal_shows_progress(
    fake: type[FakeSegmenter], picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    assert run("segment", picture, "--prior", "MoS2", "--pixel-size", 0.2, "-o", tmp_path / "out") == 0
    shown = terminal.getvalue()
    assert "flake: predicting" in shown
    assert "1/2" in shown
    assert "atom columns in" in shown.splitlines()[-1]
