"""Quick edit on a viewer without a window: what clicks and drags of the mouse do."""

import numpy as np
import pytest
from correct_bench import Bench, last

from napari_stemprior.qt.editing.quick_edit import enclosed


@pytest.fixture
def bench(qtbot, viewer):
    bench = Bench(qtbot, viewer)
    yield bench
    bench.desk.close()


def test_a_click_adds_an_atom_where_the_image_has_one(bench):
    bench.fill()
    bench.press("Q")
    assert bench.panel.quick.isChecked()
    bench.panel.species.setCurrentText("W")
    bench.mouse(bench.site + np.array((1.5, -1.5)))
    row = last(bench.editor)
    assert row["element"] == "W"
    assert np.hypot(row["y_px"] - bench.site[0], row["x_px"] - bench.site[1]) < 0.6
    n = len(bench.editor.rows)
    bench.mouse(bench.site + 0.5)
    assert len(bench.editor.rows) == n, "there is an atom now: it is selected"
    assert bench.editor.selected_rows == [n - 1]


def test_a_drag_beside_the_atoms_moves_the_view_and_adds_nothing(bench):
    bench.fill()
    bench.press("Q")
    n = len(bench.editor.rows)
    handled = bench.mouse(bench.site, bench.site + 5, bench.site + 9)
    assert not any(handled)
    assert len(bench.editor.rows) == n


def test_a_dragged_atom_moves_once_and_undo_is_exact(bench):
    bench.fill()
    bench.press("Q")
    before, start = bench.editor.rows, bench.editor.yx[7].copy()
    handled = bench.mouse(start + 0.3, start + 1, start + 2, start + 3.3)
    assert all(handled)
    np.testing.assert_allclose(bench.editor.yx[7], start + 3)
    assert bench.editor.undo_label == "move"
    bench.press("Ctrl+Z")
    assert bench.editor.rows.equals(before)
    np.testing.assert_array_equal(bench.editor.layer.data, before[["y_px", "x_px"]])


def test_right_click_deletes_one_and_right_drag_many(bench):
    bench.fill()
    bench.press("Q")
    bench.mouse(bench.editor.yx[7], button=2)
    assert bench.editor.rows["status"].eq("rejected").sum() == 1
    row = bench.editor.rows[bench.editor.rows["status"] == "ok"]
    y = row["y_px"].median()
    line = row[(row["y_px"] - y).abs() < 1]
    bench.mouse((y, line["x_px"].min()), (y, line["x_px"].max()), button=2)
    assert (bench.editor.rows.loc[line.index, "status"] == "rejected").all()
    assert bench.editor.undo_label == f"delete ({len(line)})", "a stroke is one edit"


def test_the_lasso_selects_what_it_encloses(bench):
    bench.fill()
    bench.press("Q")
    corners = [(10, 10), (10, 60), (50, 60), (50, 10)]
    bench.mouse(*corners, modifiers=("Shift",))
    inside = ((bench.editor.yx > 10) & (bench.editor.yx < (50, 60))).all(1)
    assert bench.editor.selected_rows == np.flatnonzero(inside).tolist()
    bench.press("Delete")
    assert bench.editor.rows["status"].eq("rejected").to_numpy()[inside].all()
    assert bench.editor.undo_label == f"delete ({inside.sum()})"


def test_a_loop_of_any_shape():
    star = np.array([(0, 0), (10, 0), (10, 10), (5, 2), (0, 10)], float)
    yx = np.array([(1, 1), (9, 8), (5, 6), (11, 5), (5, 1)], float)
    assert enclosed(yx, star).tolist() == [True, True, False, False, True]


def test_a_deleted_vacancy_opens_its_site_again(bench):
    bench.fill()
    bench.press("N")
    bench.press("O")
    bench.editor.select([len(bench.editor.rows) - 1])
    bench.press("Delete")
    assert not bench.editor.rows["status"].isin(["vacancy", "rejected"]).any()
    assert len(bench.panel.empty_sites.layer.data) == 1


def test_quick_edit_ends_with_another_tool_or_the_layer(bench):
    bench.fill()
    bench.press("Q")
    bench.editor.layer.mode = "add"
    assert not bench.panel.quick.isChecked()
    assert bench.panel._on_quick is not None
    bench.press("Q")
    layer = bench.editor.layer
    bench.viewer.layers.remove(layer)
    assert not bench.panel.quick.isChecked()
    assert len(layer.mouse_drag_callbacks) <= 1
