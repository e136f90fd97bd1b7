import dask.array as da
import numpy as np
import pytest
from desk_fakes import PIXEL_SIZE, SHAPE, add_image, picture
from napari.layers import Image, Shapes

from napari_stemprior.atoms import AtomTable
from napari_stemprior.errors import ExportError, MicrographError, PixelSizeError
from napari_stemprior.io.micrograph import Micrograph
from napari_stemprior.qt.jobs.journal_service import describe
from napari_stemprior.qt.layers import atom_layers as layers
from napari_stemprior.qt.layers.palette import element_colour
from napari_stemprior.qt.widgets.drawing import draw
from napari_stemprior.recording import stored_image
from napari_stemprior.recording.stored_image import StoredImage


@pytest.mark.parametrize(
    ("unit", "scale", "expected"), [("nm", 0.02, 0.2), ("angstrom", 0.2, 0.2), ("pm", 20, 0.2)]
)
def test_a_pixel_size_is_read_in_any_length_unit(unit, scale, expected):
    layer = Image(picture(), scale=(scale, scale), units=(unit, unit))
    assert layers.pixel_size_of(layer) == pytest.approx(expected)


def test_pixels_are_no_length_and_must_be_square():
    assert layers.pixel_size_of(Image(picture())) is None
    with pytest.raises(PixelSizeError, match="square"):
        layers.pixel_size_of(Image(picture(), scale=(0.2, 0.3), units=("nm", "nm")))


def test_a_micrograph_survives_the_way_through_a_layer():
    micrograph = Micrograph(picture(), 0.127, "flake")
    data, meta, kind = layers.layer_from_micrographs([micrograph])[0]
    assert kind == "image"
    back = layers.micrograph_from_layer(Image(data, **meta))
    assert back.pixel_size == pytest.approx(0.127)
    assert back.name == "flake"
    np.testing.assert_array_equal(back.image, micrograph.image)


def test_equal_frames_become_one_stack_and_the_shown_frame_is_taken():
    frames = [Micrograph(picture() + i, 0.2, f"film [{i}]") for i in range(3)]
    (data, meta, _), *rest = layers.layer_from_micrographs(frames)
    assert not rest
    assert data.shape == (3, *SHAPE)
    assert meta["name"] == "film"
    layer = Image(data, **meta)
    assert layers.pixel_size_of(layer) == pytest.approx(0.2)
    np.testing.assert_array_equal(layers.micrograph_from_layer(layer, (2, 0, 0)).image, frames[2].image)


def test_unequal_images_stay_apart():
    made = layers.layer_from_micrographs([Micrograph(picture(), 0.2), Micrograph(picture((40, 50)), 0.2)])
    assert [data.shape for data, _, _ in made] == [SHAPE, (40, 50)]


def test_a_colour_image_is_refused():
    with pytest.raises(MicrographError, match="colour"):
        layers.micrograph_from_layer(Image(np.random.default_rng(0).random((20, 20, 3)), rgb=True))


def test_a_grey_picture_saved_in_colour_is_taken():
    grey = np.random.default_rng(0).integers(0, 255, (20, 30), dtype=np.uint8)
    layer = Image(np.stack([grey] * 3, -1), rgb=True)
    np.testing.assert_array_equal(layers.micrograph_from_layer(layer).image, grey)
    assert layers.shape_of(layer) == (20, 30)


def test_rows_survive_the_way_through_a_points_layer(viewer):
    image = add_image(viewer)
    layer = layers.new_atoms_layer(image, PIXEL_SIZE, 1.0)
    rows = AtomTable.from_positions(
        [(1.5, 2.25), (7, 8)], PIXEL_SIZE, atom_id=[4, 9], element=["Mo", "S"], status=["review", "rejected"]
    ).rows
    draw(layer, rows, np.ones(len(rows), bool))
    assert layers.rows_from_layer(layer).equals(rows)
    assert [str(s) for s in layer.symbol] == ["square", "x"]
    np.testing.assert_allclose(layer.border_color[0, :3], element_colour("Mo"), atol=1e-6)
    assert (layer.face_color[:, 3] == 0).all()
    np.testing.assert_allclose(layer.data_to_world((1.5, 2.25)), (1.5 * PIXEL_SIZE, 2.25 * PIXEL_SIZE))


def test_a_missing_confidence_hides_no_point(viewer):
    layer = layers.new_atoms_layer(add_image(viewer), PIXEL_SIZE, 1.0)
    rows = AtomTable.from_positions([(1, 2), (7, 8)], PIXEL_SIZE, confidence=[np.nan, 0.5]).rows
    draw(layer, rows, np.ones(len(rows), bool))
    assert np.isfinite(layer.border_color).all()
    assert (layer.border_color[:, 3] == 1).all()


def test_a_writer_needs_a_length_and_leaves_rejected_atoms_out():
    points = np.array([(1.0, 2.0), (3.0, 4.0)])
    with pytest.raises(ExportError, match="no length unit"):
        layers.table_from_layer_data(points, {"name": "dots"})
    meta = {
        "name": "dots",
        "scale": (0.02, 0.02),
        "units": ("nm", "nm"),
        "features": {"status": ["ok", "rejected"], "element": ["Mo", "S"]},
    }
    table = layers.table_from_layer_data(points, meta)
    assert table.pixel_size == pytest.approx(0.2)
    assert table.rows["element"].tolist() == ["Mo"]


def test_a_region_is_what_was_drawn(viewer):
    image = add_image(viewer)
    assert layers.region_mask(None, SHAPE).all()
    region = layers.region_layer(image)
    with pytest.raises(ExportError, match="draw a rectangle"):
        layers.region_mask(region, SHAPE)
    region.add_rectangles(np.array([(10, 20), (10, 40), (30, 40), (30, 20)], float))
    mask = layers.region_mask(region, SHAPE)
    assert mask[20, 30]
    assert not mask[50, 30]
    assert mask.sum() == pytest.approx(20 * 20, rel=0.15)
    assert isinstance(region, Shapes)


def test_a_layer_that_is_not_in_memory_stays_there(monkeypatch):
    monkeypatch.setattr(stored_image, "IN_ONE_PIECE", 1000)
    pixels = np.random.default_rng(0).normal(size=(2, 60, 50)).astype(np.float32)
    layer = Image(da.from_array(pixels, chunks=(1, 20, 20)), name="flake")
    micrograph = layers.micrograph_from_layer(layer, (1, 0, 0))
    assert isinstance(micrograph.image, StoredImage)
    assert np.array_equal(micrograph.image[10:20], pixels[1, 10:20])
    assert describe(layer)["shape"] == [2, 60, 50]
