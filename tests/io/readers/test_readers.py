"""The formats of microscopes in, with orientation and pixel size."""

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from formats import write_dm, write_mrc, write_ser, write_velox
from hspy_files import hspy_file, signal
from rsciio import emd

from napari_stemprior.errors import MicrographError
from napari_stemprior.io import read_micrograph, read_micrographs
from napari_stemprior.io.readers import signal_files

REAL_DM3 = next((Path(__file__).parents[3] / "sample_data").glob("**/*.dm3"), None)


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
