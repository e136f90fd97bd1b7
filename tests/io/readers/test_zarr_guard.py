"""A Zarr folder reads nothing outside itself, and what is not there is said."""

import os
import sys

import numpy as np
import pytest
import zarr

from napari_stemprior.errors import MicrographError
from napari_stemprior.io import read_micrograph, read_micrographs
from napari_stemprior.recording import stored_image

SHAPE = (40, 56)
PIXELS = np.add.outer(np.arange(40) ** 2, 7 * np.arange(56)).astype(np.uint16)


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "a.zarr"
    array = zarr.create_array(path, shape=SHAPE, chunks=(16, 16), dtype="u2", zarr_format=2, compressors=None)
    array[:] = PIXELS
    return path


@pytest.mark.parametrize("part", [".zarray", "1.1"])
def test_a_link_that_leads_out_is_not_followed(folder, part):
    outside = folder.with_name("outside")
    (folder / part).rename(outside)
    (folder / part).symlink_to(outside)
    with pytest.raises(MicrographError, match=r"a\.zarr: a part of it lies elsewhere"):
        read_micrographs(folder)
    outside.rename(folder / "inside")
    (folder / part).unlink()
    (folder / part).symlink_to("inside")
    np.testing.assert_array_equal(read_micrograph(folder).image, PIXELS)


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such pipes")
@pytest.mark.parametrize("part", [".zarray", "1.1"])
def test_a_pipe_in_it_is_refused_at_once(folder, part):
    (folder / part).unlink()
    os.mkfifo(folder / part)
    with pytest.raises(MicrographError, match="is no file"):
        read_micrographs(folder)


def test_chunks_that_are_missing_are_said(folder):
    assert "remarks" not in read_micrograph(folder).metadata
    (folder / "1.2").unlink()
    found = read_micrograph(folder)
    (remark,) = found.metadata["remarks"]
    assert "1 of 12 chunks" in remark
    assert not found.image[16:32, 32:48].any()
    np.testing.assert_array_equal(found.image[:16], PIXELS[:16])
    for chunk in folder.glob("?.?"):
        chunk.unlink()
    with pytest.raises(MicrographError, match="no pixels"):
        read_micrographs(folder)


@pytest.mark.parametrize(
    ("shape", "chunks", "words"),
    [
        ((10**8, 10**8), (512, 512), "damaged"),
        ((40, 56), (10**6, 10**6), "damaged"),
        ((300, 300), (1, 1), "90000 chunks"),
        ((20_000, 20_000), (2, 2), "damaged|chunks"),
    ],
)
def test_sizes_that_the_files_do_not_explain(tmp_path, shape, chunks, words):
    path = tmp_path / "b.zarr"
    zarr.create_array(path, shape=shape, chunks=chunks, dtype="u2", zarr_format=2)
    (path / "0.0").write_bytes(bytes(1000))
    with pytest.raises(MicrographError, match=rf"b\.zarr: .*{words}"):
        read_micrographs(path)


@pytest.mark.parametrize("dtype", ["|O", "<U4", "<c8", "|b1"])
def test_what_is_no_number_is_refused_before_a_codec_makes_objects(tmp_path, dtype, monkeypatch):
    filters = '[{"id": "vlen-utf8"}]' if dtype == "|O" else "null"
    path = tmp_path / "c.zarr"
    path.mkdir()
    fill = '""' if dtype in ("|O", "<U4") else "false" if dtype == "|b1" else "[0.0, 0.0]"
    (path / ".zarray").write_text(
        f'{{"shape": [40, 56], "chunks": [40, 56], "dtype": "{dtype}", "fill_value": {fill}, "order": "C", '
        f'"filters": {filters}, "compressor": null, "zarr_format": 2}}'
    )
    (path / "0.0").write_bytes(b"\x80\x04.")
    monkeypatch.setattr(zarr.Array, "__getitem__", lambda *_: pytest.fail("it was decoded"))
    with pytest.raises(MicrographError, match=r"c\.zarr"):
        read_micrographs(path)


@pytest.mark.parametrize("large", [False, True])
def test_axes_are_taken_by_name(tmp_path, monkeypatch, large):
    if large:
        monkeypatch.setattr(stored_image, "IN_ONE_PIECE", 100)
    group = zarr.create_group(tmp_path / "d.ome.zarr", zarr_format=2)
    group.create_array("0", shape=SHAPE[::-1], chunks=(16, 16), dtype="u2")[:] = PIXELS.T
    steps = [{"type": "scale", "scale": [0.02, 0.02]}]
    axes = [{"name": name, "type": "space", "unit": "nanometer"} for name in "xy"]
    group.attrs["multiscales"] = [
        {"axes": axes, "datasets": [{"path": "0", "coordinateTransformations": steps}]}
    ]
    found = read_micrograph(tmp_path / "d.ome.zarr")
    np.testing.assert_array_equal(np.asarray(found.image), PIXELS)
    np.testing.assert_array_equal(found.image[3:9, 20:31], PIXELS[3:9, 20:31])
    assert found.pixel_size == pytest.approx(0.2)
    group.attrs["multiscales"] = [
        {"axes": axes[:1], "datasets": [{"path": "0", "coordinateTransformations": steps}]}
    ]
    assert read_micrograph(tmp_path / "d.ome.zarr").pixel_size is None
