"""What a prior is worth that the image does not show in any place, and what it must not do."""

from collections.abc import Generator

import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree

from napari_stemprior.inference import Segmenter
from napari_stemprior.inference import segmenter as segmenter_module
from napari_stemprior.inference.tiles import Answer
from napari_stemprior.inference.unplaced import agrees, hinted_probability, spacings_are_seen
from napari_stemprior.optics import PRESETS
from napari_stemprior.optics.noise.noise_chain import NoiseChain
from napari_stemprior.optics.reference import reference_image
from napari_stemprior.progress import Progress
from napari_stemprior.registration import Pose
from napari_stemprior.structure import built_in, load_prior

PIXEL = 0.16
SHAPE = (128, 128)


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    pose = Pose.from_angle(11.0, PIXEL, (3.0, 7.0))
    ideal = reference_image(built_in("MoS2"), PRESETS["80 kV HAADF"], PIXEL, SHAPE, pose)
    return NoiseChain(dose=2e3).apply(ideal, PIXEL, np.random.default_rng(0))


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def placed_nowhere(*arguments: object) -> Generator[Progress, None, None]:
        yield from ()

    monkeypatch.setattr(segmenter_module, "prompt_lattice", placed_nowhere)


@pytest.fixture(scope="module")
def segmenter(image: np.ndarray) -> Segmenter:
    made = Segmenter(device="cpu", refine=False)
    made.set_image(image, PIXEL)
    return made


def test_the_image_is_not_forgotten(segmenter: Segmenter, refused: None) -> None:
    """A prior without a place takes none of the atoms that the image alone shows, and names none."""
    alone = segmenter.segment(None)
    for name in ("Au [100]", "MoS2"):
        found = segmenter.segment(built_in(name))
        assert found.provenance["prior_fits"] is False
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
    segmenter = Segmenter(device="cpu", refine=False)
    segmenter.set_image(image, PIXEL)
    found = segmenter.segment(built_in("MoS2"))
    assert found.provenance["prior_fits"] is True
    assert found.provenance["prior_unplaced"] is False


def test_a_prior_counts_where_the_network_sees_more_with_it() -> None:
    prior = built_in("ReS2")
    ideal = reference_image(
        prior, PRESETS["80 kV HAADF"], PIXEL, SHAPE, Pose.from_angle(11.0, PIXEL, (3.0, 7.0))
    )
    segmenter = Segmenter(device="cpu", refine=False, image_lattice=False)
    segmenter.set_image(NoiseChain(dose=1e3).apply(ideal, PIXEL, np.random.default_rng(0)), PIXEL)
    alone = segmenter.segment(None)
    right = segmenter.segment(prior, place=False)
    assert right.provenance["prior_unplaced"] is True
    assert len(right) > len(alone)
    wrong = segmenter.segment(built_in("Au [100]"), place=False)
    assert wrong.provenance["prior_unplaced"] is False
    np.testing.assert_allclose(wrong.yx, alone.yx)


def test_it_can_be_left_out(image: np.ndarray) -> None:
    segmenter = Segmenter(device="cpu", refine=False, unplaced=False)
    segmenter.set_image(image, PIXEL)
    found = segmenter.segment(built_in("MoS2"), place=False)
    assert found.provenance["prior_unplaced"] is False
    np.testing.assert_allclose(found.yx, segmenter.segment(None).yx)


def test_the_surer_answer_counts() -> None:
    maps = [torch.rand(2, 8, 8, generator=torch.Generator().manual_seed(n)) for n in range(2)]
    first, second = (Answer(p, torch.zeros(2, 8, 8), torch.ones(8, 8), torch.zeros(8, 8)) for p in maps)
    assert agrees(first, second) != agrees(second, first)
    assert not agrees(first, first)
    both = hinted_probability(first, second)
    np.testing.assert_array_equal(both, np.maximum(*(p.numpy() for p in maps)))


def test_only_spacings_that_are_seen_are_believed(image: np.ndarray) -> None:
    assert spacings_are_seen(built_in("MoS2"), image, PIXEL)
    assert spacings_are_seen(load_prior("MoS2/MoS2 twist 7"), image, PIXEL)
    for name in ("Au [100]", "graphene", "MoS2/graphene"):  # the second layer is not there
        assert not spacings_are_seen(load_prior(name), image, PIXEL)
    noise = np.random.default_rng(0).poisson(3.0, SHAPE)
    assert not spacings_are_seen(built_in("MoS2"), noise, PIXEL)
