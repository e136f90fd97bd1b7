"""The fast engine against what an incoherent image must be."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from napari_stemprior.optics import PRESETS, Instrument
from napari_stemprior.optics.incoherent.engine import probe_transfer, render_columns
from napari_stemprior.optics.reference import reference_image
from napari_stemprior.registration import Pose
from napari_stemprior.structure import built_in

SHAPE = (96, 112)


def test_wavelength_is_the_textbook_value() -> None:
    # Kirkland, Advanced Computing in Electron Microscopy, table 2.1: 0.0251 Å at 200 kV, 0.0418 Å at 80 kV
    assert Instrument(beam_energy=200).wavelength == pytest.approx(0.02508, abs=1e-5)
    assert Instrument(beam_energy=80).wavelength == pytest.approx(0.04176, abs=1e-5)


@given(st.floats(30, 60), st.floats(30, 70), st.floats(0.08, 0.3))
def test_a_column_is_imaged_where_it_is(y: float, x: float, pixel_size: float) -> None:
    transfer = probe_transfer(PRESETS["80 kV HAADF"], SHAPE, pixel_size)
    image = render_columns(torch.tensor([[y, x]]), torch.tensor([2.0]), transfer, SHAPE, pixel_size)
    assert float(image.sum()) * pixel_size**2 == pytest.approx(2.0, rel=1e-3)
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    near = (rows - y) ** 2 + (columns - x) ** 2 < (1.5 / pixel_size) ** 2
    weight = np.where(near, image.numpy(), 0)
    found = [(g * weight).sum() / weight.sum() for g in (rows, columns)]
    np.testing.assert_allclose(found, [y, x], atol=0.25)
    peak = np.unravel_index(int(image.argmax()), SHAPE)
    np.testing.assert_allclose(peak, [y, x], atol=0.75)


def test_images_add_up() -> None:
    transfer = probe_transfer(Instrument(), SHAPE, 0.2)
    places = torch.tensor([[30.0, 40.0], [50.5, 60.2]])
    weights = torch.tensor([1.0, 3.0])
    both = render_columns(places, weights, transfer, SHAPE, 0.2)
    single = render_columns(places, torch.diag(weights), transfer, SHAPE, 0.2)
    torch.testing.assert_close(both, single.sum(0), atol=1e-5, rtol=1e-4)


def test_defocus_and_source_blur() -> None:
    def width(instrument: Instrument) -> float:
        transfer = probe_transfer(instrument, SHAPE, 0.1)
        image = render_columns(torch.tensor([[48.0, 56.0]]), torch.ones(1), transfer, SHAPE, 0.1)
        return 1 / float(image.max())

    sharp = width(Instrument(source_size=0.3))
    assert width(Instrument(source_size=1.0)) > 1.3 * sharp
    assert width(Instrument(source_size=0.3, defocus=150)) > 1.3 * sharp


def test_the_transfer_does_not_depend_on_the_sampling() -> None:
    coarse = probe_transfer(Instrument(), (64, 64), 0.4)
    fine = probe_transfer(Instrument(), (256, 256), 0.1)
    torch.testing.assert_close(coarse[0, :20].abs(), fine[0, :20].abs(), atol=0.02, rtol=0)


def test_reference_is_bright_at_the_columns() -> None:
    prior = built_in("MoS2")
    pose = Pose.from_angle(17.0, 0.1, (40.0, 50.0))
    image = reference_image(prior, PRESETS["80 kV HAADF"], 0.1, (128, 160), pose)
    positions, index = pose.columns(prior, (128, 160), margin=-12)
    values = image[tuple(np.round(positions).astype(int).T)]
    heavy = values[[prior.columns[i].element == "Mo" for i in index]]
    light = values[[prior.columns[i].element == "S" for i in index]]
    assert heavy.min() > light.max() > light.min() > image.mean()
    np.testing.assert_allclose(heavy, heavy.mean(), rtol=0.06)
