"""Images that cannot be read: one sentence that names the file."""

import gc
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr
from formats import write_dm, write_mrc, write_ser, write_velox
from hspy_files import hspy_file
from PIL import Image

from napari_stemprior.errors import MicrographError, StempriorError
from napari_stemprior.io import SUFFIXES, read_micrograph, read_micrographs

#: An .emi file holds no pixels, and .zarr is a folder.
NO_FILE_OF_PIXELS = (".emi", ".zarr")


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


@pytest.fixture(params=[suffix for suffix in SUFFIXES if suffix not in NO_FILE_OF_PIXELS])
def good_file(request, tmp_path, image) -> Path:
    path = tmp_path / f"good{request.param}"
    match request.param:
        case ".hspy" | ".hdf5" | ".h5":
            hspy = hspy_file(tmp_path / "good.hspy", image, [0.02, 0.02], ["nm", "nm"], [False, False])
            hspy.rename(path)
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


def cut(path: Path, fraction: float) -> None:
    """Shorten a file."""
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * fraction)])


@pytest.mark.parametrize("part", ["zarr.json", "c/0/0"])
def test_zarr_of_which_a_part_is_cut_short(tmp_path, image, part):
    path = tmp_path / "good.zarr"
    zarr.create_array(path, shape=image.shape, dtype=image.dtype)[:] = image
    cut(path / part, 0.5)
    with pytest.raises(MicrographError) as caught:
        read_micrographs(path)
    one_sentence(caught.value, path.name)


@pytest.mark.parametrize("fraction", [0.1, 0.5, 0.9])
def test_cut_short(good_file, fraction):
    assert read_micrographs(good_file)
    cut(good_file, fraction)
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
