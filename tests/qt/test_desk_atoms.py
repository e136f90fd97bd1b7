"""Steps 4 to 6 on a viewer without a window: segmenting, correcting and saving."""

import threading
from dataclasses import replace

import numpy as np
import pytest
from desk_bench import Desk, said, why_not
from desk_fakes import FakeSegmenter, add_image

from napari_stemprior.errors import DeviceError
from napari_stemprior.progress import Progress


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


def test_segmenting_shows_the_atoms_and_counts_them(make, viewer):
    desk = make().segmented()
    n = len(desk.session.editor.table())
    assert f"Found {n} atoms" in desk.segment_panel.stage.text()
    assert "Mo <b>" in desk.correct_panel.counts.text()
    assert desk.sections["5 Correct"].state.startswith(f"{n} atoms")


def test_the_settings_of_step_four_reach_the_network(make, viewer):
    seen = {}

    class Watched(FakeSegmenter):
        def __init__(self, model, device, precision):
            super().__init__(model, device, precision)
            seen.update(model=model, device=device)

        def steps(self, prior, *, trust=1.0, fit=None):
            seen.update(prior=prior, trust=trust, fit=fit)
            return (yield from super().steps(prior, trust=trust, fit=fit))

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
    assert seen["fit"].pose.score == 0.9
    panel.alone.setChecked(True)
    desk.press(panel.segment)
    assert seen["prior"] is None
    assert seen["fit"] is None


def test_a_failure_is_told_and_the_button_comes_back(make, viewer):
    def broken(model, device, precision):
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
        def steps(self, prior, *, trust=1.0, fit=None):
            yield Progress(0, 2, "Slow")
            gate.wait(60)
            yield Progress(1, 2, "Slow")
            return (yield from super().steps(prior, trust=trust, fit=fit))

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
        def steps(self, prior, *, trust=1.0, fit=None):
            yield Progress(0, 2, "Slow")
            gate.wait(60)
            return (yield from super().steps(prior, trust=trust, fit=fit))

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
    desk.turn()
    assert f"2 of {waiting}" in panel.queue.text()
    assert panel.undo.text() == "Undo: mark rejected"
    panel.undo.click()
    assert not (editor.rows["status"] == "rejected").any()
    desk.turn()
    panel.redo.click()
    panel.species.setCurrentText("Se")
    editor.layer.selected_data = {5}
    panel.set_species.click()
    assert editor.rows.loc[5, "element"] == "Se"
    desk.turn()
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
    panel.reviewed.draw.click()
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
