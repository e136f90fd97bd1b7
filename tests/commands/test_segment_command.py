"""The files that `stemprior segment` writes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from segment_bench import TOGETHER, FakeSegmenter, lattice_image, one_sentence, run, stemprior

from napari_stemprior.registration import Pose
from napari_stemprior.structure import built_in

REQUIRED = [
    "x_px",
    "y_px",
    "x_angstrom",
    "y_angstrom",
    "element",
    "site",
    "layer",
    "confidence",
    "evidence",
]


def test_segment_writes_one_row_a_column(
    fake: type[FakeSegmenter], picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "folder"
    assert run("segment", picture, "--prior", "MoS2", "--pixel-size", 0.2, "--trust", 0.25, "-o", out) == 0
    rows = pd.read_csv(out / "flake.csv")
    assert set(REQUIRED) <= set(rows.columns)
    yx, _ = Pose.from_angle(0, 0.2).columns(built_in("MoS2"), (96, 96))
    assert rows[["y_px", "x_px"]].to_numpy() == pytest.approx(yx, abs=1e-3)
    assert rows["x_angstrom"].to_numpy() == pytest.approx(rows["x_px"].to_numpy() * 0.2, abs=1e-3)
    assert set(rows["element"]) == {"Mo", "S"}
    assert fake.asked == [{"prior": built_in("MoS2"), "trust": 0.25, "pixel_size": 0.2}]
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "")  # quiet in a pipe
    assert [p.name for p in out.iterdir()] == ["flake.csv"]


def test_no_prior(fake: type[FakeSegmenter], picture: Path, tmp_path: Path) -> None:
    assert run("segment", picture, "--no-prior", "--pixel-size", 0.2, "-o", tmp_path / "out") == 0
    assert fake.asked == [{"prior": None, "trust": 1.0, "pixel_size": 0.2}]
    rows = pd.read_csv(tmp_path / "out" / "flake.csv")
    assert rows[["x_px", "y_px"]].to_numpy().tolist() == [[7.5, 3.25]]


def test_a_stack_gives_numbered_files(fake: type[FakeSegmenter], tmp_path: Path) -> None:
    path = tmp_path / "series.tif"
    tifffile.imwrite(path, np.stack([lattice_image(), lattice_image()]))
    assert run("segment", path, "--prior", "MoS2", "--pixel-size", 0.2, "-o", tmp_path / "out") == 0
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        *TOGETHER,
        "series_000.csv",
        "series_001.csv",
    ]


def test_images_of_one_stem_do_not_overwrite_each_other(
    fake: type[FakeSegmenter], picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "b" / "Flake.png"
    third = tmp_path / "flake-2.png"
    other.parent.mkdir()
    for path in (other, third):
        path.write_bytes(picture.read_bytes())
    images = (picture, other, third)
    assert run("segment", *images, "--prior", "MoS2", "--pixel-size", 0.2, "-o", tmp_path / "out") == 0
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "Flake-3.csv",
        "flake-2.csv",
        "flake.csv",
        *TOGETHER,
    ]
    assert "Flake-3.csv" in one_sentence(capsys)


def test_a_real_run_end_to_end(picture: Path, tmp_path: Path) -> None:
    """The shipped network on a clean lattice, through the real program."""
    broken = tmp_path / "broken.png"
    broken.write_bytes(picture.read_bytes()[:60])
    options = ("--prior", "MoS2", "--pixel-size", 0.2, "--device", "cpu", "-o", tmp_path / "out")
    answer = stemprior("segment", picture, broken, *options)
    assert answer.returncode == 2
    assert answer.stdout == ""
    why, count = answer.stderr.splitlines()
    assert why.startswith("stemprior: broken.png")
    assert count.startswith("stemprior: 1 of 2 images failed")
    rows = pd.read_csv(tmp_path / "out" / "flake.csv")
    assert set(REQUIRED) <= set(rows.columns)
    assert set(rows["element"]) == {"Mo", "S"}
    yx, _ = Pose.from_angle(7, 0.2, (3, 5)).columns(built_in("MoS2"), (96, 96))
    inner = yx[((yx > 5) & (yx < 90)).all(axis=1)]
    found = rows[["y_px", "x_px"]].to_numpy()
    distance = np.linalg.norm(inner[:, None] - found[None], axis=-1).min(axis=1)
    assert np.median(distance) * 0.2 < 0.15
    assert (distance * 0.2 < 0.6).mean() > 0.9
