"""What a person does from the micrograph to a better network, in a real window with real keys, on real data.

Set ``STEMPRIOR_SHOTS`` to a folder to keep a screenshot of every step.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hands import Hands
from qtpy.QtCore import Qt

from napari_stemprior.io.training_pairs import TrainingPairDataset
from napari_stemprior.qt.demo import dismiss, pick_prior, segment, settle
from napari_stemprior.qt.desk import StempriorDesk

CONTROL = Qt.KeyboardModifier.ControlModifier
#: Seconds that one piece of work may take on a slow and busy machine.
PATIENCE = 300_000


@pytest.fixture
def models(tmp_path, monkeypatch) -> Path:
    """Keep fine-tuned networks out of the user's folder."""
    monkeypatch.setenv("STEMPRIOR_MODELS", str(tmp_path / "models"))
    return tmp_path / "models"


@pytest.fixture
def desk(make_napari_viewer_proxy, models) -> Iterator[StempriorDesk]:
    viewer = make_napari_viewer_proxy(strict_qt=True, show=True)
    real = viewer.__wrapped__
    real.window.resize(1366, 768)
    real.open_sample("napari-stemprior", "mos2")
    desk = StempriorDesk(viewer)
    real.window.add_dock_widget(desk, area="right", name="desk")
    settle()
    real.reset_view()
    yield desk
    desk.close()


@pytest.mark.slow
def test_from_the_micrograph_to_a_better_network(desk, qtbot, tmp_path, models):
    viewer = desk.session.viewer
    shots = Path(os.environ.get("STEMPRIOR_SHOTS", tmp_path / "shots"))
    shots.mkdir(parents=True, exist_ok=True)

    def shot(name: str) -> None:
        dismiss()
        settle()
        viewer.screenshot(str(shots / f"{name}.png"), canvas_only=False, flash=False)

    shot("1_opened")
    pick_prior(desk, "MoS2")
    assert desk.session.pose is not None
    shot("2_prior")
    editor = segment(desk)
    panel = desk.correct_panel
    qtbot.waitUntil(lambda: not desk.segment_panel._lister.busy, timeout=PATIENCE)
    assert 4000 < len(editor.table()) < 4600
    desk.show_step("5 Correct")
    shot("3_segmented")

    hands = Hands(viewer, editor, qtbot)
    desk.session.activate_atoms()
    waiting = len(panel.review.waiting())
    assert waiting > 20
    for number in range(20):
        hands.key(Qt.Key.Key_N)
        settle(0.05)
        if number == 0:
            shot("4_review")
        hands.key(Qt.Key.Key_X if number % 5 == 4 else Qt.Key.Key_Y)
    assert len(panel.review.waiting()) <= waiting - 20
    judged = len(editor.history.steps)
    assert judged >= 20

    # quick edit in the middle of the flake: add, move, delete, take back
    inner = np.flatnonzero((np.abs(editor.yx - 512) < 60).all(axis=1) & (editor.rows["element"] == "Mo"))
    row = int(inner[0])
    viewer.scene.camera.center = (0.0, *editor.layer.data_to_world(editor.yx[row]))
    viewer.scene.camera.zoom = 14
    settle()
    desk.session.activate_atoms()
    hands.key(Qt.Key.Key_Q)
    place = editor.yx[row].copy()
    hands.drag(place, place + 1, place + 3)
    assert editor.undo_label == "move"
    moved = editor.rows.loc[row, "atom_id"]
    hands.drag(editor.yx[row], button=Qt.MouseButton.RightButton)
    assert editor.rows.loc[row, "status"] == "rejected"
    count = len(editor.rows)
    hands.drag(place)
    assert len(editor.rows) == count + 1
    shot("5_quick_edit")
    for _ in range(3):
        hands.key(Qt.Key.Key_Z, CONTROL)
    assert len(editor.history.steps) >= judged
    np.testing.assert_allclose(editor.yx[row], place)
    assert editor.rows.loc[row, "atom_id"] == moved
    assert editor.rows.loc[row, "status"] != "rejected"
    hands.key(Qt.Key.Key_Q)

    # an atom that is none becomes a vacancy
    editor.select([row])
    hands.key(Qt.Key.Key_O)
    assert editor.rows.loc[row, "status"] == "vacancy"
    vacancies = int((editor.rows["status"] == "vacancy").sum())
    shot("6_vacancy")

    region = desk.finetune_panel.suggest_region()
    assert region is not None
    shot("7_region")
    assert desk.export_panel.reviewed.is_drawn, "the region that was drawn is what counts"
    pairs = tmp_path / "pairs"
    desk.export_panel.write_pair(pairs)
    qtbot.waitUntil(lambda: not desk.runner.busy, timeout=PATIENCE)
    assert len(TrainingPairDataset(pairs)) == 1

    learn = desk.finetune_panel
    desk.show_step("7 Fine-tune")
    learn.name.setText("after one pair")
    learn.minutes.setValue(0.5)
    assert learn.start_button.isEnabled(), learn.start_button.toolTip()
    with qtbot.waitSignal(learn.made, timeout=PATIENCE) as made:
        learn.start_button.click()
        qtbot.waitUntil(lambda: bool(learn.plot.losses), timeout=PATIENCE)
        shot("8_learning")
    name, better = made.args
    assert (models / f"{name}.safetensors").is_file()
    assert "before" in learn.stage.text()
    shot("9_learned")

    model = desk.segment_panel.model
    if not better:
        model.setCurrentIndex(next(i for i in range(model.count()) if model.itemText(i).startswith(name)))
    assert desk.segment_panel.chosen_model == name
    edited = editor.rows[editor.rows["status"].isin(["accepted", "vacancy"])][["y_px", "x_px", "status"]]
    again = segment(desk)
    kept = again.rows.merge(edited.drop_duplicates(), on=["y_px", "x_px", "status"])
    assert len(kept) >= len(edited), "what a person decided is not overwritten"
    assert int((again.rows["status"] == "vacancy").sum()) == vacancies
    assert again.table().provenance["model"] == name
    shot("10_again")
