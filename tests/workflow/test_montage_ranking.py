"""Which picture of a montage is most like a micrograph whose defocus and thickness are known."""

from dataclasses import replace

import numpy as np
import pytest

from napari_stemprior.optics.instrument import PRESETS
from napari_stemprior.optics.montage import thickness_defocus_montage
from napari_stemprior.optics.reference import reference_image
from napari_stemprior.registration import LatticeFit, Pose
from napari_stemprior.structure import built_in
from napari_stemprior.workflow.montage_ranking import mean_cell, ranked_montage, told

DEFOCI = (-100.0, 0.0, 100.0)
SIZE = 0.2


def drained(work):
    while True:
        try:
            next(work)
        except StopIteration as end:
            return end.value


@pytest.fixture(scope="module")
def scene():
    prior = built_in("SrTiO3 [001]")
    lens = PRESETS["200 kV HAADF"]
    turn = np.deg2rad(17.0)
    affine = np.array([[np.sin(turn), np.cos(turn)], [np.cos(turn), -np.sin(turn)]]) / SIZE
    pose = Pose(affine, np.array([31.3, 40.8]))
    return prior, lens, LatticeFit(prior, (pose,))


@pytest.mark.parametrize("defocus", DEFOCI)
def test_the_defocus_of_the_image_is_ranked_first(scene, defocus):
    prior, lens, fit = scene
    image = reference_image(prior, replace(lens, defocus=defocus), SIZE, (160, 150), fit.pose, thickness=100)
    noisy = np.random.default_rng(0).poisson(image / image.mean() * 30).astype(np.float32)
    work = thickness_defocus_montage(prior, lens, [100.0], DEFOCI)
    montage, scores = drained(ranked_montage(work, 7 * noisy + 40, prior, fit))
    assert scores.shape == (1, 3)
    assert DEFOCI[int(scores.argmax())] == defocus
    assert scores.max() > 0.95
    assert f"defocus {defocus:g} Å" in told(montage, scores)


def test_the_mean_cell_is_the_picture_of_the_montage(scene):
    prior, lens, fit = scene
    image = reference_image(prior, lens, SIZE, (160, 150), fit.pose)
    montage = drained(thickness_defocus_montage(prior, lens, [100.0], [lens.defocus]))
    cell = mean_cell(image, prior, fit, montage.images.shape[2:], montage.pixel_size)
    assert np.corrcoef(cell.ravel(), montage.images[0, 0].ravel())[0, 1] > 0.99


def test_without_a_fit_nothing_is_ranked(scene):
    prior, lens, _ = scene
    work = thickness_defocus_montage(prior, lens, [100.0], [0.0])
    montage, scores = drained(ranked_montage(work, np.ones((9, 9), np.float32), prior, None))
    assert scores is None
    assert "Fit the lattice in step 2" in told(montage, scores)
    assert "first layer alone" in told(montage, None, stacked=True)
    assert "Too few whole cells" in told(montage, None, fitted=True)
