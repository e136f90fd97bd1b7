"""From a micrograph and a prior to its atoms: one path for desk, command line and scripts."""

import numpy as np
import pytest

from napari_stemprior.atoms import UNKNOWN_ELEMENT
from napari_stemprior.errors import PixelSizeError
from napari_stemprior.inference import Segmenter
from napari_stemprior.io import read_micrograph
from napari_stemprior.io.micrograph import Micrograph
from napari_stemprior.progress import drain
from napari_stemprior.registration import LatticeFit, Pose
from napari_stemprior.structure import built_in, load_prior
from napari_stemprior.workflow.fit_lattice import fit_lattice
from napari_stemprior.workflow.operations import Operations
from napari_stemprior.workflow.segment import SegmentSettings, segment

SETTINGS = SegmentSettings("small", "cpu")


@pytest.fixture(scope="module")
def micrograph(request):
    folder = request.config.rootpath / "sample_data"
    whole = read_micrograph(folder / "simulated_WS2_vacancies_1000e.tif")
    return Micrograph(whole.image[:160, :160], whole.pixel_size, whole.name)


@pytest.fixture(scope="module")
def operations():
    return Operations()


@pytest.fixture(scope="module")
def whole(micrograph, operations):
    return drain(segment(operations, micrograph, built_in("WS2"), None, SETTINGS))


def test_the_path_finds_what_its_parts_find(micrograph, whole):
    segmenter = Segmenter("small", "cpu")
    segmenter.set_image(micrograph.image, micrograph.pixel_size)
    np.testing.assert_array_equal(segmenter.segment(built_in("WS2")).yx, whole.table.yx)
    assert whole.fit is not None
    assert whole.fit.is_fit
    assert whole.table.provenance["inverted"] is False


def test_a_fit_that_is_known_gives_the_same_atoms_and_is_not_made_again(
    micrograph, operations, whole, monkeypatch
):
    fit = drain(fit_lattice(operations, micrograph, built_in("WS2")))
    monkeypatch.setattr("napari_stemprior.inference.prompt_lattice.fit_lattice_steps", None)
    again = drain(segment(Operations(), micrograph, built_in("WS2"), fit, SETTINGS))
    assert again.fit is fit
    np.testing.assert_array_equal(again.table.yx, whole.table.yx)


def test_a_fit_that_is_none_is_not_used(micrograph, operations):
    alone = drain(segment(operations, micrograph, None, None, SETTINGS))
    candidate = LatticeFit(built_in("WS2"), (Pose.from_angle(3.0, micrograph.pixel_size, score=0.2),))
    refused = drain(segment(operations, micrograph, built_in("WS2"), candidate, SETTINGS))
    assert refused.fit is None
    assert refused.table.provenance["prior_fits"] is False
    # the cell of the image tells where the columns of the prior are, and names none of them
    assert refused.table.provenance["image_lattice"]["prior"] == "WS2"
    assert set(refused.table.rows["element"]) == {UNKNOWN_ELEMENT}
    other = LatticeFit(built_in("Au [100]"), (Pose.from_angle(3.0, micrograph.pixel_size, score=0.2),))
    wrong = drain(segment(operations, micrograph, built_in("Au [100]"), other, SETTINGS))
    np.testing.assert_array_equal(wrong.table.yx, alone.table.yx)


@pytest.mark.parametrize("prior", ["WS2", "MoS2/WS2 twist 3"])
def test_a_pixel_size_is_needed_and_must_suit_the_lattice(micrograph, operations, prior):
    for size in (None, 1.9):
        unknown = Micrograph(micrograph.image, size, "a flake")
        with pytest.raises(PixelSizeError):
            drain(segment(operations, unknown, load_prior(prior), None, SETTINGS))
