"""Order is told from spots that lie anywhere, and single atoms from these."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree

from napari_stemprior.inference import Segmenter
from napari_stemprior.inference.order import is_ordered, stands_out
from napari_stemprior.optics import PRESETS
from napari_stemprior.optics.noise.noise_chain import NoiseChain
from napari_stemprior.optics.reference import reference_image
from napari_stemprior.registration import Pose
from napari_stemprior.structure import built_in

PIXEL = 0.16
SHAPE = (256, 240)


def spots(places: np.ndarray, brightness: float = 1.0) -> np.ndarray:
    """Draw spots of 0.4 Å at (N, 2) pixels."""
    image = np.zeros(SHAPE)
    np.add.at(image, tuple(np.round(places).astype(int).T), brightness)
    return gaussian_filter(image, 0.4 / PIXEL)


def film(seed: int) -> np.ndarray:
    """Draw a film of three atoms an Å² that lie anywhere."""
    rng = np.random.default_rng(seed)
    area = SHAPE[0] * SHAPE[1] * PIXEL**2
    return spots(rng.uniform(0, 1, (int(3 * area), 2)) * (np.array(SHAPE) - 1))


def crystal(name: str, dose: float) -> np.ndarray:
    pose = Pose.from_angle(11.0, PIXEL, (3.0, 7.0))
    ideal = reference_image(built_in(name), PRESETS["80 kV HAADF"], PIXEL, SHAPE, pose)
    return NoiseChain(dose=dose).apply(ideal, PIXEL, np.random.default_rng(0))


@pytest.mark.parametrize("name", ["MoS2", "1T'-WTe2", "SrTiO3 [110]"])
@pytest.mark.parametrize("dose", [5e2, 1e4])
def test_a_crystal_is_ordered(name: str, dose: float) -> None:
    assert is_ordered(crystal(name, dose), PIXEL)


@pytest.mark.parametrize("seed", range(4))
def test_a_film_and_smoothed_noise_are_not(seed: int) -> None:
    rng = np.random.default_rng(seed)
    image = film(seed)
    for unordered in (
        image,
        rng.poisson(3 * image / image.mean()),
        gaussian_filter(rng.normal(size=SHAPE), 2.5),
    ):
        assert not is_ordered(unordered, PIXEL)
        assert stands_out(unordered, PIXEL).mean() < 1e-3


def test_a_small_crystal_in_a_film_is_order() -> None:
    image = film(5) / film(5).std()
    part = crystal("SrTiO3 [110]", 1e4)[:170, :170]
    image[40:210, 30:200] += 2 * part / part.std()
    assert is_ordered(image, PIXEL)


def test_too_small_an_image_is_not_judged() -> None:
    assert is_ordered(film(1)[:100, :100], PIXEL)


def test_single_atoms_stand_out_of_a_film() -> None:
    places = np.array([[40.0, 40.0], [60.0, 180.0], [150.0, 100.0], [150.0, 117.0], [220.0, 60.0]])
    image = film(2) + spots(places, 25.0)
    counts = np.random.default_rng(3).poisson(20 * image / image.mean()).astype(np.float32)
    assert not is_ordered(counts, PIXEL)
    shown = np.argwhere(stands_out(counts, PIXEL))
    assert cKDTree(shown).query(places)[0].max() < 3
    assert cKDTree(places).query(shown)[0].max() < 8  # 1.3 Å
    segmenter = Segmenter(device="cpu", refine=False)
    segmenter.set_image(counts, PIXEL)
    found = segmenter.segment(None)
    assert found.provenance["unordered"] is True
    assert cKDTree(found.yx).query(places)[0].max() * PIXEL < 0.5
    assert len(found) == len(places)


def test_all_spots_can_be_asked_for() -> None:
    counts = np.random.default_rng(4).poisson(20 * film(6) / film(6).mean()).astype(np.float32)
    strict, lenient = (Segmenter(device="cpu", refine=False, strict=s) for s in (True, False))
    for segmenter in (strict, lenient):
        segmenter.set_image(counts, PIXEL)
    assert len(strict.segment(None)) <= 1  # one in 16 nm²
    assert len(lenient.segment(None)) > 20
