"""A training pair opens again, with all that a person said, and the desk takes it up."""

from dataclasses import replace

import numpy as np
import pytest
from desk_fakes import PIXEL_SIZE, SHAPE, picture
from napari.layers import Layer
from npe2 import PluginManifest, io_utils

from napari_stemprior.atoms import AtomTable
from napari_stemprior.errors import DatasetError
from napari_stemprior.io import Micrograph, TrainingPair, TrainingPairDataset
from napari_stemprior.qt.layers import pair_layers
from napari_stemprior.qt.layers.atom_layers import of_role, pixel_size_of, region_mask
from napari_stemprior.qt.layers.pair_layers import layers_from_path
from napari_stemprior.qt.readers import get_pair_reader
from napari_stemprior.structure import built_in


@pytest.fixture
def pair():
    atoms = AtomTable.from_positions(
        [(10, 70), (30.5, 20.25), (60, 44)],
        PIXEL_SIZE,
        provenance={"model": "small"},
        atom_id=[4, 7, 9],
        element=["Mo", "S", "Mo"],
        source=["model", "manual", "manual"],
        status=["accepted", "ok", "vacancy"],
    )
    reviewed = np.zeros(SHAPE, bool)
    reviewed[5:40, 10:90] = True
    reviewed[50:70, 30:61] = True
    return TrainingPair(Micrograph(picture(), PIXEL_SIZE, "flake"), atoms, reviewed, built_in("MoS2"))


@pytest.fixture
def folder(pair, tmp_path):
    TrainingPairDataset(tmp_path / "pairs").save(pair)
    return tmp_path / "pairs"


def test_a_folder_opens_through_npe2(folder, npe2pm, pair, tmp_path):
    npe2pm.register(PluginManifest.from_distribution("napari-stemprior"))
    for path in (folder, folder / "dataset.json", next(folder.glob("pairs/*/meta.json"))):
        found = io_utils.read([str(path)], stack=False)
        assert [kind for _, _, kind in found] == ["image", "points", "shapes"]
    np.testing.assert_array_equal(found[0][0], pair.micrograph.image)
    assert get_pair_reader(str(tmp_path)) is None


def test_everything_comes_back(folder, pair):
    image, atoms, region = (Layer.create(*one) for one in layers_from_path(folder))
    assert pixel_size_of(image) == pixel_size_of(atoms) == pytest.approx(PIXEL_SIZE)
    np.testing.assert_array_equal(atoms.data, [(10, 70), (30.5, 20.25), (60, 44)])
    assert atoms.features["status"].tolist() == ["accepted", "ok", "vacancy"]
    assert atoms.features["atom_id"].tolist() == [4, 7, 9]
    np.testing.assert_array_equal(region_mask(region, SHAPE), pair.reviewed)
    assert of_role([atoms, region], "atoms", image) is atoms
    assert of_role([atoms, region], "region", image) is region
    other = Layer.create(*layers_from_path(folder)[0])
    assert of_role([atoms, region], "atoms", other) is None  # of another opening of the same pair


def test_a_wholly_reviewed_pair_has_no_region(pair, tmp_path):
    TrainingPairDataset(tmp_path).save(replace(pair, reviewed=np.ones(SHAPE, bool), prior=None))
    assert [kind for _, _, kind in layers_from_path(tmp_path)] == ["image", "points"]


def test_too_many_pairs_are_not_opened(folder, pair, monkeypatch):
    monkeypatch.setattr(pair_layers, "MOST", 0)
    with pytest.raises(DatasetError, match=r"open the meta\.json"):
        layers_from_path(folder)
    assert len(layers_from_path(next(folder.glob("pairs/*/meta.json")))) == 3


def test_the_desk_takes_up_an_opened_pair(viewer, session, folder, pair):
    first, second = ([Layer.create(*one) for one in layers_from_path(folder)] for _ in range(2))
    for layer in (*first, *second):
        viewer.add_layer(layer)
    for image, atoms, region in (first, second):
        session.choose_image(image)
        assert session.editor.layer is atoms
        assert session.reviewed_region() is region
        assert session.editor.table().rows["atom_id"].tolist() == [4, 7]
        assert session.editor.vacancies().rows["atom_id"].tolist() == [9]
        assert session.editor.provenance["model"] == "small"
    session.set_pixel_size(0.21)
    assert pixel_size_of(second[1]) == pytest.approx(0.21)
    assert pixel_size_of(first[1]) == pytest.approx(PIXEL_SIZE)
    assert session.micrograph().image.tobytes() == pair.micrograph.image.tobytes()
