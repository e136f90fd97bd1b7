"""Large images of TIFF, MRC and Zarr stay in their files until blocks of them are asked for."""

import numpy as np
import pytest
import tifffile
import zarr

from napari_stemprior.errors import MicrographError, PixelSizeError
from napari_stemprior.io import Micrograph, read_micrograph, read_micrographs
from napari_stemprior.recording import stored_image
from napari_stemprior.recording.stored_image import StoredImage, is_stored

SHAPE = (300, 170)
DESCRIPTION = '{"pixel_size_angstrom": 0.1}'


@pytest.fixture
def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 1000, SHAPE).astype(np.uint16)


@pytest.fixture(autouse=True)
def all_are_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored_image, "IN_ONE_PIECE", 1000)


def assert_stays(micrograph: Micrograph, pixels: np.ndarray, pixel_size: float | None = 0.1) -> None:
    image = micrograph.image
    assert isinstance(image, StoredImage)
    assert image.shape == SHAPE
    assert image.dtype == np.float32
    assert micrograph.pixel_size == pixel_size
    assert np.array_equal(image[100:120], pixels[100:120])
    assert np.array_equal(image[7:9, 100:103], pixels[7:9, 100:103])
    assert image[5:6].dtype == np.float32
    assert np.array_equal(np.asarray(image), pixels)


@pytest.mark.parametrize(
    "options",
    [{}, {"byteorder": ">"}, {"tile": (64, 64)}, {"rowsperstrip": 16, "compression": "zlib"}],
    ids=["contiguous", "big-endian", "tiled", "compressed strips"],
)
def test_tiff(tmp_path, pixels, options):
    tifffile.imwrite(tmp_path / "a.tif", pixels, description=DESCRIPTION, metadata=None, **options)
    assert_stays(read_micrograph(tmp_path / "a.tif"), pixels)


def test_one_compressed_strip_is_read_at_once(tmp_path, pixels):
    tifffile.imwrite(tmp_path / "a.tif", pixels, compression="zlib", rowsperstrip=SHAPE[0])
    assert isinstance(read_micrograph(tmp_path / "a.tif").image, np.ndarray)


def test_stack_of_tiff(tmp_path, pixels):
    stack = np.stack([pixels, pixels[::-1]])
    tifffile.imwrite(tmp_path / "a.tif", stack, description=DESCRIPTION, metadata=None)
    first, second = read_micrographs(tmp_path / "a.tif")
    assert_stays(first, stack[0])
    assert_stays(second, stack[1])
    assert second.name == "a [1]"


def test_mrc(tmp_path, pixels):
    header = np.zeros(256, "<i4")
    header[:4] = SHAPE[1], SHAPE[0], 1, 6
    header[7:10] = SHAPE[1], SHAPE[0], 1
    header[10:13] = np.array([SHAPE[1] * 0.1, SHAPE[0] * 0.1, 0.1], "<f4").view("<i4")
    header[16:19] = 1, 2, 3
    header[52] = int.from_bytes(b"MAP ", "little")
    (tmp_path / "a.mrc").write_bytes(header.tobytes() + pixels.tobytes())
    micrograph = read_micrograph(tmp_path / "a.mrc")
    assert micrograph.pixel_size == pytest.approx(0.1)
    assert_stays(micrograph, pixels, micrograph.pixel_size)


def test_zarr_array(tmp_path, pixels):
    array = zarr.create_array(tmp_path / "a.zarr", shape=SHAPE, chunks=(64, 64), dtype="uint16")
    array[:] = pixels
    array.attrs["pixel_size_angstrom"] = 0.1
    assert_stays(read_micrograph(tmp_path / "a.zarr"), pixels)


@pytest.mark.parametrize("version", [2, 3])
def test_ome_zarr(tmp_path, pixels, version):
    group = zarr.create_group(tmp_path / "a.ome.zarr", zarr_format=version)
    array = group.create_array("0", shape=(2, *SHAPE), chunks=(1, 64, 64), dtype="uint16")
    array[:] = np.stack([pixels, pixels[::-1]])
    scale = [{"type": "scale", "scale": [1.0, 0.01, 0.01]}]
    described = [
        {
            "name": "HAADF",
            "axes": [{"name": "t"}, *({"name": n, "type": "space", "unit": "nanometer"} for n in "yx")],
            "datasets": [{"path": "0", "coordinateTransformations": scale}],
        }
    ]
    group.attrs.update({"ome": {"multiscales": described}} if version == 3 else {"multiscales": described})
    first, second = read_micrographs(tmp_path / "a.ome.zarr")
    assert_stays(first, pixels)
    assert_stays(second, pixels[::-1])


def test_a_zarr_that_is_small_is_read(tmp_path, pixels, monkeypatch):
    monkeypatch.setattr(stored_image, "IN_ONE_PIECE", 2**20)
    zarr.create_array(tmp_path / "a.zarr", shape=SHAPE, dtype="uint16")[:] = pixels
    micrograph = read_micrograph(tmp_path / "a.zarr")
    assert isinstance(micrograph.image, np.ndarray)
    assert micrograph.pixel_size is None


def test_a_zarr_without_an_image_is_refused(tmp_path):
    zarr.create_group(tmp_path / "a.zarr")
    with pytest.raises(MicrographError, match=r"a\.zarr: .*multiscales"):
        read_micrograph(tmp_path / "a.zarr")
    (tmp_path / "b.zarr").mkdir()
    with pytest.raises(MicrographError, match=r"b\.zarr"):
        read_micrograph(tmp_path / "b.zarr")


def test_dask_and_memory_maps_stay_and_arrays_do_not(tmp_path, pixels):
    import dask.array as da

    np.save(tmp_path / "a.npy", pixels)
    mapped = np.load(tmp_path / "a.npy", mmap_mode="r")
    assert_stays(Micrograph(da.from_array(pixels, chunks=64), 0.1), pixels)
    assert_stays(Micrograph(mapped, 0.1), pixels)
    assert is_stored(mapped[:200])
    assert not is_stored(pixels)
    assert isinstance(Micrograph(pixels, 0.1).image, np.ndarray)


def test_inverted_by_blocks(pixels):
    micrograph = Micrograph(StoredImage(pixels), 0.1)
    assert np.array_equal(np.asarray(micrograph.inverted().image), pixels.max() + pixels.min() - pixels)
    assert micrograph.inverted().is_inverted


def test_what_is_no_image_is_refused_at_once(pixels):
    with pytest.raises(MicrographError, match="complex"):
        Micrograph(StoredImage(pixels), 0.1) and StoredImage(pixels.astype(np.complex64))
    with pytest.raises(MicrographError, match="shape"):
        StoredImage(pixels[None])


@pytest.mark.parametrize("size", [20.0, 0.004, 0.0, float("nan")])
def test_pixel_sizes_that_show_no_atoms_are_refused(tmp_path, pixels, size):
    with pytest.raises(PixelSizeError):
        Micrograph(pixels, size)
    tifffile.imwrite(tmp_path / "a.tif", pixels)
    with pytest.raises(PixelSizeError, match=r"a\.tif"):
        read_micrograph(tmp_path / "a.tif", size)
