"""What a training pair claims as reviewed follows the drawn region, and what is open is said."""

import numpy as np
import pytest
from desk_bench import Desk
from qtpy.QtWidgets import QFileDialog

from napari_stemprior.io import TrainingPairDataset

SQUARE = np.array([(10, 20), (10, 60), (50, 60), (50, 20)], float)


@pytest.fixture
def desk(qtbot, viewer):
    desk = Desk(qtbot, viewer).segmented()
    yield desk
    desk.widget.close()


def test_the_reviewed_part_follows_what_is_drawn(desk):
    box = desk.export_panel.reviewed
    assert box.region.currentText() == "Whole image"
    box.session.draw_region().add_rectangles(SQUARE)  # as step 7 does when it suggests a region
    assert box.is_drawn
    assert not box.region.isEnabled(), "the pair cannot claim more than was drawn"
    mask = box.reviewed((80, 100))
    assert 0 < mask.sum() < mask.size
    desk.viewer.layers.remove(box.session.reviewed_region())
    assert box.region.currentText() == "Whole image"
    assert box.reviewed((80, 100)).all()


def test_what_is_open_is_said_for_the_part_that_counts(desk):
    box = desk.export_panel.reviewed
    everything = len(box.review.open_places())
    assert everything > 3
    assert f"{everything} places still wait" in box.open_label.text()
    box.session.draw_region().add_rectangles(SQUARE)
    inside = len(box.open_places(box.reviewed((80, 100))))
    assert 0 < inside < everything
    assert f"{inside} place" in box.open_label.text()
    assert "drawn region" in box.open_label.text()
    editor = desk.session.editor
    editor.set_status(range(len(editor.rows)), "accepted")
    desk.turn()
    assert box.open_label.isHidden()


@pytest.mark.parametrize("answer", [True, False, None])
def test_before_a_pair_is_saved_a_person_says_what_becomes_of_open_places(
    desk, tmp_path, answer, monkeypatch
):
    panel, box = desk.export_panel, desk.export_panel.reviewed
    asked = []
    monkeypatch.setattr(box, "ask", lambda count: asked.append(count) or answer)
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path / "pairs"))
    panel.ask_folder()
    desk.finish()
    places = box.review.open_places()
    assert asked == [len(places)]
    if answer is None:
        assert not (tmp_path / "pairs").exists()
        return
    (pair,) = TrainingPairDataset(tmp_path / "pairs")
    y, x = np.rint(places).astype(int).T
    if answer:
        assert pair.reviewed.all()
    else:
        assert not pair.reviewed[y, x].any()
        assert pair.reviewed.mean() > 0.5, "what lies around them is kept"


def test_nothing_is_asked_when_nothing_is_open(desk, tmp_path, monkeypatch):
    editor = desk.session.editor
    editor.set_status(range(len(editor.rows)), "accepted")
    monkeypatch.setattr(desk.export_panel.reviewed, "ask", lambda count: pytest.fail("nothing is open"))
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path / "pairs"))
    desk.export_panel.ask_folder()
    desk.finish()
    (pair,) = TrainingPairDataset(tmp_path / "pairs")
    assert pair.reviewed.all()
