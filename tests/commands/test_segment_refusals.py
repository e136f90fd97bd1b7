"""One sentence with exit code 2 for what `stemprior segment` cannot do."""

from __future__ import annotations

from pathlib import Path

import pytest
from segment_bench import TOGETHER, FakeSegmenter, one_sentence, run


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--prior", "MoS3"], "did you mean MoS2"),
        (["--prior", "nowhere.cif"], "no such file"),
        (["--prior", "MoS2", "--zone-axis", "000"], "zone axis"),
        (["--prior", "MoS2", "--zone-axis", "sideways"], "zone axis"),
        (["--no-prior", "--zone-axis", "001"], "--zone-axis"),
        (["--prior", "MoS2", "--no-prior"], "not allowed with"),
        ([], "one of the arguments --prior --no-prior is required"),
        (["--prior", "MoS2", "--trust", "1.5"], "--trust"),
        (["--prior", "MoS2", "--trust", "nan"], "--trust"),
        (["--prior", "MoS2", "--pixel-size", "0"], "--pixel-size"),
        (["--prior", "MoS2", "--pixel-size", "-1"], "--pixel-size"),
        (["--prior", "MoS2", "--pixel-size", "inf"], "--pixel-size"),
        (["--prior", "MoS2", "--pixel-size", "big"], "not a number"),
        (["--no-prior", "--pixel-size", "lattice"], "needs a prior"),
        (["--prior", "MoS2", "--inferred", "some"], "--inferred"),
        (["--prior", "MoS2", "--pixel-size", "0.05"], "three unit cells"),
        (["--prior", "MoS2", "--device", "quantum"], "no device"),
        (["--prior", "MoS2", "--model", "none"], "no model"),
        (["--prior", "MoS2", "--shiny"], "--shiny"),
    ],
)
def test_bad_input_gets_one_sentence(
    arguments: list[str],
    says: str,
    fake: type[FakeSegmenter],
    picture: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run("segment", picture, *arguments, "-o", tmp_path / "out") == 2
    assert says in one_sentence(capsys)
    assert fake.asked == []
    assert not (tmp_path / "out").exists()


def test_a_zone_axis_may_begin_with_a_minus(fake: type[FakeSegmenter], picture: Path, tmp_path: Path) -> None:
    for axis in ("-110", "-1,1,0", "[-1 1 0]", "-1 1 0"):
        arguments = ("--prior", "SrTiO3 [001]", "--zone-axis", axis, "--pixel-size", 0.2)
        assert run("segment", picture, *arguments, "-o", tmp_path / "out") == 0
    assert {a["prior"].zone_axis for a in fake.asked} == {"[-110]"}


def test_a_folder_that_cannot_be_written(
    fake: type[FakeSegmenter], picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    taken = tmp_path / "taken"
    taken.write_text("a file")
    for folder in (taken, taken / "below", "/proc/stemprior"):
        assert run("segment", picture, "--prior", "MoS2", "--pixel-size", 0.2, "-o", folder) == 2
        assert "choose another folder" in one_sentence(capsys)
    assert fake.asked == []


def test_one_bad_image_does_not_stop_the_others(
    fake: type[FakeSegmenter], picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"not a picture")
    assert run("segment", bad, picture, "--prior", "MoS2", "--pixel-size", 0.2, "-o", tmp_path / "out") == 2
    why, count = capsys.readouterr().err.splitlines()
    assert why.startswith("stemprior: bad.png")
    assert count.startswith("stemprior: 1 of 2 images failed")
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["flake.csv", *TOGETHER]
