"""Files, folders and patterns become one list of images; every output has a name of its own."""

import os
from pathlib import Path

import numpy as np
import pytest

from napari_stemprior.atoms import AtomTable
from napari_stemprior.errors import MicrographError
from napari_stemprior.io import export_atoms
from napari_stemprior.workflow.image_sources import image_files
from napari_stemprior.workflow.output_names import OutputNames

NAMES = ["frame10.tif", "frame2.tif", "a.DM4", "notes.txt", ".hidden.tif", "s.emi", "s_1.ser", "s_2.ser"]


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "in"
    (made / "deep.tif").mkdir(parents=True)
    (made / "deep.tif" / "below.tif").touch()
    for name in NAMES:
        (made / name).touch()
    return made


def test_a_folder_gives_its_images_in_natural_order(folder):
    names = [path.name for path in image_files([folder])]
    assert names == ["a.DM4", "frame2.tif", "frame10.tif", "s_1.ser", "s_2.ser"]


def test_a_pattern_gives_what_it_matches_and_a_named_file_is_taken_as_it_is(folder):
    found = image_files([folder / "frame*.tif", folder / "s.emi", folder / "none.tif", folder / "frame2.tif"])
    assert [path.name for path in found] == ["frame2.tif", "frame10.tif", "s.emi", "none.tif"]
    assert [path.name for path in image_files([folder / "**" / "b*.tif"])] == ["below.tif"]


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(folder):
    odd = folder / "frame[2].tif"
    odd.touch()
    assert image_files([odd]) == [odd]


def test_one_file_is_one_image_however_often_it_is_named(folder, monkeypatch):
    monkeypatch.chdir(folder)
    found = image_files([Path("frame2.tif"), folder / "frame2.tif", Path("frame*.tif")])
    assert [os.path.abspath(path) for path in found] == [str(folder / f"frame{n}.tif") for n in (2, 10)]


def test_what_was_written_into_the_folder_of_the_images_is_no_image(folder):
    table = AtomTable.from_positions([(10.0, 12.0)], 0.1)
    export_atoms(table, folder / "mask.tif", image=np.ones((32, 32), np.float32), key="mask")
    names = [path.name for path in image_files([folder], folder)]
    assert "mask.tif" not in names
    assert "frame2.tif" in names
    assert "mask.tif" in [path.name for path in image_files([folder])]


@pytest.mark.parametrize("what", ["deep.tif/empty", "none*.tif"])
def test_nothing_found_is_said(folder, what):
    (folder / "deep.tif" / "empty").mkdir()
    with pytest.raises(MicrographError, match="no image"):
        image_files([folder / what])


def test_names_are_numbered_where_they_are_taken():
    images = [Path("a/x.tif"), Path("b/X.tif"), Path("results.tif")]
    names = OutputNames(images, ".csv", ["results.csv", "mask.tif"])
    assert [names.claim(path) for path in images] == [
        ("x.csv", True),
        ("X-2.csv", False),
        ("results-2.csv", False),
    ]
    assert names.claim(Path("mask.png")) == ("mask.csv", True)


def test_a_zarr_folder_is_an_image_and_an_export_beside_it_is_none(folder):
    import zarr

    zarr.create_array(folder / "flake.zarr", shape=(32, 32), dtype="u2")
    table = AtomTable.from_positions([(10.0, 12.0)], 0.1)
    export_atoms(table, folder / "atoms.ome.zarr", image=np.eye(32, dtype=np.float32))
    assert image_files([folder / "flake.zarr"]) == [folder / "flake.zarr"]
    names = [path.name for path in image_files([folder], folder)]
    assert "flake.zarr" in names
    assert "atoms.ome.zarr" not in names
    assert image_files([folder / "fl*"]) == [folder / "flake.zarr"]
