"""`stemprior segment --mask`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from segment_bench import FakeSegmenter, one_sentence, run

from napari_stemprior.io import read_micrograph


@pytest.fixture
def mask(picture: Path, tmp_path: Path) -> Path:
    values = np.zeros(read_micrograph(picture).image.shape, np.uint8)
    values[:, : values.shape[1] // 2] = 7
    tifffile.imwrite(tmp_path / "mask.tif", values)
    return tmp_path / "mask.tif"


def test_the_network_is_given_the_masked_image(
    fake: type[FakeSegmenter], picture: Path, mask: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("segment", picture, "--prior", "MoS2", "--mask", mask, "-o", tmp_path / "out") == 0
    assert "The mask (50.0 % of the pixels) left out." in capsys.readouterr().err
    assert len(pd.read_csv(tmp_path / "out" / f"{picture.stem}.csv"))


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (np.eye(40, dtype=np.uint8), "the mask is 40 x 40 pixels"),
        (None, "no such file"),
    ],
)
def test_a_mask_of_another_size_or_none_is_one_sentence(
    fake: type[FakeSegmenter],
    picture: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    values: np.ndarray | None,
    says: str,
) -> None:
    if values is not None:
        tifffile.imwrite(tmp_path / "mask.tif", values)
    arguments = ("segment", picture, "--prior", "MoS2", "--mask", tmp_path / "mask.tif")
    assert run(*arguments, "-o", tmp_path / "out") == 2
    assert says in one_sentence(capsys)
    assert fake.asked == []


def test_no_output_replaces_the_mask(
    fake: type[FakeSegmenter], picture: Path, mask: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before, out = mask.read_bytes(), mask.parent / f"{picture.stem}.tif"
    mask.rename(out)
    arguments = ("segment", picture, "--prior", "MoS2", "--mask", out, "--format", "mask", "--overwrite")
    assert run(*arguments, "-o", mask.parent) == 2
    assert out.name in one_sentence(capsys)
    assert out.read_bytes() == before
