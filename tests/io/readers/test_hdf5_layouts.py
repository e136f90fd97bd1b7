"""An HDF5 file is read by what is in it, whatever it is called."""

import h5py
import numpy as np
import pytest
from formats import write_velox
from hspy_files import hspy_file

from napari_stemprior.errors import MicrographError
from napari_stemprior.io import read_micrograph
from napari_stemprior.io.readers.hdf5_layout import hdf5_layout
from napari_stemprior.qt.readers import get_reader


def old_hyperspy(path, image):
    """Write what HyperSpy 1.7 writes of a signal of half precision whose axes have no unit, by h5py alone."""
    with h5py.File(path, "w") as file:
        file.attrs["file_format"], file.attrs["file_format_version"] = "HyperSpy", "3.1"
        signal = file.create_group("Experiments/__unnamed__")
        signal.attrs["package"], signal.attrs["package_version"] = "hyperspy", "1.7.5"
        signal["data"] = image.astype(np.float16)
        for number, size in enumerate(image.shape):
            axis = signal.create_group(f"axis-{number}")
            axis.attrs.update(
                _type="UniformDataAxis", is_binned=False, navigate=False, offset=0.0, scale=0.0093, size=size
            )
        metadata = signal.create_group("metadata")
        metadata.create_group("General").attrs["title"] = ""
        metadata.create_group("Signal").attrs.update(record_by="image", signal_origin="", signal_type="")
        signal.create_group("original_metadata")
        signal.create_group("learning_results")
    return path


def berkeley(path, image):
    with h5py.File(path, "w") as file:
        group = file.create_group("4DSTEM_simulation/data/realslices/annular_detector_depth0000")
        group.attrs["emd_group_type"] = 1
        group["realslice"] = image
        for number, (name, size) in enumerate(zip(("R_y", "R_x"), image.shape, strict=True), 1):
            dimension = group.create_dataset(f"dim{number}", data=0.25 * np.arange(size, dtype=np.float32))
            dimension.attrs["name"], dimension.attrs["units"] = np.bytes_(name), np.bytes_("[Å]".encode())
    return path


@pytest.mark.parametrize("suffix", [".hdf5", ".h5", ".HDF5"])
def test_hyperspy_of_old(tmp_path, image, suffix):
    path = old_hyperspy(tmp_path / f"a{suffix}", image)
    assert hdf5_layout(path) == "hspy"
    micrograph = read_micrograph(path)
    np.testing.assert_array_equal(micrograph.image, image)
    assert micrograph.image.dtype == np.float32
    assert micrograph.pixel_size is None  # a scale without a unit is none
    assert get_reader(str(path)) is not None


@pytest.mark.parametrize("suffix", [".hdf5", ".h5", ".emd"])
def test_hyperspy_of_today_by_another_name(tmp_path, image, suffix):
    path = hspy_file(tmp_path / "a.hspy", image, [0.02, 0.02], ["nm", "nm"], [False, False], "HAADF")
    path = path.rename(tmp_path / f"a{suffix}")
    assert read_micrograph(path).pixel_size == pytest.approx(0.2)
    np.testing.assert_array_equal(read_micrograph(path).image, image)


@pytest.mark.parametrize("suffix", [".h5", ".hdf5", ".hspy"])
def test_berkeley_emd_by_another_name(tmp_path, image, suffix):
    path = berkeley(tmp_path / f"a{suffix}", image)
    assert hdf5_layout(path) == "berkeley"
    assert read_micrograph(path).pixel_size == pytest.approx(0.25)
    np.testing.assert_array_equal(read_micrograph(path).image, image)


def test_velox_emd_by_another_name(tmp_path, image):
    write_velox(tmp_path / "v.emd", {"HAADF": image}, 1.5e-11, spectrum=False)
    path = (tmp_path / "v.emd").rename(tmp_path / "v.h5")
    assert hdf5_layout(path) == "velox"
    assert read_micrograph(path).pixel_size == pytest.approx(0.15)


def test_another_layout_is_said_and_left_to_other_readers(tmp_path, image):
    path = tmp_path / "cube.h5"
    with h5py.File(path, "w") as file:
        file["entry/data"] = image
    assert hdf5_layout(path) is None
    with pytest.raises(MicrographError, match=r"cube\.h5: this HDF5 file is laid out neither as EMD .* TIFF"):
        read_micrograph(path)
    assert get_reader(str(path)) is None


def test_what_is_no_hdf5_is_said(tmp_path):
    path = tmp_path / "a.h5"
    path.write_bytes(b"not HDF5 at all")
    with pytest.raises(MicrographError, match=r"a\.h5: this cannot be read as H5"):
        read_micrograph(path)
    assert get_reader(str(path)) is None


def test_a_link_out_of_the_file_is_not_followed(tmp_path, image):
    old_hyperspy(tmp_path / "a.h5", image)
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["Experiments"] = h5py.ExternalLink("a.h5", "/Experiments")
    with pytest.raises(MicrographError, match=r"b\.h5: a part of it lies in another file \(a\.h5\)"):
        read_micrograph(tmp_path / "b.h5")
    assert get_reader(str(tmp_path / "b.h5")) is None
