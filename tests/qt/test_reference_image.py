"""References, their differences and their files, without a viewer."""

import json

import numpy as np
import pytest
import tifffile
from desk_fakes import POSE
from numpy.testing import assert_allclose

from napari_stemprior.errors import ExportError, RegistrationError, StempriorError
from napari_stemprior.io import read_micrograph
from napari_stemprior.optics import Instrument
from napari_stemprior.optics.montage import Montage
from napari_stemprior.optics.reference import reference_image
from napari_stemprior.optics.reference_jobs import ReferenceJob
from napari_stemprior.progress import drain
from napari_stemprior.qt.layers.montage_layers import corners_of, montage_layers
from napari_stemprior.qt.widgets.montage_form import numbers
from napari_stemprior.registration import Pose
from napari_stemprior.structure import built_in, load_prior
from napari_stemprior.workflow.difference import residual
from napari_stemprior.workflow.operations import Operations
from napari_stemprior.workflow.reference import (
    Reference,
    ReferenceSettings,
    counted,
    reference,
    write_reference,
)


def settings(prior="MoS2", shape=(40, 50), pose=POSE):
    return ReferenceSettings(prior, (built_in(prior),), (pose,), Instrument(), 0.2, shape, 80.0)


def test_a_reference_tells_how_it_was_made():
    values = Reference(settings("SrTiO3 [001]"), np.zeros((4, 4), np.float32), "fast", 500.0).metadata()
    assert values["pixel_size_angstrom"] == 0.2
    assert values["beam_energy_kev"] == 80.0
    assert values["detector_inner_mrad"] == 70.0
    assert values["spherical_aberration_mm"] == 0.0
    assert values["source_size_angstrom"] == 0.7
    assert values["thickness_angstrom"] == 80.0
    assert values["rotation_degrees"] == pytest.approx(7.0)
    assert values["dose_electrons_per_square_angstrom"] == 500.0
    layer = Reference(settings(pose=None), np.zeros((4, 4), np.float32), "fast").metadata()
    assert "thickness_angstrom" not in layer, "a monolayer has its own"
    assert "rotation_degrees" not in layer
    assert "dose_electrons_per_square_angstrom" not in layer


def test_the_file_is_read_back_with_its_pixel_size(tmp_path):
    picture = np.random.default_rng(0).random((40, 50), dtype=np.float32)
    reference = Reference(settings(), picture, "fast")
    path = drain(write_reference(tmp_path / "new" / "ref.tif", reference))
    back = read_micrograph(path)
    np.testing.assert_array_equal(back.image, picture)
    assert back.pixel_size == pytest.approx(0.2)
    with tifffile.TiffFile(path) as tiff:
        described = json.loads(tiff.pages.first.description)
        resolution = tiff.pages.first.tags["XResolution"].value
    assert described["prior"] == "MoS2"
    assert 1e8 * resolution[1] / resolution[0] == pytest.approx(0.2, rel=1e-6), "other programs read this"
    (tmp_path / "file").write_text("")
    with pytest.raises(ExportError, match=r"ref\.tif"):
        drain(write_reference(tmp_path / "file" / "ref.tif", reference))


def test_the_difference_of_equal_pictures_is_nothing_whatever_their_scale():
    picture = np.random.default_rng(0).random((40, 50)).astype(np.float32)
    assert_allclose(residual(7 + 3 * picture, picture), 0, atol=1e-6)
    brighter = picture.copy()
    brighter[10:14, 10:14] += 5
    assert residual(brighter, picture)[11, 11] > 2
    assert residual(picture, picture[:20, :30]).shape == (20, 30)
    with pytest.raises(RegistrationError, match="no contrast"):
        residual(picture, np.ones_like(picture))


def test_noise_is_drawn_at_the_dose():
    clean = np.full((200, 200), 0.05, np.float32)
    reference = Reference(settings(shape=clean.shape), clean, "fast")
    shown = drain(counted(reference, 1e4))
    expected = 0.05 * 1e4 * 0.2**2
    assert shown.picture.mean() == pytest.approx(expected, rel=0.02)
    assert shown.picture.var() == pytest.approx(expected, rel=0.05)
    assert shown.clean is clean
    again = drain(counted(shown, None))
    assert again.picture is clean
    assert again.dose is None


def test_a_stack_looks_the_same_from_the_desk_and_from_the_command_line():
    stack = load_prior("MoS2/WS2 twist 5")
    poses = (POSE, Pose.from_angle(12.0, 0.2, (8.0, 3.0)))
    lens = Instrument(convergence_semi_angle=35.0, defocus=10.0)  # so open that a layer's depth matters
    wanted = ReferenceSettings(stack.name, stack.layers, poses, lens, 0.2, (40, 50), 50.0)
    desk = drain(reference(Operations(), wanted, None))
    job = ReferenceJob(stack, lens, 0.2, (40, 50), poses, thickness=50.0)
    np.testing.assert_array_equal(desk.clean, drain(job.steps()))
    flat = sum(
        reference_image(layer, lens, 0.2, (40, 50), pose)
        for layer, pose in zip(stack.layers, poses, strict=True)
    )
    assert np.abs(desk.clean - flat).max() > 0.02 * flat.max(), "the lower layer is out of focus"


def test_each_layer_of_a_stack_tells_how_it_lies():
    layers = (built_in("MoS2"), built_in("graphene"))
    wanted = ReferenceSettings("both", layers, (POSE, None), Instrument(), 0.2, (20, 20), 50.0)
    result = drain(reference(Operations(), wanted, None))
    assert {"rotation_degrees_layer_0"} == {k for k in result.metadata() if "rotation" in k}


def test_a_montage_keeps_every_picture_in_its_place():
    images = np.random.default_rng(0).random((2, 3, 5, 7)).astype(np.float32)
    image, labels = montage_layers(Montage(images, (50.0, 100.0), (-20.0, 0.0, 20.0), 0.1), "Si", (0.0, 9.0))
    picture, corners = image.data, corners_of(images.shape)
    assert labels.features["label"].tolist() == ["50 Å", "100 Å", "df -20 Å", "df 0 Å", "df 20 Å"]
    np.testing.assert_allclose(labels.data[:2, 0], corners[:, 0, 0] + 2.5)
    np.testing.assert_allclose(labels.data[2:, 1], corners[0, :, 1] + 3.5)
    for i in range(2):
        for j in range(3):
            y, x = corners[i, j].astype(int)
            tile = picture[y : y + 5, x : x + 7]
            assert (tile.min(), tile.max()) == (0, 1)
            assert np.corrcoef(tile.ravel(), images[i, j].ravel())[0, 1] == pytest.approx(1)
    assert np.isfinite(picture).sum() == images.size


def test_numbers_are_read_as_people_write_them():
    assert numbers("50, 100;200  −3", "Defocus") == [50, 100, 200, -3]
    with pytest.raises(StempriorError, match=r"Defocus.*no list of numbers"):
        numbers("50 to 60", "Defocus")
    with pytest.raises(StempriorError, match="empty"):
        numbers(" ", "Thickness")
