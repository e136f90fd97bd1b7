"""What napari sees of the plugin: readers, writers and samples through npe2."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from desk_fakes import PIXEL_SIZE, add_image
from napari.layers import Points
from npe2 import PluginManifest, io_utils

from napari_stemprior.atoms import AtomTable
from napari_stemprior.io import read_atoms
from napari_stemprior.qt import samples
from napari_stemprior.qt.editing.atom_editor import AtomEditor
from napari_stemprior.qt.layers.atom_layers import new_atoms_layer, pixel_size_of


@pytest.fixture
def plugin(npe2pm):
    manifest = PluginManifest.from_distribution("napari-stemprior")
    npe2pm.register(manifest)
    return npe2pm


@pytest.fixture
def atoms(viewer):
    layer = new_atoms_layer(add_image(viewer), PIXEL_SIZE, 1.0)
    viewer.add_layer(layer)
    editor = AtomEditor(layer, PIXEL_SIZE)
    editor.take_prediction(
        AtomTable.from_positions(
            [(1.5, 2.5), (3, 4), (5, 6)], PIXEL_SIZE, element=["Mo", "S", "S"], provenance={"model": "small"}
        )
    )
    editor.set_status([1], "rejected")
    return layer


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".extxyz"])
def test_an_atoms_layer_is_saved_through_npe2(plugin, atoms, tmp_path, suffix):
    path = tmp_path / f"atoms{suffix}"
    written = io_utils.write(str(path), [atoms.as_layer_data_tuple()], plugin_name="napari-stemprior")
    assert written == [str(path)]
    table = pd.read_csv(path) if suffix == ".csv" else None
    if table is not None:
        np.testing.assert_allclose(table["x_angstrom"], [2.5 * PIXEL_SIZE, 6 * PIXEL_SIZE])
        assert table["element"].tolist() == ["Mo", "S"]
    if suffix == ".parquet":
        back = read_atoms(path)
        assert back.pixel_size == pytest.approx(PIXEL_SIZE)
        assert back.provenance["model"] == "small"
        assert back.rows["atom_id"].tolist() == [0, 2]


def test_a_microscope_file_is_ours_and_a_picture_is_not(plugin):
    ours = [r.command for r in plugin.iter_compatible_readers("scan.dm3")]
    assert ours == ["napari-stemprior.get_reader"]
    assert not list(plugin.iter_compatible_readers("photo.tif"))


@pytest.mark.parametrize("key", sorted(samples.FILES))
def test_every_sample_opens_in_angstrom(plugin, viewer, key):
    contribution = next(c for _, cs in plugin.iter_sample_data() for c in cs if c.key == key)
    (data, meta, kind), *rest = contribution.exec()
    assert kind == "image"
    assert not rest
    layer = viewer._add_layer_from_data(data, meta, kind)[0]
    assert 0.05 < pixel_size_of(layer) < 0.5


def test_every_sample_file_is_in_the_manifest(plugin):
    keys = {c.key for _, cs in plugin.iter_sample_data() for c in cs}
    assert keys == set(samples.FILES)


def test_a_microscope_file_opens_through_the_reader(plugin):
    path = samples.sample_folder() / samples.FILES["mos2"]
    (data, meta, kind), *_ = io_utils.read([str(path)], stack=False)
    assert kind == "image"
    assert meta["units"] == ("angstrom", "angstrom")
    assert data.shape == (1024, 1024)


def test_atoms_saved_by_napari_itself_are_taken_up_again(viewer, atoms):
    """A layer that went through napari's own table keeps the rows."""
    data, meta, _ = atoms.as_layer_data_tuple()
    again = Points(data, features=meta["features"], scale=meta["scale"], units=meta["units"])
    editor = AtomEditor(again, PIXEL_SIZE)
    assert editor.rows["status"].tolist() == ["ok", "rejected", "ok"]


def test_the_readme_calls_steps_and_buttons_by_their_names() -> None:
    root = Path(__file__).parents[2]
    part = (root / "README.md").read_text(encoding="utf-8").split("## In napari")[1].split("## In Python")[0]
    names = set(re.findall(r"\*\*([^*]+)\*\*", part)) | set(
        re.findall(r"^\| (\d [^|]+) \|", part, re.MULTILINE)
    )
    qt = "".join(p.read_text(encoding="utf-8") for p in (root / "src/napari_stemprior/qt").rglob("*.py"))
    assert len(names) > 10
    for name in names - {"?"}:
        assert f'"{name}"' in qt or f'"{name}…"' in qt, name
