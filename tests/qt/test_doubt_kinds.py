"""Doubts of one kind are gone through by themselves and settled at once."""

import numpy as np
import pytest
from desk_bench import Desk


@pytest.fixture
def desk(qtbot, viewer):
    desk = Desk(qtbot, viewer).segmented()
    yield desk
    desk.widget.close()


def choose(box, part):
    index = next(i for i in range(box.kinds.count()) if part in box.kinds.itemText(i))
    box.kinds.setCurrentIndex(index)
    box.kinds.activated.emit(index)


def test_a_kind_is_counted_gone_through_and_settled_as_one_edit(desk):
    box, editor = desk.correct_panel.review_box.kinds, desk.session.editor
    review, before = box.review, editor.history.position
    everything = len(review.waiting())
    counts = review.kinds()
    assert sum(counts.values()) == everything
    assert box.kinds.itemText(0) == f"All kinds of doubt ({everything})"
    assert box.accept.isHidden(), "all kinds are never settled together"
    kind = next(k for k in counts if k.endswith("of low confidence"))
    choose(box, kind)
    assert len(review.waiting()) == counts[kind]
    for _ in range(counts[kind] + 1):
        desk.correct_panel.go_next()
        assert review.here.kind == kind
    assert f" of {counts[kind]}" in desk.correct_panel.queue.text()
    assert f"{everything} doubts" in desk.sections["5 Correct"].state
    rows, sites = review.of_kind(kind)
    assert len(rows) == counts[kind]
    assert not sites
    box.accept.click()
    assert editor.history.position == before + 1
    assert (editor.rows["status"].to_numpy()[rows] == "accepted").all()
    assert kind not in review.kinds()
    assert box.kinds.currentIndex() == 0
    assert len(review.waiting()) == everything - counts[kind]
    editor.undo()
    assert review.kinds() == counts


@pytest.mark.parametrize("accept", [True, False])
def test_empty_sites_of_a_kind_are_settled_at_once(desk, accept):
    box, editor = desk.correct_panel.review_box.kinds, desk.session.editor
    rows = np.flatnonzero((editor.rows["element"] == "S").to_numpy())[3:9]
    editor._assign(rows, "test", y_px=-50.0)  # far away: their sites are bare
    review = box.review
    review._of = ()
    box.refresh()
    kinds = review.kinds()
    kind = next((k for k in kinds if k.startswith(("empty sites of", "bright sites of"))), None)
    assert kind is not None
    choose(box, kind)
    before, count = len(editor.rows), len(review.of_kind(kind)[1])
    assert count == kinds[kind]
    (box.accept if accept else box.reject).click()
    new = editor.rows.iloc[before:]
    assert len(new) == count
    assert set(new["status"]) == {"vacancy" if accept else "accepted"}
    assert kind not in review.kinds()
