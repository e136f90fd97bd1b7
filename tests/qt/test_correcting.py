"""Step 5 on a viewer without a window: keys, empty sites, colours, frames."""

import numpy as np
import pytest
from correct_bench import Bench, last
from desk_fakes import PIXEL_SIZE, add_image, picture
from napari.layers import Image, Points
from napari.utils.notifications import notification_manager

from napari_stemprior.atoms import AtomHistory, AtomTable
from napari_stemprior.io.micrograph import Micrograph
from napari_stemprior.qt.layers.atom_layers import (
    layer_from_micrographs,
    new_atoms_layer,
    table_from_layer_data,
)
from napari_stemprior.qt.layers.colouring import DISPLACEMENT, QUANTITIES, scale_colours
from napari_stemprior.qt.widgets.help_dialog import HelpDialog
from napari_stemprior.qt.widgets.shortcuts import MOUSE, SHORTCUTS


@pytest.fixture
def bench(qtbot, viewer):
    bench = Bench(qtbot, viewer)
    yield bench
    bench.desk.close()


def test_the_review_comes_to_the_empty_site_and_one_key_settles_it(bench):
    bench.fill()
    bench.press("N")
    assert "no atom on a site of" in bench.panel.queue.text()
    assert len(bench.panel.empty_sites.layer.data) == 1, "the empty sites are shown"
    n = len(bench.editor.table())
    bench.press("O")
    assert last(bench.editor)["status"] == "vacancy"
    assert last(bench.editor)["element"] == bench.missing
    np.testing.assert_allclose(bench.editor.vacancies().yx, [bench.site], atol=0.3)
    assert len(bench.editor.table()) == n, "a vacancy is no atom"
    assert len(bench.editor.table(vacancies=True)) == n + 1
    assert len(bench.panel.empty_sites.layer.data) == 0
    assert "1 vacancy" in bench.panel.counts.text()
    assert bench.panel.queue.text() == "Nothing waits for a review."
    bench.press("Ctrl+Z")
    assert len(bench.panel.empty_sites.layer.data) == 1
    bench.press("N")
    bench.press("I")
    row = last(bench.editor)
    assert (row["status"], row["element"], row["source"]) == ("accepted", bench.missing, "manual")
    assert np.hypot(row["y_px"] - bench.site[0], row["x_px"] - bench.site[1]) < 0.5
    assert len(bench.editor.table()) == n + 1


@pytest.mark.parametrize(("key", "status"), [("Y", "vacancy"), ("X", "accepted")])
def test_yes_and_no_answer_the_empty_site(bench, key, status):
    bench.fill()
    bench.press("N")
    bench.press(key)
    assert last(bench.editor)["status"] == status


def test_one_key_gives_the_next_element(bench):
    bench.fill()
    bench.editor.select([3])
    old = bench.editor.rows.loc[3, "element"]
    bench.press("E")
    assert bench.editor.rows.loc[3, "element"] == {"Mo": "S", "S": "Mo"}[old]
    assert bench.editor.selected_rows == [3]
    bench.press("E")
    assert bench.editor.rows.loc[3, "element"] == old


def test_without_a_selection_the_keys_say_what_to_do(bench):
    bench.fill()
    for key in ("Y", "X", "E", "O"):
        bench.press(key)
    assert [n.message for n in notification_manager.records if "Select atoms first" in n.message]
    assert bench.editor.undo_label == ""


def test_a_selected_atom_that_is_hidden_does_not_count(bench):
    bench.fill()
    bench.editor.set_status([2], "rejected")
    notification_manager.records.clear()
    bench.editor.layer.selected_data = {2}
    for key in ("Y", "X", "E", "O", "Delete"):
        bench.press(key)
    assert len(notification_manager.records) == 4
    assert bench.editor.undo_label == "mark rejected"
    assert len(bench.editor.history.steps) == 1


def test_every_quantity_colours_every_atom_and_has_a_legend(bench):
    bench.fill()
    see = bench.panel.display
    seen = []
    for quantity in QUANTITIES:
        assert see.quantity.currentText() == quantity.name
        colours = bench.editor.layer.border_color
        assert np.isfinite(colours).all()
        seen.append(colours.copy())
        legend = see.colouring.legend()
        assert legend.names or legend.scale
        bench.press("C")
    assert see.quantity.currentText() == "element", "C comes round"
    assert not np.allclose(seen[0], seen[-1])
    assert "Mo" in see.legend.names.text()


def test_displacement_without_a_lattice_says_so(bench):
    bench.fill()
    bench.session.set_fit(None)
    see = bench.panel.display
    see.quantity.setCurrentIndex(QUANTITIES.index(DISPLACEMENT))
    assert "Fit the lattice" in see.legend.names.text()
    assert (bench.editor.layer.border_color[:, 3] == 1).all(), "grey, but there"


def test_a_value_that_is_missing_is_grey():
    colours = scale_colours(np.array([0.0, np.nan, 1.0]), 0, 1)
    assert np.ptp(colours[1, :3]) == 0
    assert np.isfinite(colours).all()


def test_holding_h_shows_the_image_alone(bench):
    bench.fill()
    bench.panel.show_empty_sites.click()
    image, atoms = bench.session.image, bench.editor.layer
    empty_sites = bench.panel.empty_sites.layer
    empty_sites.visible = False
    held = bench.press("H")
    next(held)
    assert image.visible
    assert not atoms.visible
    with pytest.raises(StopIteration):
        next(held)
    assert atoms.visible
    assert not empty_sites.visible, "what was hidden before stays so"


def test_the_history_is_a_list_and_a_click_goes_there(bench):
    bench.fill()
    editor, view = bench.editor, bench.panel.history
    states = [editor.rows]
    for row, status in ((0, "accepted"), (1, "rejected"), (2, "accepted")):
        editor.set_status([row], status)
        states.append(editor.rows)
    bench.turn()
    model = view.states
    assert [model.data(model.index(i, 0)) for i in range(model.rowCount())] == [
        "Beginning",
        "mark accepted",
        "mark rejected",
        "mark accepted",
    ]
    for position in (1, 3, 0, 2):
        view.clicked.emit(model.index(position, 0))
        assert editor.rows.equals(states[position])
        bench.turn()
        assert view.currentIndex().row() == position


def test_paste_comes_to_the_mouse_with_its_element(bench):
    bench.fill()
    editor = bench.editor
    editor.select([4, 5])
    editor.layer._copy_data()
    bench.viewer.cursor.position = tuple(editor.layer.data_to_world((20.0, 30.0)))
    bench.press("Ctrl+V")
    pasted = editor.rows.iloc[-2:]
    np.testing.assert_allclose(pasted[["y_px", "x_px"]].mean(), (20, 30))
    assert pasted["element"].tolist() == editor.rows.loc[[4, 5], "element"].tolist()


def test_one_table_feeds_keys_and_help(bench, qtbot):
    bench.fill()
    assert len({s.key for s in SHORTCUTS}) == len(SHORTCUTS)
    layer = bench.editor.layer
    theirs = {str(k) for k in Points.class_keymap} | {str(k) for k in type(bench.viewer).class_keymap}
    ours = {str(k) for k in layer.keymap}
    assert len(ours) == len(SHORTCUTS)
    assert ours & theirs <= {"Delete", "Ctrl+V"}, "these two mean the same as in napari"
    dialog = HelpDialog()
    qtbot.addWidget(dialog)
    for shortcut in SHORTCUTS:
        assert shortcut.shown in dialog.text.text()
        assert shortcut.text in dialog.text.text()
    assert all(gesture in dialog.text.text() for gesture, _ in MOUSE)


def test_each_frame_of_a_stack_has_its_atoms(bench):
    frames = [Micrograph(picture() + i, PIXEL_SIZE, f"film [{i}]") for i in range(3)]
    data, meta, _ = layer_from_micrographs(frames)[0]
    image = bench.viewer.add_layer(Image(data, **meta))
    bench.viewer.dims.set_current_step(0, 0)
    bench.fill(image)
    editor, n = bench.editor, len(bench.editor.rows)
    editor.set_status([0], "rejected")
    assert (editor.frame, editor.frames) == ((0,), [(0,)])
    assert not bench.panel.frames.isHidden()
    bench.panel.frames.copy.click()
    assert bench.session.frame == editor.frame == (1,)
    assert len(editor.table()) == len(editor.layer.data) == n - 1
    editor.add([(3, 3)])
    bench.viewer.dims.set_current_step(0, 0)
    assert len(editor.rows) == n
    assert editor.undo_label == "mark rejected", "each frame has its history"
    bench.viewer.dims.set_current_step(0, 2)
    assert len(editor.layer.data) == 0
    assert "last frame" in bench.panel.frames.copy.toolTip() or not bench.panel.frames.copy.isEnabled()
    assert len(editor.table(frame=(1,))) == n
    bench.viewer.dims.set_current_step(0, 0)
    bench.panel.frames.copy.click()
    assert len(editor.table()) == n, "what is there already is not copied again"


def test_a_segmentation_comes_to_the_frame_that_was_segmented(bench):
    frames = [Micrograph(picture() + i, PIXEL_SIZE, f"film [{i}]") for i in range(2)]
    data, meta, _ = layer_from_micrographs(frames)[0]
    bench.viewer.add_layer(Image(data, **meta))
    bench.viewer.dims.set_current_step(0, 0)
    panel = bench.desk.segment_panel
    panel.alone.setChecked(True)
    panel.segment.click()
    bench.viewer.dims.set_current_step(0, 1)
    bench.bot.waitUntil(lambda: not bench.desk.runner.busy, timeout=60_000)
    assert bench.editor.frame == (1,)
    assert len(bench.editor.rows) == 0
    assert bench.editor.frames == [(0,)]


def test_a_rectangle_is_segmented_again_and_edits_stay(bench):
    bench.fill()
    editor, panel = bench.editor, bench.desk.segment_panel
    corners = np.array([(10, 10), (10, 60), (50, 60), (50, 10)], float)
    inside = ((editor.yx >= 10) & (editor.yx <= (50, 60))).all(1)
    kept, judged = editor.rows[~inside], int(np.flatnonzero(inside)[0])
    editor.set_status([judged], "rejected")
    panel.part.click()
    rectangle = bench.viewer.layers["rectangle to segment again"]
    rectangle.add_rectangles(corners)
    bench.bot.waitUntil(lambda: editor.undo_label == "segmentation", timeout=60_000)
    assert rectangle not in bench.viewer.layers
    assert not panel.part.isChecked()
    ids = editor.rows["atom_id"]
    assert editor.rows[ids.isin(kept["atom_id"])].reset_index(drop=True).equals(kept.reset_index(drop=True))
    assert editor.rows.set_index("atom_id").loc[judged, "status"] == "rejected"
    new = editor.rows[ids > kept["atom_id"].max()]
    assert len(new) == inside.sum(), "the empty site is found by the fake network, the rejected atom not"
    assert ((new[["y_px", "x_px"]] >= 10).all(axis=1) & (new["y_px"] <= 50) & (new["x_px"] <= 60)).all()
    assert editor.provenance["parts"][0]["part"] == [10, 10, 50, 60]
    bench.press("Ctrl+Z")
    assert len(editor.rows) == len(kept) + inside.sum()


def test_too_small_a_rectangle_is_told(bench):
    bench.fill()
    bench.desk.segment_panel.start_part([(10, 10), (12, 12)])
    assert "draw one with at least 6 Å" in notification_manager.records[-1].message


def test_many_atoms_show_those_in_view(bench):
    n = 150
    grid = np.stack(np.meshgrid(np.arange(n), np.arange(n), indexing="ij"), -1).reshape(-1, 2) * 8.0 + 4
    image = add_image(bench.viewer, shape=(n * 8, n * 8))
    bench.viewer.add_layer(new_atoms_layer(image, PIXEL_SIZE, 1.0))
    editor, view = bench.editor, bench.panel.point_culling
    bench.viewer.reset_view()
    editor.take_prediction(AtomTable.from_positions(grid, PIXEL_SIZE, element="Mo"))
    assert view.far
    assert len(editor.layer.data) == 0
    dots = bench.viewer.layers["atoms from afar"]
    assert dots.visible
    assert (dots.data[..., 3] > 0).sum() >= 4 * n * n * 0.9
    camera = bench.viewer.scene.camera
    camera.zoom, camera.center = 30.0, (0, 600 * PIXEL_SIZE, 300 * PIXEL_SIZE)
    view.update()
    assert not view.far
    assert not dots.visible
    assert 20 < len(editor.layer.data) < 6000
    shown = editor.layer.features["atom_id"].to_numpy()
    np.testing.assert_array_equal(editor.layer.data, editor.yx[shown])
    editor.layer.selected_data = {5}
    editor.set_status(editor.selected_rows, "accepted")
    assert editor.rows.loc[shown[5], "status"] == "accepted"
    assert editor.layer.selected_data == {5}
    before = editor.rows
    editor.layer.remove_selected()
    assert editor.rows.loc[shown[5], "status"] == "rejected"
    assert len(editor.rows) == n * n
    editor.layer.add((600.0, 300.0))
    assert len(editor.rows) == n * n + 1
    editor.undo()
    editor.undo()
    assert editor.rows.equals(before)
    table = editor.table()
    assert len(table) == n * n, "what is not in view is there all the same"
    data, meta, _ = editor.layer.as_layer_data_tuple()
    assert table_from_layer_data(data, meta).rows.equals(editor.table(vacancies=True).rows), "saved too"
    bench.viewer.reset_view()
    view.update()
    assert view.far
    editor.undo()
    assert isinstance(editor.history, AtomHistory)
    assert editor.rows["status"].eq("ok").all()
