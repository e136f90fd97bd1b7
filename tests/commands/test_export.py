"""``stemprior export`` writes every format from a saved table."""

import numpy as np
import pytest
import tifffile

from napari_stemprior.atoms import AtomTable
from napari_stemprior.commands.main import main
from napari_stemprior.io import FORMATS, export_atoms


@pytest.fixture
def files(tmp_path):
    image = np.random.default_rng(0).normal(size=(30, 50)).astype(np.float32)
    tifffile.imwrite(tmp_path / "flake.tif", image)
    table = AtomTable.from_positions([(2, 40), (20, 7)], 0.2, element=["Mo", "S"])
    export_atoms(table, tmp_path / "flake.csv")
    return str(tmp_path / "flake.csv"), str(tmp_path / "flake.tif"), tmp_path / "out"


@pytest.mark.parametrize("form", FORMATS, ids=lambda f: f.key)
def test_every_format(form, files):
    atoms, image, out = files
    path = out / f"a{form.suffix}"
    assert main(["export", atoms, "-o", str(path), "--image", image, "--format", form.key]) == 0
    assert path.exists()


def test_what_is_missing_is_said_in_one_sentence(files, capsys):
    atoms, image, out = files
    for arguments, word in (
        ([atoms, "-o", str(out / "a.hspy")], "--image"),
        ([atoms, "-o", str(out / "a.doc")], "give one of"),
        ([atoms, "-o", str(out / "a.csv"), "--format", "coco"], "ends in"),
        (["none.csv", "-o", str(out / "a.cif"), "--image", image], "no such file"),
        ([atoms, "-o", str(out / "a.cif"), "--image", image, "--frame", "3"], "frame 3"),
        ([atoms, "-o", "/dev/null/a.xyz"], "cannot be written"),
    ):
        assert main(["export", *arguments]) == 2
        said = capsys.readouterr().err.strip()
        assert word in said
        assert "\n" not in said
    assert not out.exists()
