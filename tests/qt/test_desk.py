"""The panels on a viewer without a window: what can be pressed, and what pressing it does."""

import threading
from dataclasses import replace

import numpy as np
import pytest
from desk_fakes import PIXEL_SIZE, SHAPE, FakeSegmenter, add_image, fake_operations
from napari.layers import Image
from napari.utils.notifications import notification_manager
from qtpy.QtCore import QObject

from napari_stemprior.errors import DeviceError, PixelSizeError
from napari_stemprior.progress import Progress
from napari_stemprior.qt.desk import StempriorDesk
from napari_stemprior.registration import Pose


class Desk:
    """A desk and the means to wait for it."""

    def __init__(self, qtbot, viewer, **changes):
        self.bot, self.viewer = qtbot, viewer
        self.widget = StempriorDesk(viewer, fake_operations(**changes))
        qtbot.addWidget(self.widget)
        self.finish(self.widget.segment_panel._lister)
        notification_manager.records.clear()

    def __getattr__(self, name):
        return getattr(self.widget, name)

    def finish(self, runner=None):
        runner = runner or self.widget.runner
        self.bot.waitUntil(lambda: not runner.busy, timeout=60_000)

    def press(self, button):
        assert button.isEnabled(), button.toolTip()
        button.click()
        self.finish()

    def segmented(self):
        add_image(self.viewer)
        self.prior_panel.pick("MoS2")
        self.press(self.segment_panel.segment)
        return self


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


def said():
    return [n.message for n in notification_manager.records]


def why_not(button):
    assert not button.isEnabled()
    assert "Not now:" in button.toolTip()
    return button.toolTip()


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
            assert [name for name in vars(part) if hasattr(base, name)] == [], type(part)


def test_a_pixel_size_is_typed_in_any_unit(make, viewer):
    desk = make()
    viewer.add_layer(Image(np.random.default_rng(0).random(SHAPE)))
    panel = desk.image_panel
    assert panel.pixel_size.text() == "unknown"
    assert "does not say" in panel.note.text()
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
    path.write_bytes(b"x")
    desk = make(read_pixel_size=lambda p: 0.31 if p == path else None)
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
    desk = make(register=lambda *a: [Pose(np.eye(2), np.zeros(2), 0.3)])
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

    def load(name, axis):
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


def test_the_reference_lies_beside_the_image(make, viewer):
    desk = make()
    add_image(viewer)
    desk.prior_panel.pick("MoS2")
    desk.press(desk.reference_panel.simulate)
    reference = viewer.layers["MoS2 reference"]
    assert reference.data.shape == SHAPE
    assert desk.session.image.name == "specimen", "the reference is no micrograph"


def test_segmenting_shows_the_atoms_and_counts_them(make, viewer):
    desk = make().segmented()
    n = len(desk.session.editor.table())
    assert f"Found {n} atoms" in desk.segment_panel.stage.text()
    assert "Mo <b>" in desk.correct_panel.counts.text()
    assert desk.sections["5 Correct"].state.startswith(f"{n} atoms")


def test_the_settings_of_step_four_reach_the_network(make, viewer):
    seen = {}

    class Watched(FakeSegmenter):
        def __init__(self, model, device):
            super().__init__(model, device)
            seen.update(model=model, device=device)

        def steps(self, prior, *, trust=1.0, pose=None):
            seen.update(prior=prior, trust=trust, pose=pose)
            return (yield from super().steps(prior, trust=trust, pose=pose))

    desk = make(segmenter=Watched)
    add_image(viewer)
    desk.prior_panel.pick("MoS2")
    desk.press(desk.prior_panel.fit)
    panel = desk.segment_panel
    panel.trust.setValue(0.25)
    panel.device.setCurrentText("cpu")
    desk.press(panel.segment)
    assert seen["prior"] is desk.session.prior
    assert (seen["model"], seen["device"], seen["trust"]) == ("small", "cpu", 0.25)
    assert seen["pose"].score == 0.9
    panel.alone.setChecked(True)
    desk.press(panel.segment)
    assert seen["prior"] is None
    assert seen["pose"] is None


def test_a_failure_is_told_and_the_button_comes_back(make, viewer):
    def broken(model, device):
        raise DeviceError("There is no device 'cuda'; choose cpu.")

    desk = make(segmenter=broken)
    add_image(viewer)
    desk.prior_panel.pick("MoS2")
    desk.press(desk.segment_panel.segment)
    assert said() == ["There is no device 'cuda'; choose cpu."]
    assert desk.segment_panel.segment.isEnabled()
    assert "choose cpu" in desk.segment_panel.stage.text()


def test_a_run_can_be_cancelled_and_a_second_one_is_refused(make, viewer, qtbot):
    gate = threading.Event()

    class Slow(FakeSegmenter):
        def steps(self, prior, *, trust=1.0, pose=None):
            yield Progress(0, 2, "Slow")
            gate.wait(60)
            yield Progress(1, 2, "Slow")
            return (yield from super().steps(prior, trust=trust, pose=pose))

    desk = make(segmenter=Slow)
    add_image(viewer)
    desk.prior_panel.pick("MoS2")
    desk.segment_panel.segment.click()
    assert "Other work is running" in why_not(desk.segment_panel.segment)
    assert "Other work is running" in why_not(desk.prior_panel.fit)
    qtbot.waitUntil(lambda: "Slow" in desk.segment_panel.stage.text(), timeout=60_000)
    desk.segment_panel.cancel.click()
    assert not desk.segment_panel.cancel.isEnabled()
    gate.set()
    desk.finish()
    assert desk.session.editor is None
    assert desk.segment_panel.segment.isEnabled()


def test_a_desk_that_is_closed_during_a_run_takes_no_atoms(make, viewer, qtbot):
    gate = threading.Event()

    class Slow(FakeSegmenter):
        def steps(self, prior, *, trust=1.0, pose=None):
            yield Progress(0, 2, "Slow")
            gate.wait(60)
            return (yield from super().steps(prior, trust=trust, pose=pose))

    desk = make(segmenter=Slow)
    add_image(viewer)
    desk.prior_panel.pick("MoS2")
    desk.segment_panel.segment.click()
    desk.widget.close()
    gate.set()
    desk.finish()
    assert [layer.name for layer in viewer.layers] == ["specimen"]


def test_correcting_by_buttons(make, viewer):
    desk = make().segmented()
    panel, editor = desk.correct_panel, desk.session.editor
    waiting = int((editor.rows["status"] == "review").sum())
    assert waiting > 2
    panel.next.click()
    assert f"1 of {waiting}" in panel.queue.text()
    panel.reject.click()
    assert int((editor.rows["status"] == "rejected").sum()) == 1
    assert f"2 of {waiting}" in panel.queue.text()
    assert panel.undo.text() == "Undo: mark rejected"
    panel.undo.click()
    assert not (editor.rows["status"] == "rejected").any()
    panel.redo.click()
    panel.species.setCurrentText("Se")
    editor.layer.selected_data = {5}
    panel.set_species.click()
    assert editor.rows.loc[5, "element"] == "Se"
    assert "Se <b>1</b>" in panel.counts.text()
    editor.layer.add((3, 3))
    assert editor.rows.iloc[-1]["element"] == "Se"
    panel.display.show_rejected.setChecked(True)
    assert editor.layer.shown.all()


def test_the_keys_do_what_the_table_says(make, viewer):
    from napari_stemprior.qt.widgets.shortcuts import SHORTCUTS

    desk = make().segmented()
    editor = desk.session.editor
    keys = {str(key): call for key, call in editor.layer.keymap.items()}
    assert len(keys) == len(SHORTCUTS)
    keys["N"](editor.layer)
    (index,) = editor.layer.selected_data
    keys["Y"](editor.layer)
    assert editor.rows.loc[index, "status"] == "accepted"
    keys["Ctrl+Z"](editor.layer)
    assert editor.rows.loc[index, "status"] == "review"
    keys["Ctrl+Shift+Z"](editor.layer)
    assert editor.rows.loc[index, "status"] == "accepted"
    assert "(N)" in desk.correct_panel.next.toolTip()


def test_the_threshold_slider_hides(make, viewer, qtbot):
    desk = make().segmented()
    desk.correct_panel.display.threshold.setValue(0.6)
    layer = desk.session.editor.layer
    qtbot.waitUntil(lambda: not layer.shown.all(), timeout=60_000)
    assert len(layer.data) == len(desk.session.editor.rows)
    assert "hidden" in desk.correct_panel.counts.text()


def test_atoms_and_pairs_are_saved(make, viewer, tmp_path, qtbot):
    from napari_stemprior.io import TrainingPairDataset, read_atoms

    desk = make().segmented()
    editor = desk.session.editor
    editor.set_status([0], "rejected")
    panel = desk.export_panel
    for number, name in enumerate(["a.csv", "a.parquet", "a.extxyz", "points.csv", "mask.tif"]):
        panel.format.setCurrentIndex(number)
        panel.write(tmp_path / name)
        desk.finish()
        assert (tmp_path / name).is_file()
    back = read_atoms(tmp_path / "a.parquet")
    assert back.rows.equals(editor.table().rows)
    panel.draw.click()
    panel.write_pair(tmp_path / "pairs")
    assert "draw a rectangle" in said()[-1]
    region = desk.session.reviewed_region()
    region.add_rectangles(np.array([(10, 20), (10, 40), (30, 40), (30, 20)], float))
    panel.write_pair(tmp_path / "pairs")
    desk.finish()
    assert "Saved training pair" in panel.done.text()
    (entry,) = TrainingPairDataset(tmp_path / "pairs").entries()
    pair = TrainingPairDataset(tmp_path / "pairs").load(entry.hash)
    assert pair.atoms.rows.equals(editor.table().rows)
    assert 0 < pair.reviewed.sum() < pair.reviewed.size
    assert pair.prior == replace(desk.session.prior, unit_cell=None)


def test_a_folder_that_cannot_be_written_is_told(make, viewer, tmp_path):
    desk = make().segmented()
    (tmp_path / "file").write_text("")
    desk.export_panel.write(tmp_path / "file" / "atoms.csv")
    desk.finish()
    assert len(said()) == 1
    assert "atoms.csv" in said()[0]


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

    def load(name, axis):
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
    assert desk.session.prior.layers.max() == 1
    assert panel.axis.isEnabled()
