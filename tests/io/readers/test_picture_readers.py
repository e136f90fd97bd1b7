"""TIFF, PNG and JPEG in, with orientation, pixel size and colours."""

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_stemprior.errors import MicrographError
from napari_stemprior.io import read_micrograph, read_micrographs


@pytest.mark.parametrize("dtype", ["u1", "i2", "u2", "i4", "u4", "f4", "f8", ">u2"])
def test_tiff_dtypes(tmp_path, image, dtype):
    tifffile.imwrite(tmp_path / "t.tif", image.astype(dtype))
    micrograph = read_micrograph(tmp_path / "t.tif")
    np.testing.assert_array_equal(micrograph.image, image)
    assert micrograph.image.dtype == np.float32
    assert micrograph.pixel_size is None


@pytest.mark.parametrize(("unit", "angstrom"), [("nm", 10), ("\\u00B5m", 1e4), ("micron", 1e4), ("pm", 0.01)])
def test_imagej_pixel_size(tmp_path, image, unit, angstrom):
    per_unit = angstrom / 0.2
    path = tmp_path / "t.tif"
    tifffile.imwrite(path, image, imagej=True, resolution=(per_unit, per_unit), metadata={"unit": unit})
    assert read_micrograph(path).pixel_size == pytest.approx(0.2, rel=1e-4)


def test_imagej_pixel_unit_is_no_length(tmp_path, image):
    tifffile.imwrite(tmp_path / "t.tif", image, imagej=True, resolution=(2, 2), metadata={"unit": "pixel"})
    assert read_micrograph(tmp_path / "t.tif").pixel_size is None


def test_ome_pixel_size(tmp_path, image):
    metadata = {
        "PhysicalSizeX": 0.02,
        "PhysicalSizeXUnit": "nm",
        "PhysicalSizeY": 20,
        "PhysicalSizeYUnit": "pm",
    }
    tifffile.imwrite(tmp_path / "t.ome.tif", image, ome=True, metadata={"axes": "YX", **metadata})
    assert read_micrograph(tmp_path / "t.ome.tif").pixel_size == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("per_unit", "unit", "expected"),
    [(1e8 / 0.2, "CENTIMETER", 0.2), (2.54e8 / 0.2, "INCH", 0.2), (300, "INCH", None), (5, "NONE", None)],
)
def test_resolution_tags(tmp_path, image, per_unit, unit, expected):
    tifffile.imwrite(tmp_path / "t.tif", image, resolution=(per_unit, per_unit), resolutionunit=unit)
    found = read_micrograph(tmp_path / "t.tif").pixel_size
    assert found == (None if expected is None else pytest.approx(expected, rel=1e-6))


def test_description_wins_over_tags(tmp_path, image):
    description = json.dumps({"pixel_size_angstrom": 0.1, "prior": "MoS2"})
    path = tmp_path / "t.tif"
    tifffile.imwrite(path, image, description=description, resolution=(5e8, 5e8), resolutionunit="CENTIMETER")
    micrograph = read_micrograph(path)
    assert micrograph.pixel_size == 0.1
    assert micrograph.metadata["prior"] == "MoS2"


def test_digitalmicrograph_tiff_tags(tmp_path, image):
    tags = [(65003, 2, 0, "nm", False), (65004, 2, 0, "nm", False)]
    tags += [(65009, 12, 1, 0.02, False), (65010, 12, 1, 0.02, False)]
    tifffile.imwrite(tmp_path / "t.tif", image, extratags=tags)
    assert read_micrograph(tmp_path / "t.tif").pixel_size == pytest.approx(0.2)


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_deflate", "packbits"])
def test_compressed_tiff_with_two_frames(tmp_path, image, compression):
    frames = [Image.fromarray(a) for a in (image, image[::-1].copy())]
    frames[0].save(tmp_path / "t.tif", compression=compression, save_all=True, append_images=frames[1:])
    found = read_micrographs(tmp_path / "t.tif")
    np.testing.assert_array_equal([m.image for m in found], [image, image[::-1]])


def test_a_coloured_overview_beside_the_micrograph_is_left_out(tmp_path, image):
    with tifffile.TiffWriter(tmp_path / "t.tif") as tiff:
        tiff.write(np.random.default_rng(0).integers(0, 255, (40, 40, 3), np.uint8), photometric="rgb")
        tiff.write(image)
    (micrograph,) = read_micrographs(tmp_path / "t.tif")
    np.testing.assert_array_equal(micrograph.image, image)


def test_tiff_stack(tmp_path, image):
    tifffile.imwrite(tmp_path / "t.tif", np.stack([image, image.T[:20, :].repeat(2, 1)[:, :28]]))
    assert [m.name for m in read_micrographs(tmp_path / "t.tif")] == ["t [0]", "t [1]"]


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("channels", [3, 4])
def test_grey_rgb_is_read_and_coloured_refused(tmp_path, image, suffix, channels):
    rgb = np.repeat(image.astype(np.uint8)[..., None], channels, axis=-1)
    if channels == 4:
        rgb[..., 3] = 255
    path = tmp_path / f"p{suffix}"
    write_rgb(path, rgb)
    np.testing.assert_array_equal(read_micrograph(path).image, image)
    rgb[3, 3, 1] += 40
    write_rgb(path, rgb)
    with pytest.raises(MicrographError, match=f"p{suffix}: this is a colour image"):
        read_micrograph(path)


def write_rgb(path: Path, rgb: np.ndarray) -> None:
    if path.suffix == ".png":
        Image.fromarray(rgb).save(path)
    else:
        tifffile.imwrite(
            path, rgb, photometric="rgb", extrasamples=["unassalpha"] if rgb.shape[-1] == 4 else None
        )


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_png(tmp_path, image, dtype):
    Image.fromarray((image * (256 if dtype == np.uint16 else 1)).astype(dtype)).save(tmp_path / "p.PNG")
    micrograph = read_micrograph(tmp_path / "p.PNG")
    np.testing.assert_array_equal(micrograph.image, image * (256.0 if dtype == np.uint16 else 1))
    assert micrograph.pixel_size is None


def test_jpeg_keeps_orientation(tmp_path):
    image = np.add.outer(np.arange(32) * 6, np.arange(40)).astype(np.uint8)
    Image.fromarray(image).save(tmp_path / "p.jpeg", quality=95, dpi=(300, 300))
    micrograph = read_micrograph(tmp_path / "p.jpeg")
    np.testing.assert_allclose(micrograph.image, image, atol=6)
    assert micrograph.pixel_size is None
