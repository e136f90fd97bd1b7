"""What is no micrograph is refused with the same sentence, whichever way it comes in."""

import numpy as np
import pytest
import tifffile
from napari.components import ViewerModel
from napari.layers import Image
from PIL import Image as Picture

from napari_stemprior.commands import main as cli
from napari_stemprior.errors import MicrographError
from napari_stemprior.inference import Segmenter
from napari_stemprior.io import Micrograph, read_micrographs
from napari_stemprior.qt import readers
from napari_stemprior.qt.layers.atom_layers import micrograph_from_layer
from napari_stemprior.recording import checked_image, inverted, prepare
from napari_stemprior.registration import register
from napari_stemprior.structure import built_in

SIDE = 48
GOOD = np.random.default_rng(0).integers(1, 200, (SIDE, SIDE)).astype(np.float32)
COLOURED = np.stack([GOOD, GOOD, GOOD[::-1]], axis=-1).astype(np.uint8)
BAD = {
    "complex64": (GOOD.astype(np.complex64), "take the magnitude"),
    "complex128": (np.fft.fft2(GOOD), "take the magnitude"),
    "boolean": (GOOD > 100, "boolean"),
    "object": (GOOD.astype(object), "not numbers"),
    "ragged": ([[1.0, 2.0], [3.0]], "no array of numbers"),
    "empty": (GOOD[:0], "empty"),
    "1-D": (GOOD[0], "single 2-D image"),
    "stack": (np.stack([GOOD, GOOD]), "single 2-D image"),
    "RGB": (COLOURED, "colour image"),
    "RGBA": (np.concatenate([COLOURED, COLOURED[..., :1]], axis=-1), "colour image"),
    "NaN": (np.full_like(GOOD, np.nan), "[Nn]o pixel of the image is a number"),
    "constant": (np.full_like(GOOD, 3), "same value"),
}
FILES = ("complex64", "complex128", "boolean", "RGB", "RGBA", "NaN", "constant")


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    return Segmenter("small", "cpu")


@pytest.mark.parametrize("kind", BAD)
def test_every_door_of_the_library_says_the_same(kind, segmenter):
    image, words = BAD[kind]
    said = set()
    for check in (
        checked_image,
        prepare,
        lambda bad: register(bad, 0.2, built_in("MoS2")),
        lambda bad: segmenter.set_image(bad, 0.2),
    ):
        with pytest.raises(MicrographError, match=words) as error:
            check(image)
        said.add(str(error.value))
    with pytest.raises(MicrographError, match=f"^flake: .*{words}") as error:
        Micrograph(image, 0.2, "flake")
    (sentence,) = said
    assert str(error.value).removeprefix("flake: ") == sentence[0].lower() + sentence[1:]
    assert sentence.endswith(".")
    assert "\n" not in sentence


@pytest.mark.parametrize("kind", [k for k in BAD if k not in ("NaN", "constant")])
def test_nothing_of_it_is_inverted(kind):
    with pytest.raises(MicrographError, match=BAD[kind][1]):
        inverted(BAD[kind][0])


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("command", ["segment", "suggest"])
def test_a_file_of_it_ends_a_command_with_exit_code_2(tmp_path, capsys, kind, command):
    image, words = BAD[kind]
    path = tmp_path / "bad.tif"
    tifffile.imwrite(path, image, photometric="rgb" if image.ndim == 3 else "minisblack")
    more = ["--no-prior", "-o", str(tmp_path / "out")] if command == "segment" else []
    assert cli.main([command, str(path), "--pixel-size", "0.2", *more]) == 2
    lines = capsys.readouterr().err.splitlines()
    with pytest.raises(MicrographError, match=words) as error:
        read_micrographs(path)
    assert lines == [f"stemprior: {error.value}"]


def test_a_picture_of_one_bit_is_refused(tmp_path):
    Picture.fromarray(GOOD > 100).save(tmp_path / "mask.png")
    with pytest.raises(MicrographError, match=r"^mask: the image is boolean"):
        read_micrographs(tmp_path / "mask.png")


@pytest.mark.parametrize("kind", [kind for kind in FILES if not kind.startswith("complex")])
def test_a_layer_of_it_is_refused(kind):  # napari itself takes no complex layer
    image, words = BAD[kind]
    layer = Image(image, rgb=image.ndim == 3, name="flake", contrast_limits=(0, 255))
    ViewerModel().add_layer(layer)
    with pytest.raises(MicrographError, match=f"^flake: .*{words}"):
        micrograph_from_layer(layer)


@pytest.mark.parametrize("kind", FILES)
def test_our_reader_hands_none_of_it_to_napari(tmp_path, kind):
    image, words = BAD[kind]
    path = tmp_path / "bad.tif"
    tifffile.imwrite(path, image, photometric="rgb" if image.ndim == 3 else "minisblack")
    with pytest.raises(MicrographError, match=words):
        readers.read(str(path))


@pytest.mark.parametrize("channels", [3, 4])
def test_a_grey_image_saved_in_colour_is_the_grey_image_everywhere(channels):
    image = np.repeat(GOOD[..., None], channels, axis=-1).astype(np.uint8)
    if channels == 4:
        image[..., 3] = 255
    np.testing.assert_array_equal(checked_image(image), GOOD)
    np.testing.assert_array_equal(Micrograph(image, 0.2).image, GOOD)
    np.testing.assert_array_equal(micrograph_from_layer(Image(image, rgb=True)).image, GOOD)


def test_a_good_image_is_not_changed_in_place():
    image = GOOD.copy()
    made = prepare(image).image
    made += 1
    np.testing.assert_array_equal(image, GOOD)
