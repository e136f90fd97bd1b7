"""Files that microscopes wrote, with what the tests of HyperSpy state of them; skipped where there are none.

``bash scripts/vendor_files.sh`` fetches them: they lie in the source package of HyperSpy 1.7.6, whose readers
became RosettaSciIO, and in that of nionswift-io. Their pixels are often so few or so large that no atom
could be seen, so what is tested is what the readers hand on, before it is judged.
"""

import os
from pathlib import Path

import numpy as np
import pytest

from napari_stemprior.errors import MicrographError
from napari_stemprior.io.readers.read_micrograph import _quiet
from napari_stemprior.io.readers.signal_files import read_signals
from napari_stemprior.io.readers.tiff_files import read_tiff

FOLDER = Path(os.environ.get("STEMPRIOR_VENDOR_FILES", Path(__file__).resolve().parents[3] / ".vendor"))
HYPERSPY, NION = (
    FOLDER / "hyperspy-1.7.6/hyperspy/tests/io",
    FOLDER / "nionswift_io-15.5.0/nionswift_plugin/DM_IO/test",
)
pytestmark = pytest.mark.skipif(not HYPERSPY.is_dir(), reason="the vendor files are not there")

#: File: shape of the first signal (frames, rows, columns) and Å/px, as HyperSpy's tests say.
STATED = {
    "FEI_new/128x128-TEM_search.emi": ((1, 128, 128), 52.6121),
    "FEI_old/16x16_STEM_BF_DF_search.emi": ((1, 16, 16), 220.26285),
    "FEI_old/16x16_STEM_BF_DF_acquire.emi": ((1, 16, 16), 215.10044),
    "FEI_old/16x16x5_STEM_BF_DF_preview.emi": ((5, 16, 16), 215.10044),
    "FEI_old/64x64x5_TEM_preview.emi": ((5, 64, 64), 62.81833),
    "FEI_old/64x64_TEM_images_acquire.emi": ((1, 64, 64), 62.81833),
    "dm3_2D_data/multi_signal.dm3": ((1, 512, 512), 0.17751578),
    "dm3_2D_data/test_STEM_image.dm3": ((1, 68, 68), 2.4853802),
    "emd_files/fei_emd_image.emd": ((1, 512, 512), 53.0241),
    "emd_files/fei_SI_EDS-HAADF-4detectors_2frames.emd": ((1, 16, 16), 12.34009),
    "emd_files/fei_SI_SuperX-HAADF_10frames_10x50.emd": ((1, 50, 10), 12.34009),
    "emd_files/fei_example_tem_stack.emd": ((2, 3, 3), None),
    "emd_files/1532 Camera Ceta.emd": ((1, 64, 64), 2.155734),
    "tiff_files/test_dm_image_um_unit.dm3": ((1, 68, 68), 1686.7),
    "tiff_files/test_loading_image_saved_with_DM.tif": ((1, 68, 68), 1686.7),
    "tiff_files/test_loading_image_saved_with_imageJ.tif": ((1, 68, 68), 1686.7),
    "tiff_files/test_loading_image_saved_with_imageJ_stack.tif": ((2, 68, 68), 1686.7),
    "tiff_files/test_loading_image_saved_with_imageJ_stack_no_scale.tif": ((2, 68, 68), None),
    "tiff_files/test_loading_image_saved_with_imageJ_no_scale.tif": ((1, 68, 68), None),
    "tiff_files/TVIPS_bin4.tif": ((1, 1024, 1024), 14.2080),
    "tiff_files/olympus_SIS.tif": ((1, 101, 112), 0.239279),
    "tiff_files/test_tiff_Zeiss_SEM_512pix.tif": ((1, 384, 512), 58.2456),
    "tiff_files/JEOL-SightX-TEM-mag-dummy.tif": ((1, 556, 556), 18.208),
}
#: What is no micrograph, and a word of the reason.
REFUSED = {
    "FEI_old/64x64_diffraction_acquire.emi": "diffraction",
    "FEI_new/128x128x5-diffraction_preview.emi": "diffraction",
    "FEI_old/16x16-spectrum_image-5x5x1024.emi": "no image",
    "FEI_new/16x16-diffraction_imagel_5x5x256x256_EDS.emi": "no image",
    "dm3_2D_data/test_diffraction_pattern.dm3": "diffraction",
    "emd_files/fei_example_complex_fft.emd": "complex",
    "emd_files/fei_emd_spectrum.emd": "no image",
    "emd_files/Si100_4D.emd": "no image",
    "tiff_files/JEOL-SightX-SAED-dummy.tif": "diffraction",
    "tiff_files/test_rgba16.tif": "colour",
}


def read(name, folder=HYPERSPY):
    path = folder / name
    with _quiet():
        return read_tiff(path) if path.suffix == ".tif" else read_signals(path)


@pytest.mark.parametrize("name", STATED)
def test_shape_and_pixel_size_are_what_its_own_tests_state(name):
    shape, size = STATED[name]
    first = read(name)[0]
    assert first.frames.shape == shape
    if size is not None:
        assert first.pixel_size == pytest.approx((size, size), rel=1e-4)


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_micrograph_is_refused(name):
    with pytest.raises(MicrographError, match=REFUSED[name]):
        read(name)


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("FEI_old/64x64_TEM_images_acquire.emi", "FEI_old/64x64_TEM_images_acquire.npy"),
        ("emd_files/fei_emd_image.emd", "emd_files/fei_emd_image.npy"),
    ],
)
def test_the_pixels_are_those_that_its_own_tests_keep(name, array):
    np.testing.assert_array_equal(read(name)[0].frames[0], np.load(HYPERSPY / array))


@pytest.mark.parametrize("version", [3, 4])
@pytest.mark.parametrize("kind", [1, 2, 6, 7, 9, 10, 11, 12])
def test_every_type_of_number_of_digital_micrograph(version, kind):
    first = read(f"dm{version}_2D_data/test-{kind}.dm{version}")[0]
    np.testing.assert_array_equal(first.frames, [[[1, 2], [3, 4]]])


def test_a_berkeley_emd_that_columns_come_first_in():
    # as test_emd says: the transpose of what is stored
    np.testing.assert_array_equal(
        read("emd_files/example_image.emd")[0].frames[0], np.arange(9).reshape(3, 3).T
    )


@pytest.mark.parametrize("suffix", [".dm3", ".dm4"])
@pytest.mark.parametrize(
    ("name", "shape"), [("ref_F_0_2", (1, 3, 2)), ("ref_F_1_2", (4, 3, 2)), ("ref_T_0_2", (3, 4, 5))]
)
def test_what_nion_swift_wrote(name, shape, suffix):
    if not NION.is_dir():
        pytest.skip("the files of nionswift-io are not there")
    first = read(f"resources/{name}{suffix}", NION)[0]
    assert first.frames.shape == shape
