import numpy as np
import pytest
from desk_fakes import PIXEL_SIZE, add_image
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from napari.layers.base import ActionType

from napari_stemprior.atoms import COLUMNS, AtomTable
from napari_stemprior.qt.editing.atom_editor import AtomEditor
from napari_stemprior.qt.layers.atom_layers import new_atoms_layer
from napari_stemprior.qt.layers.palette import element_colour

YX = [(10, 10), (10, 30), (30, 10), (30, 30)]


def prediction(yx=YX):
    n = len(yx)
    return AtomTable.from_positions(
        yx,
        PIXEL_SIZE,
        element=["Mo", "S"] * (n // 2),
        confidence=np.linspace(0.2, 0.9, n),
        site=["Mo1", "S1"] * (n // 2),
    )


@pytest.fixture
def editor(viewer):
    layer = new_atoms_layer(add_image(viewer), PIXEL_SIZE, 1.0)
    viewer.add_layer(layer)
    editor = AtomEditor(layer, PIXEL_SIZE)
    editor.take_prediction(prediction())
    editor.new_element = "W"
    return editor


def in_step(editor):
    """Assert that the layer shows exactly the rows."""
    layer, rows = editor.layer, editor.rows
    np.testing.assert_array_equal(layer.data, rows[["y_px", "x_px"]])
    assert list(layer.features.columns) == list(COLUMNS)
    for column in COLUMNS:
        assert layer.features[column].tolist() == rows[column].tolist()
    assert rows["atom_id"].is_unique
    assert len(layer.symbol) == len(layer.border_color) == len(layer.shown) == len(rows)


def drag(layer, index, to):
    """Do what napari does when a person drags a point: the data change in place."""
    layer.events.data(
        value=layer.data, action=ActionType.CHANGING, data_indices=(index,), vertex_indices=((),)
    )
    layer.data[index] = to
    layer.events.data(
        value=layer.data, action=ActionType.CHANGED, data_indices=(index,), vertex_indices=((),)
    )
    layer.events.features()


def test_the_first_segmentation_is_no_edit(editor):
    in_step(editor)
    assert editor.undo_label == ""
    assert len(editor.table()) == 4


def test_an_added_atom_is_new_and_not_a_copy_of_the_selected_one(editor):
    editor.layer.selected_data = {0}
    editor.layer.add((50, 60))
    in_step(editor)
    row = editor.rows.iloc[-1]
    assert row["atom_id"] == 4
    assert (row["element"], row["source"], row["status"]) == ("W", "manual", "accepted")
    assert row["confidence"] == 1.0
    assert row["site"] == ""
    np.testing.assert_allclose(editor.layer.border_color[-1], [*element_colour("W"), 1], atol=1e-6)


def test_a_moved_atom_keeps_its_id_and_is_manual(editor):
    drag(editor.layer, 2, (33.0, 12.0))
    in_step(editor)
    row = editor.rows.iloc[2]
    assert (row["atom_id"], row["y_px"], row["x_px"]) == (2, 33.0, 12.0)
    assert (row["source"], row["status"], row["site"]) == ("manual", "accepted", "Mo1")
    editor.undo()
    in_step(editor)
    assert editor.rows.iloc[2]["y_px"] == 30.0
    assert editor.rows.iloc[2]["source"] == "model"


def test_a_deleted_atom_is_rejected_hidden_and_can_come_back(editor):
    editor.layer.selected_data = {1, 3}
    editor.layer.remove_selected()
    in_step(editor)
    assert editor.rows["status"].tolist() == ["ok", "rejected", "ok", "rejected"]
    assert editor.layer.shown.tolist() == [True, False, True, False]
    assert editor.table().rows["atom_id"].tolist() == [0, 2]
    editor.undo()
    in_step(editor)
    assert editor.layer.shown.all()
    assert len(editor.table()) == 4


def test_deleting_every_atom_can_be_undone(editor):
    editor.layer.data = []
    in_step(editor)
    assert len(editor.table()) == 0
    editor.undo()
    in_step(editor)
    assert len(editor.table()) == 4


def test_paste_makes_new_atoms(editor):
    editor.layer.selected_data = {0, 1}
    editor.layer._copy_data()
    editor.paste()
    in_step(editor)
    assert editor.rows["atom_id"].tolist() == [0, 1, 2, 3, 4, 5]


def test_a_new_id_is_never_an_old_one(editor):
    editor.layer.add((50, 60))
    editor.undo()
    editor.layer.add((70, 60))
    assert editor.rows["atom_id"].tolist() == [0, 1, 2, 3, 5]


def test_the_threshold_hides_and_never_deletes(editor):
    editor.set_status([0], "accepted")  # confidence 0.2, but a person vouches
    editor.threshold = 0.5
    editor.update_shown()
    assert editor.layer.shown.tolist() == [True, False, True, True]
    assert len(editor.table()) == 4
    assert len(editor.table(shown_only=True)) == 3


def visible(layer):
    """Tell which points can be seen: napari 0.9 draws every point of a flat layer, shown or not."""
    return (layer.border_color[:, 3] > 0) & (layer.size > 0)


def test_hidden_atoms_are_not_drawn_and_not_touched(editor):
    editor.threshold = 0.5
    editor.update_shown()
    assert visible(editor.layer).tolist() == [False, False, True, True]
    before = editor.rows
    editor.layer.selected_data = {0, 1, 2}  # as a box around them does
    assert editor.selected_rows == [2]
    editor.layer.remove_selected()
    assert editor.rows["status"].tolist() == ["ok", "ok", "rejected", "ok"]
    assert visible(editor.layer).tolist() == [False, False, False, True]
    in_step(editor)
    editor.undo()
    drag(editor.layer, 0, (60, 60))
    assert editor.rows.equals(before)
    in_step(editor)
    editor.layer.selected_data = {0}
    editor.layer.remove_selected()
    assert editor.rows.equals(before)
    in_step(editor)
    editor.threshold = 0.0
    editor.update_shown()
    assert visible(editor.layer).all()


def test_a_word_typed_into_the_feature_table_is_an_edit_and_a_wrong_one_is_put_back(editor):
    features = editor.layer.features.copy()
    features.loc[0, "element"] = "Se"
    editor.layer.features = features
    assert editor.rows.loc[0, "element"] == "Se"
    in_step(editor)
    features = editor.layer.features.copy()
    features.loc[0, "status"] = "nonsense"
    editor.layer.features = features
    in_step(editor)
    assert editor.rows.loc[0, "status"] == "ok"


def test_a_new_segmentation_keeps_every_edit(editor):
    editor.set_status([0], "accepted")
    editor.layer.selected_data = {1}
    editor.layer.remove_selected()
    drag(editor.layer, 2, (36.0, 10.0))
    editor.layer.add((50, 60))
    kept = editor.rows[editor.rows["atom_id"] != 3]
    merged = editor.take_prediction(prediction([*YX, (36, 11), (60, 60)]))
    in_step(editor)
    assert (
        editor.rows[editor.rows["atom_id"].isin(kept["atom_id"])]
        .reset_index(drop=True)
        .equals(kept.reset_index(drop=True))
    )
    assert (merged.kept, merged.held_empty) == (3, 1)
    places = {tuple(p) for p in editor.table().yx}
    assert (10.0, 30.0) not in places  # the rejected atom's place stays empty
    assert (36.0, 11.0) not in places  # the moved atom is that one
    assert {(10.0, 10.0), (36.0, 10.0), (50.0, 60.0), (60.0, 60.0), (30.0, 30.0)} <= places
    editor.undo()
    in_step(editor)
    assert len(editor.rows) == 5


def test_rows_left_by_an_earlier_desk_are_taken_up(viewer, editor):
    editor.layer.add((50, 60))
    editor.detach()
    again = AtomEditor(editor.layer, PIXEL_SIZE)
    assert again.rows.equals(editor.rows)
    again.layer.add((55, 66))
    assert len(again.rows) == 6
    assert len(editor.rows) == 5


steps = st.lists(
    st.tuples(
        st.sampled_from(["add", "delete", "drag", "status", "element", "paste", "segment", "undo", "redo"]),
        st.integers(0, 10**6),
    ),
    max_size=12,
)


@given(steps=steps)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_undo_and_redo_are_exact_after_any_sequence(viewer, steps):
    layer = new_atoms_layer(add_image(viewer), PIXEL_SIZE, 1.0)
    editor = AtomEditor(layer, PIXEL_SIZE)
    editor.take_prediction(prediction())
    states = [editor.rows.copy()]
    at = 0
    for action, seed in steps:
        rng = np.random.default_rng(seed)
        i = int(rng.integers(len(editor.rows)))
        place = rng.uniform(0, 70, 2)
        before = editor.rows
        match action:
            case "add":
                layer.add(place)
            case "delete":
                layer.selected_data = set(rng.integers(0, len(editor.rows), 2).tolist())
                layer.remove_selected()
            case "drag":
                drag(layer, i, place)
            case "status":
                editor.set_status([i], str(rng.choice(["accepted", "rejected", "ok"])))
            case "element":
                editor.set_element([i], "Se")
            case "paste":
                layer.selected_data = {i}
                layer._copy_data()
                editor.paste()
            case "segment":
                editor.take_prediction(prediction([tuple(p) for p in rng.uniform(0, 70, (4, 2))]))
            case "undo":
                at -= bool(editor.undo())
            case "redo":
                at += bool(editor.redo())
        in_step(editor)
        if action not in ("undo", "redo") and editor.rows is not before:
            at += 1
            states[at:] = [editor.rows.copy()]
        assert editor.rows.equals(states[at])
    while editor.undo():
        at -= 1
        assert editor.rows.equals(states[at])
        in_step(editor)
    assert at == 0
    while editor.redo():
        at += 1
        assert editor.rows.equals(states[at])
    assert at == len(states) - 1
    in_step(editor)
    editor.detach()
