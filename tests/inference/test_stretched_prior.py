"""A right prior whose lattice is refused stands on the cell that the image shows; a wrong one does not."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import cKDTree

from napari_stemprior.atoms import UNKNOWN_ELEMENT, AtomTable
from napari_stemprior.inference import Segmenter
from napari_stemprior.inference.image_lattice import CandidateBases
from napari_stemprior.inference.stretched_prior import find_stretched_prior
from napari_stemprior.optics import PRESETS
from napari_stemprior.optics.noise.noise_chain import NoiseChain
from napari_stemprior.optics.reference import reference_image
from napari_stemprior.progress import drain
from napari_stemprior.recording import PreparedImage, prepare
from napari_stemprior.registration import Pose
from napari_stemprior.structure import built_in, load_prior

PIXEL, SHAPE = 0.16, (300, 320)


def recorded(name: str, dose: float, pixel_size: float = PIXEL) -> tuple[np.ndarray, np.ndarray]:
    """Return counts, and the true (N, 2) columns in pixels."""
    prior, pose = built_in(name), Pose.from_angle(11.0, pixel_size, (3.0, 7.0))
    ideal = reference_image(prior, PRESETS["80 kV HAADF"], pixel_size, SHAPE, pose)
    counts = NoiseChain(dose=dose).apply(ideal, pixel_size, np.random.default_rng(0))
    return counts, pose.columns(prior, SHAPE)[0]


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    return Segmenter(device="cpu")


def f1(table: AtomTable, true: np.ndarray, gate: float = 0.5) -> float:
    """Share of columns found and atoms right, 1.5 Å from the edges, within `gate` Å."""
    low, high = 1.5 / PIXEL, np.array(SHAPE) - 1.5 / PIXEL
    found, wanted = (p[((p > low) & (p < high)).all(axis=1)] for p in (table.yx, true))
    recall = (cKDTree(table.yx).query(wanted)[0] * PIXEL < gate).mean()
    precision = (cKDTree(true).query(found)[0] * PIXEL < gate).mean()
    return float(2 * recall * precision / (recall + precision))


@pytest.mark.parametrize("name", ["TiO2 rutile [001]", "SrTiO3 [110]"])
def test_columns_that_the_image_hides_are_those_of_the_prior(segmenter: Segmenter, name: str) -> None:
    image, true = recorded(name, 600)
    segmenter.set_image(image, PIXEL)
    found = segmenter.segment(built_in(name), place=False)
    assert found.provenance["prior_fits"] is False
    assert found.provenance["image_lattice"]["prior"] == built_in(name).name
    assert found.provenance["image_lattice"]["stretch"] == pytest.approx(1.0, abs=0.01)
    assert f1(found, true) > 0.97
    assert set(found.rows["element"]) == {UNKNOWN_ELEMENT}
    assert set(found.rows["site"]) == {column.site for column in built_in(name).columns}
    assert segmenter.fit is None


@pytest.mark.parametrize("stated", [0.75, 1.3])
def test_a_pixel_size_that_is_far_off_is_told_by_the_cell(segmenter: Segmenter, stated: float) -> None:
    image, true = recorded("MoS2", 3000)
    segmenter.set_image(image, PIXEL * stated)
    found = segmenter.segment(built_in("MoS2"))
    assert found.provenance["prior_fits"] is False
    assert found.provenance["image_lattice"]["stretch"] == pytest.approx(stated, rel=0.01)
    assert f1(found, true) > 0.8


def test_a_wrong_prior_takes_no_part(segmenter: Segmenter) -> None:
    image, _ = recorded("TiO2 rutile [001]", 3000)
    segmenter.set_image(image, PIXEL)
    alone = segmenter.segment(None)
    for name in ("SrTiO3 [001]", "MoS2", "Au [110]"):
        found = segmenter.segment(built_in(name), place=False)
        assert "prior" not in (found.provenance["image_lattice"] or {})
        np.testing.assert_allclose(found.yx, alone.yx)


def test_noise_has_no_cell_and_a_stack_takes_none_over() -> None:
    noise = prepare(np.random.default_rng(0).poisson(20.0, SHAPE))
    assert (
        drain(find_stretched_prior(noise, PIXEL, drain(CandidateBases.of(noise, PIXEL)), built_in("MoS2")))
        is None
    )
    stack = load_prior("MoS2/MoS2 twist 7")
    crystal = prepare(recorded("MoS2", 3000)[0])
    bases = drain(CandidateBases.of(crystal, PIXEL))
    assert bases is not None
    assert drain(find_stretched_prior(crystal, PIXEL, bases, stack)) is None
    assert drain(find_stretched_prior(crystal, PIXEL, bases, built_in("MoS2"))) is not None


def test_without_trust_or_hints_the_image_tells_its_lattice_itself(segmenter: Segmenter) -> None:
    image, _ = recorded("MoS2", 3000)
    segmenter.set_image(image, PIXEL)
    alone = segmenter.segment(None)
    ignored = segmenter.segment(built_in("MoS2"), trust=0.0)
    assert "prior" not in ignored.provenance["image_lattice"]
    np.testing.assert_allclose(ignored.yx, alone.yx)
    plain = Segmenter(device="cpu", unplaced=False)
    plain.set_image(image, PIXEL)
    assert "prior" not in plain.segment(built_in("MoS2"), place=False).provenance["image_lattice"]


def test_where_nothing_is_seen_no_lattice_is_looked_for() -> None:
    flat = PreparedImage.of(np.full(SHAPE, 7.0, np.float32))
    assert drain(CandidateBases.of(flat, PIXEL)) is None
    found = Segmenter(device="cpu")
    found.set_image(flat, PIXEL)
    assert len(found.segment(built_in("MoS2"))) == 0
