"""The contrast of images and structures ranks crystals before any lattice is laid on an image."""

import numpy as np
import pytest

from napari_stemprior.errors import ModelError, PixelSizeError
from napari_stemprior.inference.structure_contrast import structure_likeness
from napari_stemprior.optics import PRESETS
from napari_stemprior.optics.noise.noise_chain import NoiseChain
from napari_stemprior.optics.reference import reference_image
from napari_stemprior.recording import PreparedImage, prepare
from napari_stemprior.registration import Pose
from napari_stemprior.structure import StructurePrior, built_in, names

PIXEL = 0.15
LIBRARY = [built_in(name) for name in names()]


def shown(prior: StructurePrior, angle: float, dose: float = 3000.0) -> PreparedImage:
    pose = Pose.from_angle(angle, PIXEL, (40, 50))
    clean = reference_image(prior, next(iter(PRESETS.values())), PIXEL, (280, 320), pose)
    return prepare(NoiseChain(dose).apply(clean, PIXEL, np.random.default_rng(3)))


@pytest.mark.parametrize("name", ["SrTiO3 [001]", "Si [110]", "WSe2", "graphene", "GaAs [110]"])
@pytest.mark.parametrize("angle", [10.0, 77.0])
def test_the_crystal_that_is_shown_is_among_the_likeliest(name: str, angle: float) -> None:
    likeness = structure_likeness(shown(built_in(name), angle), PIXEL, LIBRARY)
    assert likeness.shape == (len(LIBRARY),)
    own = likeness[list(names()).index(name)]
    assert (likeness > own).sum() < 10


def test_the_order_of_the_structures_does_not_matter() -> None:
    image = shown(built_in("MoS2"), 20.0)
    likeness = structure_likeness(image, PIXEL, LIBRARY[:8])
    backwards = structure_likeness(image, PIXEL, LIBRARY[7::-1])
    np.testing.assert_allclose(likeness, backwards[::-1], atol=1e-4)


def test_a_structure_of_another_scale_is_less_like() -> None:
    prior = built_in("SrTiO3 [001]")
    likeness = structure_likeness(shown(prior, 5.0), PIXEL, [prior.scaled(s) for s in (0.85, 1.0, 1.18)])
    assert likeness.argmax() == 1


def test_a_network_without_embeddings_is_refused() -> None:
    with pytest.raises(ModelError, match="small does not embed"):
        structure_likeness(shown(LIBRARY[0], 0.0), PIXEL, LIBRARY[:2], model="small")


def test_pixels_that_show_no_atoms_are_refused() -> None:
    with pytest.raises(PixelSizeError):
        structure_likeness(shown(LIBRARY[0], 0.0), 3.0, LIBRARY[:2])
