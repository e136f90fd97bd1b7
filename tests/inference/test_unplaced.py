"""What a prior is worth that the image does not show in any place, and what it must not do."""

import numpy as np
import pytest
from scipy.spatial import cKDTree

from napari_stemprior.errors import RegistrationError
from napari_stemprior.inference import Segmenter
from napari_stemprior.inference import segmenter as segmenter_module
from napari_stemprior.optics import PRESETS
from napari_stemprior.optics.noise.noise_chain import NoiseChain
from napari_stemprior.optics.reference import reference_image
from napari_stemprior.registration import Pose
from napari_stemprior.structure import built_in

PIXEL = 0.16
SHAPE = (128, 128)


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    pose = Pose.from_angle(11.0, PIXEL, (3.0, 7.0))
    ideal = reference_image(built_in("MoS2"), PRESETS["80 kV HAADF"], PIXEL, SHAPE, pose)
    return NoiseChain(dose=2e3).apply(ideal, PIXEL, np.random.default_rng(0))


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise RegistrationError("no lattice")

    monkeypatch.setattr(segmenter_module, "fit_lattice", refuse)


@pytest.fixture(scope="module")
def segmenter(image: np.ndarray) -> Segmenter:
    made = Segmenter(device="cpu", refine=False, unplaced=True)
    made.set_image(image, PIXEL)
    return made


def test_the_image_is_not_forgotten(segmenter: Segmenter, refused: None) -> None:
    """A wrong prior without a place takes none of the atoms that the image alone shows."""
    alone = segmenter.segment(None)
    for name in ("Au [100]", "MoS2"):
        found = segmenter.segment(built_in(name))
        assert found.provenance["prior_fits"] is False
        assert found.provenance["prior_unplaced"] is True
        assert (found.rows["element"] == "X").all()
        distance = cKDTree(found.yx).query(alone.yx)[0] * PIXEL
        assert np.mean(distance < 0.6) > 0.95


def test_evidence_is_that_of_the_image_alone(segmenter: Segmenter, refused: None) -> None:
    alone = segmenter.segment(None)
    found = segmenter.segment(built_in("MoS2"))
    distance, nearest = cKDTree(alone.yx).query(found.yx)
    same = distance * PIXEL < 0.1
    assert same.sum() > 20
    there = alone.rows["evidence"].to_numpy()[nearest[same]]
    assert np.median(np.abs(found.rows["evidence"].to_numpy()[same] - there)) < 0.02


def test_no_trust_is_the_image_alone(segmenter: Segmenter, refused: None) -> None:
    found = segmenter.segment(built_in("MoS2"), trust=0.0)
    assert found.provenance["prior_unplaced"] is False
    np.testing.assert_allclose(found.yx, segmenter.segment(None).yx)


def test_a_prior_that_fits_is_placed(image: np.ndarray) -> None:
    segmenter = Segmenter(device="cpu", refine=False, unplaced=True)
    segmenter.set_image(image, PIXEL)
    found = segmenter.segment(built_in("MoS2"))
    assert found.provenance["prior_fits"] is True
    assert found.provenance["prior_unplaced"] is False


def test_networks_that_have_not_learned_to_doubt_are_not_asked() -> None:
    assert Segmenter(device="cpu").unplaced == Segmenter(device="cpu").network.config.surroundings
