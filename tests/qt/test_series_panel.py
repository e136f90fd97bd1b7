"""A series in step 8: which images it takes, what it says of them, and when they have changed."""

import numpy as np
import pandas as pd
import pytest
import tifffile
from crystal_bench import Gate, crystal
from desk_bench import Desk, said, why_not
from desk_fakes import PIXEL_SIZE, fake_fit_lattice
from napari.layers import Image

from napari_stemprior.io.micrograph import Micrograph
from napari_stemprior.qt.layers.atom_layers import layer_from_micrographs

SIDE = 90
FRAMES = 4


@pytest.fixture
def gate():
    return Gate()


@pytest.fixture
def desk(qtbot, viewer, gate):
    desk = Desk(
        qtbot,
        viewer,
        fit_lattice=fake_fit_lattice,
        follow_lattice=lambda image, size, fit: fit,
        prepare=gate,
    )
    yield desk
    desk.widget.close()


@pytest.fixture
def stack(desk):
    frames = [Micrograph(crystal(SIDE, n), PIXEL_SIZE, f"scan [{n}]") for n in range(FRAMES)]
    ((data, meta, _),) = layer_from_micrographs(frames)
    desk.viewer.add_layer(Image(data, **meta))
    desk.prior_panel.pick("MoS2")
    desk.press(desk.images_panel.segment)
    return desk


def reject_all(desk, frame):
    """Go to a frame and reject its atoms, so that it cannot be measured."""
    desk.viewer.dims.set_current_step(0, frame)
    editor = desk.session.editor
    editor.delete(range(len(editor.rows)))


def measure(desk):
    desk.press(desk.measure_panel.series.start_button)
    series = desk.measure_panel.series
    assert series.measured is not None, said()
    return series


def test_it_says_what_is_missing(desk):
    button = desk.measure_panel.series.start_button
    assert "Open a micrograph" in why_not(button)
    frames = [Micrograph(crystal(SIDE, n), PIXEL_SIZE, f"scan [{n}]") for n in range(2)]
    ((data, meta, _),) = layer_from_micrographs(frames)
    desk.viewer.add_layer(Image(data[0], **{k: v for k, v in meta.items() if k == "metadata"}, name="one"))
    assert "only one image" in why_not(button)
    desk.viewer.layers.clear()
    desk.viewer.add_layer(Image(data, **meta))
    assert "Pick a lattice prior" in why_not(button)
    desk.prior_panel.pick("MoS2")
    assert "Segment two frames" in why_not(button)
    desk.press(desk.segment_panel.segment)
    assert "Segment two frames" in why_not(button), "one frame has atoms"
    desk.viewer.dims.set_current_step(0, 1)
    desk.press(desk.segment_panel.segment)
    assert button.isEnabled()


def test_every_frame_is_measured_and_a_bad_one_is_named(stack):
    reject_all(stack, 1)
    series = measure(stack)
    table = series.measured.series.table
    assert table["status"].tolist() == ["measured", "failed", "measured", "measured"]
    assert table["frame"].tolist() == list(range(FRAMES))
    assert "3 of 4 frames measured" in series.text.text()
    assert "scan [1]: there are no atoms" in series.text.text()
    assert any("scan [1]" in sentence for sentence in said())
    assert table["lattice_strain_xx"].abs().max() < 1e-6, "the fakes place every frame alike"


def test_corrections_count_and_make_it_stale(stack):
    series = measure(stack)
    before = series.measured.series.table["atoms"]
    assert series.stale.isHidden()
    stack.viewer.dims.set_current_step(0, 2)
    editor = stack.session.editor
    editor.delete([5])
    assert "scan [2] has changed" in series.stale.text()
    assert not series.stale.isHidden()
    editor.undo()
    assert series.stale.isHidden(), "the atoms are those that were measured"
    editor.redo()
    after = measure(stack).measured.series.table["atoms"]
    assert (before - after).tolist() == [0, 0, 1, 0]
    assert series.stale.isHidden()
    stack.session.set_pixel_size(PIXEL_SIZE * 1.01)
    assert "4 images" in series.stale.text()


def test_the_header_tells_of_the_series_where_no_frame_was_measured_alone(stack):
    heard = []
    stack.measure_panel.state_changed.connect(heard.append)
    measure(stack)
    assert heard[-1] == "series measured"
    stack.session.editor.delete([0])
    assert heard[-1] == "series changed since"


def test_numbers_of_another_frame_are_told_as_such(stack):
    panel = stack.measure_panel
    stack.viewer.dims.set_current_step(0, 2)
    stack.press(panel.measure)
    assert panel.box.stale.isHidden()
    stack.viewer.dims.set_current_step(0, 1)
    assert "numbers of frame 2" in panel.box.stale.text()
    assert not panel.box.stale.isHidden()
    stack.viewer.dims.set_current_step(0, 2)
    assert panel.box.stale.isHidden()
    stack.session.editor.delete([0])
    assert "atoms or the scale have changed" in panel.box.stale.text()
    assert not panel.box.stale.isHidden()


def test_the_threshold_holds_for_every_frame(stack):
    stack.session.editor.threshold = 0.6
    atoms = measure(stack).measured.series.table["atoms"]
    assert atoms.nunique() == 1
    counted = [len(stack.session.editor.table(frame=(n,))) for n in range(FRAMES)]
    assert (atoms < counted).all()


def test_another_prior_is_told(stack):
    series = measure(stack)
    stack.prior_panel.pick("WS2")
    assert "4 images" in series.stale.text()


def test_a_mask_that_is_painted_later_is_told(stack):
    series = measure(stack)
    mask = np.zeros((SIDE, SIDE), bool)
    mask[:5] = True
    stack.session.set_mask(mask)
    assert "4 images" in series.stale.text()


def test_selected_atoms_are_refused(stack):
    panel = stack.measure_panel
    panel.questions.picked.setChecked(True)
    panel.series.start_button.click()
    assert "Selected atoms are those of one frame" in said()[-1]
    assert not stack.runner.busy


def test_what_was_measured_before_a_cancel_stays(stack, gate):
    gate.hold(2)
    series = stack.measure_panel.series
    series.start_button.click()
    stack.bot.waitUntil(gate.reached.is_set, timeout=60_000)
    assert series.job.ours
    series.job.cancel.click()
    gate.go.set()
    stack.bot.waitUntil(lambda: series.measured is not None and not stack.runner.busy, timeout=60_000)
    assert series.measured.series.table["status"].tolist() == ["measured", "measured"]
    assert "Cancelled after 2" in series.text.text()
    assert series.start_button.isEnabled()
    assert len(measure(stack).measured.series.table) == FRAMES


def test_a_cancel_before_the_first_frame_leaves_the_last_series(stack, gate):
    known = measure(stack).measured
    gate.hold(0)
    stack.measure_panel.series.start_button.click()
    stack.bot.waitUntil(gate.reached.is_set, timeout=60_000)
    stack.runner.cancel()
    gate.go.set()
    stack.finish()
    assert stack.measure_panel.series.measured is known


def test_the_folder_is_that_of_the_command(stack, tmp_path):
    reject_all(stack, 3)
    series = measure(stack)
    series.format.setCurrentText("no figures")
    series.write(tmp_path / "out")
    stack.finish()
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"series.csv", "series_atoms.csv", "scan_000_columns.csv", "scan_002_report.html"} <= names
    assert "scan_003_columns.csv" not in names
    table = pd.read_csv(tmp_path / "out" / "series.csv")
    assert table["status"].tolist() == ["measured", "measured", "measured", "failed"]
    assert str(len(names)) in series.done.text()


def test_a_folder_of_images_is_a_series_before_they_are_opened(desk, tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(3):
        tifffile.imwrite(folder / f"a{number}.tif", crystal(SIDE, number))
    panel, series = desk.images_panel, desk.measure_panel.series
    panel.take_folder(folder)
    desk.finish()
    panel.show_image(panel.images.images[0])
    desk.bot.waitUntil(lambda: desk.session.image is not None and not panel._opener.busy, timeout=60_000)
    desk.session.set_pixel_size(PIXEL_SIZE)
    desk.prior_panel.pick("MoS2")
    desk.press(panel.copy)
    desk.press(panel.segment)
    assert series.start_button.text() == "Measure all images"
    measure(desk)
    assert series.measured.series.table["image"].tolist() == ["a0.tif", "a1.tif", "a2.tif"]
    assert (series.measured.series.table["status"] == "measured").all()
    series.show_table()
    (window,) = series._windows
    model = window.views[0].model()
    window._on_row(model.rows.iloc[2])
    desk.bot.waitUntil(lambda: desk.session.image.name == "a2" and not panel._opener.busy, timeout=60_000)
    assert series.measured is not None, "it is the series of this image too"
    assert series.stale.isHidden(), "to open a file changes none of its atoms"
    desk.session.editor.delete([0])
    assert "a2 has changed" in series.stale.text()
    desk.viewer.layers.remove("a2")
    series.show_table()
    window = series._windows[-1]
    window._on_row(window.views[0].model().rows.iloc[2])
    assert "a2 was closed" in said()[-1]
