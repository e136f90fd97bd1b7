"""How long a scale arrow is and what stands beside it, for any gain, zoom and unit."""

import numpy as np
import pytest
from napari.layers import Image, Vectors

from napari_stemprior.qt.layers.scale_arrow import (
    LONGEST,
    NAME,
    add_scale_arrow,
    canvas_pixels,
    length_text,
    round_length,
)

SIZE = 0.2


def _vectors(**changes):
    known = {"length": 20.0, "scale": (SIZE, SIZE), "units": ("angstrom", "angstrom")}
    return Vectors(np.array([[[5.0, 5.0], [1.0, 0.0]]]), **(known | changes))


@pytest.mark.parametrize("pixels", [1e-3, 0.7, 19.9, 20.0, 20.1, 99.0, 101.0, 333.0, 5e4])
def test_it_is_of_a_round_length_and_neither_long_nor_short(pixels):
    length = round_length(pixels)
    assert 0.4 * LONGEST - 1e-6 <= length * pixels <= LONGEST * (1 + 1e-6)
    digits = f"{length:.10e}".split("e")[0].rstrip("0").rstrip(".")
    assert digits in ("1", "2", "5")


@pytest.mark.parametrize(
    ("length", "text"), [(0.05, "5 pm"), (0.5, "50 pm"), (0.0002, "0.02 pm"), (1.0, "1 Å"), (20.0, "20 Å")]
)
def test_its_length_stands_in_pm_below_an_angstrom(length, text):
    assert length_text(length) == text


def test_it_follows_gain_and_zoom(viewer):
    layer = viewer.add_layer(_vectors())
    viewer.scene.camera.zoom = 3.0
    assert canvas_pixels(layer, viewer) == pytest.approx(20 * 3)
    layer.length = 40.0
    assert canvas_pixels(layer, viewer) == pytest.approx(40 * 3)
    viewer.scene.camera.zoom = 6.0
    assert canvas_pixels(layer, viewer) == pytest.approx(40 * 6)


def test_another_pixel_size_leaves_it_in_angstrom(viewer):
    layer = viewer.add_layer(_vectors())
    viewer.scene.camera.zoom = 1.0
    layer.scale = (2 * SIZE, 2 * SIZE)
    assert canvas_pixels(layer, viewer) == pytest.approx(20), "a pixel of the image is now twice as long"


@pytest.mark.parametrize("alone", [True, False])
def test_layers_in_nanometres_say_the_same(viewer, alone):
    if not alone:  # the canvas then shows the unit of both
        viewer.add_layer(Image(np.zeros((9, 9)), scale=(SIZE, SIZE), units=("angstrom", "angstrom")))
    layer = viewer.add_layer(_vectors(scale=(SIZE / 10, SIZE / 10), units=("nm", "nm")))
    viewer.scene.camera.zoom = 1.0
    shown = 10.0 if str(viewer.layers.extent.units[-1]) == "nanometer" else 1.0
    assert canvas_pixels(layer, viewer) == pytest.approx(20 / shown)


def test_without_a_length_unit_there_is_none(viewer):
    layer = viewer.add_layer(_vectors(units=("pixel", "pixel")))
    assert canvas_pixels(layer, viewer) is None


def test_it_belongs_to_its_layer():
    layer = _vectors()
    add_scale_arrow(layer, "displacements")
    overlay = layer._overlays[NAME]
    assert overlay.visible
    assert overlay.label == "displacements"
