"""Every format in, with orientation, pixel size and bad input."""

import gc
import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import tifffile
from formats import write_dm, write_mrc, write_ser, write_velox
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from rsciio import emd, hspy

from napari_stemprior.errors import MicrographError, PixelSizeError, StempriorError
from napari_stemprior.io import SUFFIXES, read_micrograph, read_micrographs
from napari_stemprior.io.readers import signal_files
from napari_stemprior.io.readers.length_units import square_pixel_size, to_angstrom

REAL_DM3 = next((Path(__file__).parents[3] / "sample_data").glob("**/*.dm3"), None)


@pytest.fixture(scope="module", autouse=True)
def _frozen_heap():
    """Let the collections of this module look at its own objects alone: with torch loaded each is slow."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture
def image() -> np.ndarray:
    """An image that no flip, turn or transposition leaves as it is."""
    image = np.random.default_rng(0).integers(10, 200, (20, 28)).astype(np.uint16)
    image[2, 25] = 240
    return image


def signal(
    data: np.ndarray, scales: list[float], units: list[str], navigate: list[bool], title: str = ""
) -> dict:
    axes = [
        {"name": "tzyx"[i - data.ndim], "size": n, "scale": s, "offset": 0.0, "units": u, "navigate": v}
        | {"index_in_array": i, "_type": "UniformDataAxis", "is_binned": False}
        for i, (n, s, u, v) in enumerate(zip(data.shape, scales, units, navigate, strict=True))
    ]
    metadata = {
        "General": {"title": title},
        "Signal": {"signal_type": ""},
        "Acquisition_instrument": {"TEM": {"beam_energy": 60.0}},
    }
    return {
        "data": data,
        "axes": axes,
        "metadata": metadata,
        "original_metadata": {},
        "attributes": {"_lazy": False},
        "package_info": {"package": "", "package_version": ""},
        "learning_results": {},
        "models": None,
        "tmp_parameters": {},
        "post_process": [],
    }


def hspy_file(path: Path, *args, **kwargs) -> Path:
    hspy.file_writer(str(path), signal(*args, **kwargs))
    return path


# --- formats -----------------------------------------------------------------------------------------


@pytest.mark.skipif(REAL_DM3 is None, reason="sample_data holds no DM3")
def test_real_dm3():
    found = read_micrographs(REAL_DM3)
    assert len(found) == 1
    micrograph = found[0]
    assert micrograph.image.shape == (1024, 1024)
    assert micrograph.image.dtype == np.float32
    assert micrograph.pixel_size == pytest.approx(0.126953125, rel=1e-6)
    assert micrograph.metadata["beam_energy_kev"] == 60
    assert micrograph.metadata["dwell_time_us"] == pytest.approx(32.4, abs=0.01)
    assert micrograph.name == REAL_DM3.stem
    json.dumps(micrograph.metadata)


@pytest.mark.parametrize("version", [3, 4])
@pytest.mark.parametrize(("unit", "scale"), [("nm", 0.02), ("µm", 2e-5), ("Å", 0.2), ("pm", 20.0)])
def test_dm(tmp_path, image, version, unit, scale):
    path = tmp_path / f"a.dm{version}"
    tags = {
        "Microscope Info": {"Voltage": 80000.0, "Illumination Mode": "STEM"},
        "DigiScan": {"Sample Time": 12.0},
    }
    write_dm(path, image, scale, unit, version=version, tags=tags)
    micrograph = read_micrograph(path)
    np.testing.assert_array_equal(micrograph.image, image)
    assert micrograph.pixel_size == pytest.approx(0.2)
    assert micrograph.metadata["beam_energy_kev"] == 80
    assert micrograph.metadata["dwell_time_us"] == 12


@pytest.mark.parametrize("version", [3, 4])
def test_dm_stack_and_spectrum_image(tmp_path, image, version):
    path = tmp_path / f"a.dm{version}"
    stack = np.stack([image, image[::-1]])
    write_dm(path, stack, 0.02, "nm", version=version)
    found = read_micrographs(path)
    assert [m.name for m in found] == ["a [0]", "a [1]"]
    np.testing.assert_array_equal(found[1].image, image[::-1])
    write_dm(path, stack, 0.02, "nm", version=version, tags={"Meta Data": {"Format": "Spectrum image"}})
    with pytest.raises(MicrographError, match="no image"):
        read_micrographs(path)


def test_hspy(tmp_path, image):
    path = hspy_file(tmp_path / "a.hspy", image, [0.02, 0.02], ["nm", "nm"], [False, False], "HAADF")
    micrograph = read_micrograph(path)
    np.testing.assert_array_equal(micrograph.image, image)
    assert micrograph.pixel_size == pytest.approx(0.2)
    assert micrograph.name == "a"
    assert micrograph.source == path
    assert micrograph.metadata["beam_energy_kev"] == 60
    path.unlink()  # on Windows this fails if the file is still open


def test_hspy_stack_becomes_frames(tmp_path, image):
    stack = np.stack([image, image + 1, image[::-1]])
    path = hspy_file(tmp_path / "a.hspy", stack, [1, 0.02, 0.02], ["s", "nm", "nm"], [True, False, False])
    found = read_micrographs(path)
    assert [m.name for m in found] == ["a [0]", "a [1]", "a [2]"]
    np.testing.assert_array_equal(found[2].image, image[::-1])


def test_blank_frame_is_left_out_and_named(tmp_path, image):
    stack = np.stack([np.zeros_like(image), image])
    path = hspy_file(tmp_path / "a.hspy", stack, [1, 0.02, 0.02], ["s", "nm", "nm"], [True, False, False])
    (micrograph,) = read_micrographs(path)
    assert micrograph.name == "a [1]"
    assert "a [0]" in micrograph.metadata["left_out"][0]


@pytest.mark.parametrize(
    ("shape", "units", "navigate"),
    [
        ((20, 28, 64), ["nm", "nm", "eV"], [True, True, False]),  # spectrum image
        ((20, 28, 64), ["nm", "nm", "keV"], [False, False, False]),  # the same, axes unmarked
        ((20, 64), ["nm", "eV"], [True, False]),  # line scan
        ((4, 5, 20, 28), ["nm", "nm", "mrad", "mrad"], [True, True, False, False]),  # 4D-STEM
        ((64,), ["eV"], [False]),
    ],
)
def test_what_is_no_image_is_refused(tmp_path, shape, units, navigate):
    path = hspy_file(tmp_path / "a.hspy", np.ones(shape), [1.0] * len(shape), units, navigate)
    with pytest.raises(MicrographError, match=r"a\.hspy: the file holds no image \(found .*64|20x28"):
        read_micrographs(path)


def test_complex_image_is_refused(tmp_path, image):
    path = hspy_file(tmp_path / "a.hspy", image + 1j, [1, 1], ["nm", "nm"], [False, False])
    with pytest.raises(MicrographError, match=r"a\.hspy: the image is complex, .*; .* take the magnitude"):
        read_micrographs(path)


def test_a_complex_image_beside_a_good_one_is_left_out(tmp_path, image, monkeypatch):
    transform = signal(np.fft.fft2(image), [1, 1], ["nm", "nm"], [False, False], "FFT")
    micrograph = signal(image, [0.2, 0.2], ["nm", "nm"], [False, False], "HAADF")
    monkeypatch.setattr(signal_files, "_file_reader", lambda *_: [transform, micrograph])
    (tmp_path / "a.dm3").write_bytes(b"x")
    (found,) = read_micrographs(tmp_path / "a.dm3")
    np.testing.assert_array_equal(found.image, image)


def test_berkeley_emd(tmp_path, image):
    path = tmp_path / "b.emd"
    emd.file_writer(str(path), signal(image, [0.25, 0.25], ["Å", "Å"], [False, False], "HAADF"))
    micrograph = read_micrograph(path)
    np.testing.assert_array_equal(micrograph.image, image)
    assert micrograph.pixel_size == pytest.approx(0.25)


def test_velox_emd_puts_haadf_first_and_leaves_the_eds_stream(tmp_path, image):
    path = tmp_path / "v.emd"
    write_velox(path, {"BF": image[::-1], "DF2": image[:, ::-1], "HAADF": image}, 1.5e-11, spectrum=True)
    found = read_micrographs(path)
    assert [m.name for m in found] == ["v HAADF", "v DF2", "v BF"]
    np.testing.assert_array_equal(found[0].image, image)
    assert found[0].pixel_size == pytest.approx(0.15)
    assert found[0].metadata["beam_energy_kev"] == 300
    assert found[0].metadata["dwell_time_us"] == pytest.approx(2.5)
    assert found[0].metadata["camera_length_mm"] == pytest.approx(182.9)


def test_mrc(tmp_path, image):
    path = tmp_path / "c.mrc"
    write_mrc(path, image, cell_angstrom=(28 * 0.3, 20 * 0.3, 1.0))
    micrograph = read_micrograph(path)
    np.testing.assert_array_equal(micrograph.image, image)
    assert micrograph.pixel_size == pytest.approx(0.3)


def test_mrc_stack(tmp_path, image):
    path = tmp_path / "c.mrc"
    write_mrc(path, np.stack([image, image[::-1]]), cell_angstrom=(28 * 0.3, 20 * 0.3, 2.0))
    found = read_micrographs(path)
    assert [m.name for m in found] == ["c [0]", "c [1]"]
    np.testing.assert_array_equal(found[1].image, image[::-1])


def test_mrc_without_a_cell_has_no_pixel_size(tmp_path, image):
    write_mrc(tmp_path / "c.mrc", image, cell_angstrom=None)
    assert read_micrograph(tmp_path / "c.mrc").pixel_size is None


@pytest.mark.parametrize("n", [1, 2])
def test_ser(tmp_path, image, n):
    path = tmp_path / "d_1.ser"
    write_ser(path, np.stack([image, image + 5])[:n], 2e-11)
    found = read_micrographs(path)
    assert [m.name for m in found] == (["d_1"] if n == 1 else ["d_1 [0]", "d_1 [1]"])
    np.testing.assert_array_equal(found[-1].image, image + 5 * (n - 1))
    assert found[0].pixel_size == pytest.approx(0.2)


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


@pytest.mark.parametrize("coloured", [False, True])
def test_dm_colour_pixels(image, coloured, tmp_path):
    data = np.zeros(image.shape, np.dtype([(c, "u1") for c in "BGRA"]))
    for channel in "BGR":
        data[channel] = image
    data["A"] = 255
    data["G"] += np.uint8(coloured)
    raw = partial(
        signal_files._image, signal(data, [0.02, 0.02], ["nm", "nm"], [False, False]), tmp_path / "a.dm3"
    )
    if coloured:
        with pytest.raises(MicrographError, match="colour"):
            raw()
    else:
        np.testing.assert_array_equal(raw().frames[0], image)


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


# --- pixel size --------------------------------------------------------------------------------------


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


# --- bad input ---------------------------------------------------------------------------------------


def one_sentence(error: StempriorError, name: str) -> None:
    text = str(error)
    assert name in text
    assert "\n" not in text
    assert text.endswith(".")
    assert len(text) < 250


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("content", [b"", b"\x00" * 4000, b"not an image at all " * 200, b"II*\x00\x08\x00"])
def test_garbage(tmp_path, suffix, content):
    path = tmp_path / f"bad{suffix}"
    path.write_bytes(content)
    with pytest.raises(MicrographError) as caught:
        read_micrographs(path)
    one_sentence(caught.value, path.name)
    gc.collect()  # a file left open warns here and not in some later test


@pytest.fixture(params=[suffix for suffix in SUFFIXES if suffix != ".emi"])  # which holds no pixels
def good_file(request, tmp_path, image) -> Path:
    path = tmp_path / f"good{request.param}"
    match request.param:
        case ".hspy":
            hspy_file(path, image, [0.02, 0.02], ["nm", "nm"], [False, False])
        case ".emd":
            write_velox(path, {"HAADF": image}, 1e-11, spectrum=False)
        case ".mrc":
            write_mrc(path, image, cell_angstrom=(2.8, 2.0, 1))
        case ".ser":
            write_ser(path, image[None], 1e-11)
        case ".dm3" | ".dm4":
            write_dm(path, image, 0.02, "nm", version=int(path.suffix[-1]))
        case ".tif" | ".tiff":
            tifffile.imwrite(path, image)
        case _:
            Image.fromarray(image.astype(np.uint8)).save(path)
    return path


@pytest.mark.parametrize("fraction", [0.1, 0.5, 0.9])
def test_cut_short(good_file, fraction):
    content = good_file.read_bytes()
    assert read_micrographs(good_file)
    good_file.write_bytes(content[: int(len(content) * fraction)])
    with pytest.raises(MicrographError) as caught:
        read_micrographs(good_file)
    one_sentence(caught.value, good_file.name)
    gc.collect()


def test_missing_folder_and_unknown(tmp_path):
    for path, words in (
        (tmp_path / "none.dm3", "no such file"),
        (tmp_path, "folder"),
        (Path(__file__), "not a micrograph format"),
    ):
        with pytest.raises(MicrographError, match=words) as caught:
            read_micrographs(path)
        one_sentence(caught.value, path.name)


@pytest.mark.parametrize("bad", [np.ones((20, 28), np.uint8), np.eye(64, 1, dtype=np.uint8).repeat(1, 1)])
def test_constant_and_narrow(tmp_path, bad):
    tifffile.imwrite(tmp_path / "t.tif", bad)
    with pytest.raises(MicrographError) as caught:
        read_micrographs(tmp_path / "t.tif")
    one_sentence(caught.value, "t")


def test_library_warnings_end_in_the_metadata(tmp_path, image, monkeypatch, caplog):
    import logging
    import warnings

    from napari_stemprior.io.readers import read_micrograph as readers

    read = readers._FORMATS[".tif"]

    def noisy(path):
        warnings.warn("odd tag", stacklevel=1)
        logging.getLogger("tifffile").warning("odd page")
        return read(path)

    monkeypatch.setitem(readers._FORMATS, ".tif", noisy)
    tifffile.imwrite(tmp_path / "t.tif", image)
    assert read_micrograph(tmp_path / "t.tif").metadata["warnings"] == ["odd page", "odd tag"]
    assert not caplog.records
