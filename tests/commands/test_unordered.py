"""``stemprior segment`` of an image without order."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from scipy.ndimage import gaussian_filter

from napari_stemprior.commands.main import main


def test_the_few_atoms_that_stand_out_or_all(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(4)
    film = np.zeros((200, 200))
    np.add.at(film, tuple(rng.integers(0, 200, (2, 3000))), 1.0)
    places = np.array([[50, 60], [140, 120]])
    film[tuple(places.T)] += 30
    image = rng.poisson(20 * gaussian_filter(film, 2.5) / 0.075).astype(np.uint16)
    tifffile.imwrite(tmp_path / "film.tif", image)
    found = {}
    for choice in ("few", "all"):
        out = tmp_path / choice
        code = main(
            ["segment", str(tmp_path / "film.tif"), "--no-prior", "--pixel-size", "0.16", "--device", "cpu",
             "--unordered", choice, "-o", str(out)]
        )  # fmt: skip
        assert code == 0
        found[choice] = pd.read_csv(out / "film.csv")
    said = capsys.readouterr().err
    assert "shows no order" in said
    assert len(found["few"]) == 2
    yx = found["few"][["y_px", "x_px"]].to_numpy()
    assert np.abs(np.sort(yx, axis=0) - places).max() < 3
    assert len(found["all"]) > 20
