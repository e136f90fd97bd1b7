"""The first three panels on a viewer without a window: what can be pressed, and what pressing it does."""

from dataclasses import replace

import numpy as np
import pytest
import tifffile
from desk_bench import Desk, said, why_not
from desk_fakes import PIXEL_SIZE, POSE, SHAPE, add_image, picture
from napari.layers import Image
from qtpy.QtCore import QObject

from napari_stemprior.errors import PixelSizeError
from napari_stemprior.registration import LatticeFit, Pose


@pytest.fixture
def make(qtbot, viewer):
    made = []

    def build(**changes):
        made.append(Desk(qtbot, viewer, **changes))
        return made[-1]

    yield build
    for desk in made:
        desk.finish()
        desk.widget.close()


def test_every_disabled_button_says_why(make, viewer):
    desk = make()
    assert "Open a micrograph" in why_not(desk.segment_panel.segment)
    assert "Open a micrograph" in why_not(desk.prior_panel.fit)
    assert "Nothing is running" in why_not(desk.segment_panel.cancel)
    assert "Segment the image" in why_not(desk.export_panel.save)
    viewer.add_layer(Image(np.random.default_rng(0).random(SHAPE)))
    assert "pixel size is unknown" in why_not(desk.segment_panel.segment)
    assert "lattice prior" in why_not(desk.image_panel.fit)
    desk.session.set_pixel_size(0.2)
    assert "lattice prior" in why_not(desk.segment_panel.segment)
    desk.segment_panel.alone.setChecked(True)
    assert desk.segment_panel.segment.isEnabled()
    assert "Not now" not in desk.segment_panel.segment.toolTip()


def test_no_attribute_hides_a_method_of_qt(make):
    """Such as `size`: Qt's users would find a spin box in place of the method."""
    desk = make().widget
    for part in (desk, *desk.findChildren(QObject)):
        if type(part).__module__.startswith("napari_stemprior."):
            base = next(c for c in type(part).__mro__ if c.__module__.startswith(("PyQt6", "PySide6")))
            own = [name for name, value in vars(part).items() if type(value).__name__ != "SignalInstance"]
            assert [name for name in own if hasattr(base, name)] == [], type(part)  # PySide6 keeps signals so


def test_a_pixel_size_is_typed_in_any_unit(make, viewer):
    desk = make()
    viewer.add_layer(Image(np.random.default_rng(0).random(SHAPE)))
    panel = desk.image_panel
    assert panel.pixel_size.text() == "unknown"
    assert "gives no pixel size" in panel.note.text()
    panel.unit.setCurrentText("pm/px")
    panel.pixel_size.setValue(12.5)
    assert desk.session.pixel_size == pytest.approx(0.125)
    panel.unit.setCurrentText("nm/px")
    assert panel.pixel_size.value() == pytest.approx(0.0125)
    assert "1.25 × 1.00 nm" in panel.field.text()
    assert desk.sections["1 Image"].state == "0.125 Å/px"
    assert panel.note.isHidden()


def test_an_unknown_pixel_size_is_fitted_from_the_prior(make, viewer):
    desk = make()
    viewer.add_layer(Image(np.random.default_rng(0).random(SHAPE)))
    desk.prior_panel.pick("MoS2")
    desk.press(desk.image_panel.fit)
    assert desk.session.pixel_size == pytest.approx(PIXEL_SIZE)
    assert desk.session.pose is not None


def test_a_pixel_size_of_no_fit_is_not_taken(make, viewer):
    desk = make(fit_pixel_size=lambda image, prior: (0.3, Pose(np.eye(2) / 0.3, np.zeros(2), 0.2)))
    add_image(viewer)
    desk.prior_panel.pick("MoS2")
    desk.press(desk.image_panel.fit)
    assert desk.session.pixel_size == pytest.approx(PIXEL_SIZE)
    assert "at no pixel size" in said()[-1]


def test_a_pixel_size_in_the_file_is_found_although_napari_did_not_read_it(make, viewer, tmp_path, qtbot):
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path, picture(), metadata={"axes": "YX", "unit": "nm"}, imagej=True, resolution=(1 / 0.031,) * 2
    )
    desk = make()
    layer = Image(np.random.default_rng(0).random(SHAPE))
    layer._source = layer.source.model_copy(update={"path": str(path)})
    viewer.add_layer(layer)
    qtbot.waitUntil(lambda: desk.session.pixel_size is not None, timeout=60_000)
    assert desk.session.pixel_size == pytest.approx(0.31)


@pytest.mark.parametrize(
    ("data", "words"), [(np.zeros(SHAPE), "same value"), (np.eye(*SHAPE, dtype=bool), "is boolean")]
)
def test_an_image_that_is_no_micrograph_is_explained(make, viewer, data, words):
    desk = make()
    viewer.add_layer(Image(data, scale=(0.2, 0.2), units=("angstrom", "angstrom")))
    assert words in desk.image_panel.note.text()
    from napari_stemprior.structure import built_in

    desk.session.set_prior(built_in("MoS2"))
    desk.image_panel.start_fit()
    assert said()[-1] == desk.image_panel.note.text()


def test_the_lattice_is_fitted_and_drawn(make, viewer):
    desk = make()
    add_image(viewer)
    panel = desk.prior_panel
    panel.names.lineEdit().setText("mos2")
    panel.names.lineEdit().returnPressed.emit()
    assert desk.session.prior.name == "MoS2"
    assert panel.columns.rowCount() == len(desk.session.prior.columns)
    desk.press(panel.fit)
    assert desk.session.pose.score == 0.9, "the best candidate is taken"
    assert panel.overlay.isChecked()
    assert desk.session.overlay in viewer.layers
    panel.overlay.click()
    assert desk.session.overlay is None
    assert desk.sections["2 Lattice prior"].state == "fitted: MoS2"


def test_no_fit_is_said_and_not_drawn(make, viewer):
    desk = make(fit_lattice=lambda image, size, prior: LatticeFit(prior, (replace(POSE, score=0.3),)))
    add_image(viewer)
    desk.prior_panel.pick("MoS2")
    desk.press(desk.prior_panel.fit)
    assert desk.session.overlay is None
    assert "does not fit" in said()[-1]
    assert "no fit" in desk.sections["2 Lattice prior"].state


def test_a_wrong_prior_name_suggests(make):
    desk = make()
    desk.prior_panel.pick("MoS3")
    assert "MoS2" in said()[-1]
    assert desk.session.prior is None


def test_an_own_file_gets_its_zone_axis(make, viewer):
    asked = []

    def load(name, axis, block=""):
        from napari_stemprior.structure import built_in

        asked.append((name, axis))
        return built_in("Si [110]").renamed("mine")

    desk = make(load_prior=load)
    assert "built-in prior has its own" in why_not(desk.prior_panel.axis)
    desk.prior_panel.load_file("mine.cif")
    desk.finish()
    assert desk.prior_panel.names.currentText() == "mine"
    desk.prior_panel.axis.setText("1-10")
    desk.prior_panel.axis.setModified(True)
    desk.prior_panel.axis.editingFinished.emit()
    desk.finish()
    assert asked == [("mine.cif", ""), ("mine.cif", "1-10")]


def test_an_own_file_along_its_normal_and_another_of_its_blocks(make, viewer, tmp_path):
    path = tmp_path / "mine.cif"
    path.write_text("".join(f"data_{name}\n_atom_site_fract_x 0\n" for name in ("first", "second")))
    asked = []

    def load(name, axis, block=""):
        from napari_stemprior.structure import built_in

        asked.append((axis, block))
        remarks = ("mine.cif: the file holds 2 structures.",)
        return replace(built_in("Si [110]"), name=f"mine {len(asked)}", remarks=remarks)

    desk = make(load_prior=load)
    choice = desk.prior_panel.file
    assert "built-in prior has its own" in why_not(choice.normal)
    desk.prior_panel.load_file(str(path))
    desk.finish()
    assert "holds 2 structures" in said()[-1]
    assert [choice.block.itemText(i) for i in range(choice.block.count())] == ["first", "second"]
    choice.normal.click()
    desk.finish()
    assert "normal" in why_not(desk.prior_panel.axis)
    choice.block.setCurrentIndex(1)
    choice.block.activated.emit(1)
    desk.finish()
    assert asked == [("", ""), ("normal", "first"), ("normal", "second")]
    assert choice.block.currentText() == "second"
    desk.prior_panel.pick("MoS2")
    assert choice.block.isHidden()


def test_the_reference_lies_beside_the_image(make, viewer):
    desk = make()
    add_image(viewer)
    desk.prior_panel.pick("MoS2")
    desk.press(desk.reference_panel.simulate)
    reference = viewer.layers["MoS2 reference"]
    assert reference.data.shape == SHAPE
    assert desk.session.image.name == "specimen", "the reference is no micrograph"


def test_a_pixel_size_that_cannot_be_fitted_is_told(make, viewer):
    def fail(image, prior):
        raise PixelSizeError("No pixel size makes MoS2 fit; try another prior.")

    desk = make(fit_pixel_size=fail)
    viewer.add_layer(Image(np.random.default_rng(0).random(SHAPE)))
    desk.prior_panel.pick("MoS2")
    desk.press(desk.image_panel.fit)
    assert "try another prior" in said()[-1]


def test_the_structure_of_a_sample_is_in_the_list(make, viewer):
    asked = []

    def load(name, axis, block=""):
        from napari_stemprior.structure import load_prior

        asked.append(name)
        return load_prior(name)

    desk = make(load_prior=load)
    panel = desk.prior_panel
    index = panel.names.findText("MoS2_twisted_bilayer")
    assert index >= 0
    panel.names.activated.emit(index)
    desk.finish()
    assert asked[0].endswith("MoS2_twisted_bilayer.extxyz")
    assert desk.session.prior.layer_numbers.max() == 1
    assert panel.axis.isEnabled()
