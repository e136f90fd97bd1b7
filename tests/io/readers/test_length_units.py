"""Pixel sizes: their units, oblong pixels, and one that a person gives."""

import pytest
import tifffile
from hspy_files import hspy_file
from hypothesis import given
from hypothesis import strategies as st

from napari_stemprior.errors import MicrographError, PixelSizeError
from napari_stemprior.io import read_micrograph
from napari_stemprior.io.readers.length_units import square_pixel_size, to_angstrom


@pytest.mark.parametrize("unit", ["1/nm", "", "px", None, "<undefined>", "mrad", "s"])
def test_units_that_are_no_length(tmp_path, image, unit):
    assert to_angstrom(1.0, unit) is None


@given(
    size=st.floats(1e-3, 10),
    unit=st.sampled_from([("m", 1e-10), ("nm", 0.1), ("Å", 1), ("A", 1), ("µm", 1e-4)]),
)
def test_every_unit_gives_the_same_length(size, unit):
    name, per_angstrom = unit
    assert to_angstrom(size * per_angstrom, name) == pytest.approx(size)
    assert to_angstrom(-size * per_angstrom, name) is None, "so programs say that it was not set"


@pytest.mark.parametrize("value", [0, float("nan"), float("inf"), None, "wide"])
def test_values_that_are_no_length(value):
    assert to_angstrom(value, "nm") is None


def test_oblong_pixels(tmp_path, image):
    path = hspy_file(tmp_path / "a.hspy", image, [0.02, 0.03], ["nm", "nm"], [False, False])
    with pytest.raises(
        MicrographError, match=r"a\.hspy: the pixels are not square \(0.2 Å high, 0.3 Å wide\)"
    ):
        read_micrograph(path)
    assert read_micrograph(path, pixel_size=0.25).pixel_size == 0.25
    assert square_pixel_size((0.200, 0.2005), "a") == pytest.approx(0.20025)


def test_given_pixel_size_wins(tmp_path, image):
    path = hspy_file(tmp_path / "a.hspy", image, [0.02, 0.02], ["nm", "nm"], [False, False])
    assert read_micrograph(path, pixel_size=0.5).pixel_size == 0.5


@pytest.mark.parametrize("size", [0, -1, float("nan")])
def test_given_pixel_size_must_be_positive(tmp_path, image, size):
    tifffile.imwrite(tmp_path / "t.tif", image)
    with pytest.raises(PixelSizeError, match=r"t\.tif"):
        read_micrograph(tmp_path / "t.tif", pixel_size=size)
