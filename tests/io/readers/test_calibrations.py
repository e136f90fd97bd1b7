"""Pixel sizes and axes as microscopes and other programs write them, and headers that lie."""

import json
import math
import os
import struct
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
from formats import write_mrc, write_ser

from napari_stemprior.commands.main import main
from napari_stemprior.errors import MicrographError
from napari_stemprior.io import read_micrograph, read_micrographs
from napari_stemprior.io.readers.decoded_size import check_decoded_size
from napari_stemprior.io.readers.hdf5_heaps import has_endless_heap
from napari_stemprior.io.readers.length_units import to_angstrom
from napari_stemprior.io.readers.time_limit import TookTooLongError, time_limit

CASES = Path(__file__).resolve().parents[3].parent / "shared" / "cases"
needs_cases = pytest.mark.skipif(not CASES.is_dir(), reason="the folder of cases is not there")

#: No two of its corners, sides or diagonals are alike.
IMAGE = np.add.outer(np.arange(40) ** 2, 7 * np.arange(56)).astype(np.uint16)


def berkeley(path, data, names, units="n_m", step=0.01):
    with h5py.File(path, "w") as file:
        file.attrs["version_major"], file.attrs["version_minor"] = 0, 2
        group = file.create_group("data/image")
        group.attrs["emd_group_type"] = 1
        group["data"] = data
        for number, (name, size) in enumerate(zip(names, data.shape, strict=True), 1):
            dimension = group.create_dataset(f"dim{number}", data=step * np.arange(size, dtype=np.float32))
            dimension.attrs["name"], dimension.attrs["units"] = np.bytes_(name), np.bytes_(units)
    return path


@pytest.mark.parametrize(
    ("names", "turned"),
    [
        (("Y", "X"), False),
        (("X", "Y"), True),
        (("y", "x"), False),
        (("R_x", "R_y"), True),
        (("row", "column"), False),
        (("<undefined>", "<undefined>"), True),
    ],
)
@pytest.mark.parametrize("units", ["n_m", "[n_m]", "nm"])
def test_a_berkeley_emd_is_turned_by_the_names_of_its_axes(tmp_path, names, turned, units):
    data = IMAGE.T if turned else IMAGE
    micrograph = read_micrograph(berkeley(tmp_path / "a.emd", data, names, units))
    np.testing.assert_array_equal(micrograph.image, IMAGE)
    assert micrograph.pixel_size == pytest.approx(0.1)
    assert micrograph.name == "a"


@pytest.mark.parametrize("names", [("t", "y", "x"), ("x", "y", "t"), ("y", "t", "x")])
def test_a_stack_in_a_berkeley_emd(tmp_path, names):
    stack = np.stack([IMAGE, IMAGE + 1, IMAGE + 2])
    order = ["tyx".index(name) for name in names]
    found = read_micrographs(berkeley(tmp_path / "a.emd", stack.transpose(order), names))
    assert [m.name for m in found] == ["a [0]", "a [1]", "a [2]"]
    np.testing.assert_array_equal(found[2].image, IMAGE + 2)


def test_ncempy_reads_and_writes_the_same_berkeley_emd(tmp_path):
    ncempy = pytest.importorskip("ncempy.io.emd")
    with ncempy.fileEMD(str(tmp_path / "a.emd"), readonly=False) as file:
        dims = [(0.01 * np.arange(n), name, "[n_m]") for n, name in zip(IMAGE.shape, "yx", strict=True)]
        file.put_emdgroup("image", IMAGE, dims)
    micrograph = read_micrograph(tmp_path / "a.emd")
    np.testing.assert_array_equal(micrograph.image, IMAGE)
    assert micrograph.pixel_size == pytest.approx(0.1)


def test_mrcfile_writes_what_is_read(tmp_path):
    mrcfile = pytest.importorskip("mrcfile")
    with mrcfile.new(tmp_path / "a.mrc") as file:
        file.set_data(IMAGE.astype(np.float32))
        file.voxel_size = 0.15
    micrograph = read_micrograph(tmp_path / "a.mrc")
    np.testing.assert_array_equal(micrograph.image, IMAGE)
    assert micrograph.pixel_size == pytest.approx(0.15)


def test_every_page_has_its_own_pixel_size(tmp_path):
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as tiff:
        for side, size in ((32, 0.4), (48, 0.1)):
            picture = np.resize(IMAGE, (side, side + 8))
            tiff.write(
                picture, resolution=(1e8 / size, 1e8 / size), resolutionunit="CENTIMETER", metadata=None
            )
    assert [m.pixel_size for m in read_micrographs(path)] == pytest.approx([0.4, 0.1])


@pytest.mark.parametrize("unit", ["\\u00C5", "\\u00c5", "\u00c5", "Angstrom", "A"])
def test_the_angstrom_of_fiji(tmp_path, unit):
    path = tmp_path / "a.tif"
    description = f"ImageJ=1.54f\nimages=1\nunit={unit}\n".encode("latin-1")
    tifffile.imwrite(path, IMAGE, resolution=(10, 10), description=description, metadata=None)
    assert read_micrograph(path).pixel_size == pytest.approx(0.1)


@pytest.mark.parametrize("size", [1e-4, 3.0, 10.0, 1e18])
def test_a_pixel_size_at_which_no_atom_is_seen_is_unknown_and_said(tmp_path, size, capsys):
    path = tmp_path / "a.tif"
    description = json.dumps({"pixel_size_angstrom": size})
    tifffile.imwrite(path, IMAGE, description=description, metadata=None)
    micrograph = read_micrograph(path)
    assert micrograph.pixel_size is None
    assert "no atom could be seen" in micrograph.metadata["remarks"][0]
    assert read_micrograph(path, 0.1).pixel_size == 0.1
    assert main(["segment", str(path), "--no-prior", "-o", str(tmp_path / "out"), "--device", "cpu"]) == 2
    assert "no atom could be seen" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("cell", "size"), [((-5.6, -4.0, 1.0), None), ((0.0, 0.0, 0.0), None), ((float("nan"), 4.0, 1.0), 0.1)]
)
def test_a_cell_that_is_no_length_is_unknown(tmp_path, cell, size):
    write_mrc(tmp_path / "a.mrc", IMAGE.astype(np.float32), cell_angstrom=cell)
    assert read_micrograph(tmp_path / "a.mrc").pixel_size == (size and pytest.approx(size))


@pytest.mark.parametrize(
    ("unit", "angstrom"), [("n_m", 10), ("[n_m]", 10), ("\\u00C5", 1), ("\\u00b5m", 1e4), ("1/nm", None)]
)
def test_units_without_their_dress(unit, angstrom):
    assert to_angstrom(1, unit) == angstrom
    assert to_angstrom(-1, unit) is None


def private_tag(path, code, value, **others):
    """A TIFF with one private tag of bytes."""
    tifffile.imwrite(path, IMAGE, metadata=None, extratags=[(code, 7, len(value), value, True)], **others)
    return path


def test_zeiss(tmp_path):
    # the text block of CZ_SEM: a key, then a line of value and unit
    text = b"\r\n".join([b"0\t0\t0\t2.5e-11", b"AP_IMAGE_PIXEL_SIZE", b"Image Pixel Size = 25.0 pm", b""])
    path = private_tag(tmp_path / "a.tif", 34118, text)
    assert read_micrograph(path).pixel_size == pytest.approx(0.25)


def test_olympus_sis(tmp_path):
    path = tmp_path / "a.tif"
    general = struct.pack("<10xhdd8xd2x34s32s", -9, 0.02, 0.02, 5e6, b"camera", b"STEM")
    length = 60 + 8 + len(general)
    private_tag(path, 33560, bytes(length))  # a place for the block, which knows where it lies
    content = path.read_bytes()
    with tifffile.TiffFile(path) as tiff:
        at = tiff.pages[0].tags[33560].valueoffset
    block = struct.pack("<4s6xhhhhh6x32sH", b"SIS0", 1, 2, 3, 4, 120, b"scan", 1)
    block += struct.pack("<hhI", 1, 1, at + 68) + general
    path.write_bytes(content[:at] + block + content[at + length :])
    assert read_micrograph(path).pixel_size == pytest.approx(0.2)


def test_jeol(tmp_path):
    report = (
        "<TemReporter><Eos><EosMode>eosTEM</EosMode></Eos><ImageFormingSystem>"
        "<ModeString>{}</ModeString><SelectorValue>1000000</SelectorValue></ImageFormingSystem></TemReporter>"
    )
    for mode in ("MAG", "DIFF"):
        tifffile.imwrite(
            tmp_path / f"{mode}.tif", IMAGE, metadata=None, description=report.format(mode),
            resolution=(1000, 1000), resolutionunit="CENTIMETER",
            extratags=[(271, 2, 0, "JEOL Ltd.", True)],
        )  # fmt: skip
    # 10 µm of the detector a pixel, magnified a million times
    assert read_micrograph(tmp_path / "MAG.tif").pixel_size == pytest.approx(0.1)
    with pytest.raises(MicrographError, match="diffraction pattern"):
        read_micrograph(tmp_path / "DIFF.tif")


def test_a_diffraction_pattern_is_named_as_such(tmp_path):
    write_ser(tmp_path / "a.ser", IMAGE[None], 1.0157e8)
    with pytest.raises(MicrographError, match=r"a\.ser: this is a diffraction pattern"):
        read_micrograph(tmp_path / "a.ser")
    tifffile.imwrite(tmp_path / "a.tif", IMAGE, imagej=True, resolution=(10, 10), metadata={"unit": "1/nm"})
    with pytest.raises(MicrographError, match=r"a\.tif: this is a diffraction pattern"):
        read_micrograph(tmp_path / "a.tif")


def test_the_emi_opens_its_series_and_describes_it(tmp_path):
    write_ser(tmp_path / "scan_1.ser", IMAGE[None], 1e-11)
    write_ser(tmp_path / "scan_2.ser", IMAGE[None] + 1, 2e-11)
    described = [
        f"<ObjectInfo><ExperimentalDescription><Root><Data><Label>High tension</Label><Value>{kv}</Value>"
        "<Unit>kV</Unit></Data></Root></ExperimentalDescription></ObjectInfo>"
        for kv in (300, 80)
    ]
    (tmp_path / "scan.emi").write_bytes(b"\x01\x02" + "".join(described).encode() + b"\x00")
    found = read_micrographs(tmp_path / "scan.emi")
    assert [m.pixel_size for m in found] == pytest.approx([0.1, 0.2])
    np.testing.assert_array_equal(found[1].image, IMAGE + 1)
    (tmp_path / "scan.emi").write_bytes(b"<ObjectInfo><broken></ObjectInfo>")
    assert read_micrograph(tmp_path / "scan_1.ser").pixel_size == pytest.approx(0.1)
    (tmp_path / "alone.emi").write_bytes(b"x")
    with pytest.raises(MicrographError, match=r"alone_1\.ser"):
        read_micrograph(tmp_path / "alone.emi")


def test_one_of_several_signals_is_chosen(tmp_path):
    from formats import write_velox

    path = tmp_path / "v.emd"
    write_velox(path, {"HAADF": IMAGE, "BF": IMAGE[::-1].copy()}, 1e-11, spectrum=False)
    assert len(read_micrographs(path)) == 2
    (found,) = read_micrographs(path, signal="bf")
    np.testing.assert_array_equal(found.image, IMAGE[::-1])
    with pytest.raises(MicrographError, match=r"no signal 'ABF'; the file has HAADF, BF"):
        read_micrographs(path, signal="ABF")


# --- files that lie -------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["link", "storage", "virtual"])
@pytest.mark.parametrize("suffix", [".emd", ".hspy"])
def test_hdf5_reads_nothing_outside_its_file(tmp_path, how, suffix):
    secret = tmp_path / "secret"
    secret.write_bytes(IMAGE.tobytes())
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["data"] = IMAGE
    path = berkeley(tmp_path / f"a{suffix}", IMAGE, "yx")
    with h5py.File(path, "a") as file:
        group = file["data/image"]
        del group["data"]
        if how == "link":
            group["data"] = h5py.ExternalLink("other.h5", "data")
        elif how == "storage":
            group.create_dataset("data", IMAGE.shape, "u2", external=[(str(secret), 0, IMAGE.nbytes)])
        else:
            layout = h5py.VirtualLayout(IMAGE.shape, "u2")
            layout[:] = h5py.VirtualSource("other.h5", "data", IMAGE.shape)
            group.create_virtual_dataset("data", layout)
    with pytest.raises(MicrographError, match="lies in another file"):
        read_micrographs(path)


@pytest.mark.parametrize("suffix", [".emd", ".hspy"])
def test_a_bomb_is_told_before_anything_is_allocated(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    berkeley(path, IMAGE, "yx")
    with h5py.File(path, "a") as file:
        group = file["data/image"]
        del group["data"], group["dim1"], group["dim2"]
        group.create_dataset("data", (60000, 60000), "f4", chunks=(1000, 1000), compression="gzip")
    with pytest.raises(MicrographError):
        read_micrographs(path)


def test_pixels_beyond_the_memory_are_refused(tmp_path, monkeypatch):
    path = tmp_path / "a"
    with path.open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(MicrographError, match="GiB"):
        check_decoded_size(path, 2**41)
    check_decoded_size(path, 2**20)
    path.write_bytes(b"x" * 100)
    with pytest.raises(MicrographError, match="damaged"):
        check_decoded_size(path, 2**29)


def test_a_loop_without_end_is_ended(tmp_path, monkeypatch):
    monkeypatch.setattr("napari_stemprior.io.readers.time_limit._LEAST", 0.2)
    path = tmp_path / "a"
    path.write_bytes(b"x")

    def endless():
        with time_limit(path):
            while True:
                math.sqrt(2)

    with pytest.raises(TookTooLongError):
        endless()
    with time_limit(path):  # waiting is no work, as for a slow drive
        time.sleep(0.5)


def read_or_refused(path):
    """Read a file or refuse it, but not because the time was over."""
    try:
        return read_micrographs(path)
    except MicrographError as error:
        if isinstance(error.__cause__, TookTooLongError):
            pytest.fail("it hangs")
        return []


@pytest.mark.parametrize("field", range(4))
@pytest.mark.parametrize("value", [-1, 0, 2**31 - 1, 0x4A000001])
def test_no_number_in_the_header_of_an_mrc_hangs_or_lies(tmp_path, field, value):
    path = tmp_path / "a.mrc"
    write_mrc(path, IMAGE.astype(np.float32), cell_angstrom=(5.6, 4.0, 1))
    data = bytearray(path.read_bytes())
    struct.pack_into("<i", data, 4 * field, value)
    path.write_bytes(data)
    assert all(m.image.size <= IMAGE.size for m in read_or_refused(path))


@pytest.mark.parametrize("at", range(10, 30, 4))
def test_no_number_in_the_header_of_a_series_hangs(tmp_path, at):
    path = tmp_path / "a.ser"
    write_ser(path, IMAGE[None], 1e-11)
    data = bytearray(path.read_bytes())
    struct.pack_into("<I", data, at, 0x7FFFFFFF)
    path.write_bytes(data)
    read_or_refused(path)


# --- the cases --------------------------------------------------------------------------------------


@needs_cases
def test_the_images_of_the_cases():
    folder = CASES / "images"
    with h5py.File(folder / "n_m_and_y_then_x.emd") as file:
        (data,) = (item[()] for item in file["data/image"].values() if item.ndim == 2)
    emd = read_micrograph(folder / "n_m_and_y_then_x.emd")
    assert emd.image[0, -1] == data[0, -1]
    np.testing.assert_array_equal(emd.image, data)
    assert emd.pixel_size == pytest.approx(0.1)
    sizes = [m.pixel_size for m in read_micrographs(folder / "overview_first.tif")]
    assert sizes == pytest.approx([0.4, 0.1])
    assert read_micrograph(folder / "fiji_angstrom.tif").pixel_size == pytest.approx(0.1)
    with pytest.raises(MicrographError, match="diffraction"):
        read_micrograph(folder / "diffraction.ser")
    for name in ("hang.mrc", "no_frames.tif"):
        with pytest.raises(MicrographError, match=name) as caught:
            read_micrographs(folder / name)
        assert not isinstance(caught.value.__cause__, TookTooLongError)


@needs_cases
@pytest.mark.skipif(os.name != "posix", reason="a limit of the system")
def test_the_bomb_of_the_cases():
    with pytest.raises(MicrographError, match="damaged"):
        read_micrographs(CASES / "robustness" / "bomb60000.hspy")


def test_a_heap_in_which_hdf5_would_go_round_for_ever_is_told(tmp_path):
    path = tmp_path / "a.hspy"
    with h5py.File(path, "w") as file:
        file.attrs["file_format"] = "HyperSpy"  # of variable length, in a global heap
    assert not has_endless_heap(path)
    data = bytearray(path.read_bytes())
    at = data.index(b"GCOL") + 16
    at += 16 + 8  # the text of eight letters, then the free space
    assert struct.unpack_from("<H", data, at) == (0,)
    data[at + 8 : at + 16] = bytes(8)
    path.write_bytes(data)
    assert has_endless_heap(path)
    with pytest.raises(MicrographError, match=r"a\.hspy: the file is damaged"):
        read_micrographs(path)
