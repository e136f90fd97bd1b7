import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from napari_stemprior.atoms import AtomTable
from napari_stemprior.workflow.merge_edits import edited, matching_gate, merge

points = st.lists(st.tuples(st.floats(0, 50), st.floats(0, 50)), min_size=0, max_size=25)
statuses = st.sampled_from(["ok", "review", "accepted", "rejected"])


@given(now=points, then=points, data=st.data())
@settings(max_examples=60, deadline=None)
def test_a_person_is_always_right(now, then, data):
    status = [data.draw(statuses) for _ in now]
    source = [data.draw(st.sampled_from(["model", "manual"])) for _ in now]
    current = AtomTable.from_positions(now, 0.2, status=status, source=source).rows
    predicted = AtomTable.from_positions(then, 0.2).rows
    merged = merge(current, predicted, 2.0, next_id=100)
    kept = current[edited(current)]
    # every edit is there, unchanged; nothing untouched is
    assert merged.rows.iloc[: len(kept)].reset_index(drop=True).equals(kept.reset_index(drop=True))
    new = merged.rows.iloc[len(kept) :]
    assert (new["atom_id"] >= 100).all()
    assert merged.rows["atom_id"].is_unique
    assert merged.kept + merged.held_empty == len(kept)
    # a prediction is taken exactly where no edit lies within the gate
    if len(kept) and len(predicted):
        free = cKDTree(kept[["y_px", "x_px"]]).query(predicted[["y_px", "x_px"]])[0] > 2.0
        np.testing.assert_array_equal(new[["y_px", "x_px"]], predicted[free][["y_px", "x_px"]])


def test_the_gate_follows_the_neighbours_up_to_a_limit():
    grid = np.stack(np.meshgrid(np.arange(5), np.arange(5)), -1).reshape(-1, 2)
    assert matching_gate(grid * 5.0, 0.2) == 1.5
    assert matching_gate(grid * 50.0, 0.2) == 0.75 / 0.2
    assert matching_gate(grid[:1], 0.2) == 0.75 / 0.2
