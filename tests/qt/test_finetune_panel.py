"""Step 7: a region is proposed, a child process trains, and its network is offered with both numbers."""

import json
import os
import sys

import numpy as np
import pytest
from desk_fakes import PIXEL_SIZE, add_image, fake_operations
from napari.utils.notifications import notification_manager

from napari_stemprior.atoms import AtomTable
from napari_stemprior.qt.desk import StempriorDesk
from napari_stemprior.qt.image_context import ImageContext
from napari_stemprior.qt.jobs import finetune_process
from napari_stemprior.qt.jobs.finetune_process import FinetuneProcess
from napari_stemprior.qt.jobs.workers import JobRunner
from napari_stemprior.qt.panels.finetune_panel import FinetunePanel
from napari_stemprior.qt.widgets.loss_plot import LossPlot, smoothed
from napari_stemprior.workflow.segment import Segmentation

#: Stands in for ``stemprior finetune``: the same words on stdout, and what it was asked in a file.
CHILD = """
import json, os, signal, sys, time
asked, mode = sys.argv[1], sys.argv[2]
with open(asked + ".new", "w") as beside:  # whoever reads it finds it whole
    beside.write(json.dumps([os.getpid(), *sys.argv[3:]]))
os.replace(asked + ".new", asked)
print("a library says hello", flush=True)
for step in range(1, 5 if mode != "endless" else 10000):
    print(json.dumps({"stage": "training", "done": step, "total": 4, "loss": 2.0 / step}), flush=True)
    if mode == "endless":
        time.sleep(0.02)
if mode == "fails":
    sys.exit("stemprior: the pairs are gone; choose another folder.")
if mode == "deaf":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print(json.dumps({"stage": "a long step", "done": 1, "total": 4}), flush=True)
    time.sleep(600)
after = 0.6 if mode == "worse" else 0.9
print(json.dumps({"path": "x", "before": 0.7, "after": after, "worse": after < 0.7}), flush=True)
"""


@pytest.fixture(autouse=True)
def models(tmp_path, monkeypatch):
    monkeypatch.setenv("STEMPRIOR_MODELS", str(tmp_path / "models"))
    notification_manager.records.clear()
    return tmp_path / "models"


@pytest.fixture
def build(session, qtbot, tmp_path):
    made = []

    def make(mode="better"):
        script = tmp_path / "child.py"
        script.write_text(CHILD)
        process = FinetuneProcess(command=(sys.executable, str(script), str(tmp_path / "asked"), mode))
        panel = FinetunePanel(session, JobRunner(), ImageContext(session), process)
        panel.take_folder(tmp_path / "pairs")
        panel.name.setText("mine")
        qtbot.addWidget(panel)
        made.append(panel)
        return panel

    yield make
    for panel in made:
        panel.close_process()


def asked(tmp_path):
    return json.loads((tmp_path / "asked").read_text())


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize(("mode", "word"), [("better", "Choose it"), ("worse", "got worse")])
def test_both_numbers_are_told(build, qtbot, tmp_path, models, mode, word):
    panel = build(mode)
    panel.take_parent("old one")
    panel.minutes.setValue(3)
    with qtbot.waitSignal(panel.made, timeout=60_000) as made:
        panel.start_button.click()
    assert made.args == ["mine", mode == "better"]
    assert "0.700 before" in panel.stage.text()
    assert word in panel.stage.text()
    assert panel.plot.losses == [2.0, 1.0, pytest.approx(2 / 3), 0.5]
    assert not panel.process.busy
    words = asked(tmp_path)[1:]
    assert words == [
        str(tmp_path / "pairs"), "-o", str(models / "mine.safetensors"), "--model", "old one",
        "--minutes", "3", "--json-progress",
    ]  # fmt: skip


def test_a_failure_is_one_sentence(build, qtbot):
    panel = build("fails")
    with qtbot.waitSignal(panel.process.stopped, timeout=60_000):
        panel.start()
    assert "the pairs are gone" in notification_manager.records[-1].message
    assert panel.start_button.isEnabled()


def test_stop_and_go_on(build, qtbot, tmp_path, models):
    panel = build("endless")
    panel.start()
    qtbot.waitUntil(lambda: len(panel.plot.losses) > 2, timeout=60_000)
    models.mkdir()
    (models / ".mine.unfinished.safetensors").write_bytes(b"as the run leaves it")
    with qtbot.waitSignal(panel.process.stopped, timeout=60_000):
        panel.cancel.click()
    assert "Go on" in panel.stage.text()
    assert panel.start_button.text() == "Go on"
    assert not notification_manager.records
    panel.start()
    qtbot.waitUntil(lambda: "--resume" in asked(tmp_path), timeout=60_000)


def test_the_child_does_not_outlive_the_desk(viewer, qtbot, tmp_path):
    desk = StempriorDesk(viewer, fake_operations())
    qtbot.addWidget(desk)
    qtbot.waitUntil(lambda: not desk.segment_panel._lister.busy, timeout=60_000)
    script = tmp_path / "child.py"
    script.write_text(CHILD)
    process = desk.finetune_panel.process
    process.command = (sys.executable, str(script), str(tmp_path / "asked"), "endless")
    process.start([])
    qtbot.waitUntil(
        lambda: (tmp_path / "asked").exists() and (tmp_path / "asked").stat().st_size > 0, timeout=60_000
    )
    (pid,) = [word for word in asked(tmp_path) if isinstance(word, int)]
    assert alive(pid)
    desk.close()
    qtbot.waitUntil(lambda: not alive(pid), timeout=60_000)
    assert not process.busy


def test_a_new_network_is_offered_in_step_4(viewer, qtbot, monkeypatch):
    names = ["small"]
    labels = {"mine": "mine: 0.7 → 0.9"}
    monkeypatch.setattr("napari_stemprior.inference.models.model_label", lambda name: labels.get(name, name))
    desk = StempriorDesk(viewer, fake_operations(models=lambda: list(names)))
    qtbot.addWidget(desk)
    panel = desk.segment_panel
    qtbot.waitUntil(lambda: not panel._lister.busy, timeout=60_000)
    names.append("mine")
    desk.finetune_panel.made.emit("mine", False)
    qtbot.waitUntil(lambda: panel.model.count() == 2, timeout=60_000)
    assert panel.model.itemText(1) == "mine: 0.7 → 0.9"
    assert panel.chosen_model == "small"  # a worse one is not chosen for the person
    qtbot.waitUntil(lambda: not panel._lister.busy, timeout=60_000)
    desk.finetune_panel.made.emit("mine", True)
    qtbot.waitUntil(lambda: panel.chosen_model == "mine", timeout=60_000)
    assert desk.finetune_panel.parent_model == "mine"
    qtbot.waitUntil(lambda: not panel._lister.busy, timeout=60_000)
    desk.close()


def test_the_region_with_the_most_doubt_is_drawn_and_looked_at(build, viewer, session):
    panel = build()
    assert not panel.suggest.isEnabled()
    image = add_image(viewer, shape=(600, 700))
    rng = np.random.default_rng(0)
    yx = rng.uniform(0, (600, 700), (400, 2))
    doubtful = ((yx > (320, 400)) & (yx < (560, 640))).all(axis=1)
    table = AtomTable.from_positions(yx, PIXEL_SIZE, confidence=np.where(doubtful, 0.4, 0.99))
    session.take_segmentation(image, Segmentation(table))
    panel.refresh()
    panel.suggest.click()
    (corners,) = session.reviewed_region().data
    low, high = corners.min(axis=0), corners.max(axis=0)
    assert doubtful[((yx >= low) & (yx <= high)).all(axis=1)].mean() > 0.7
    np.testing.assert_allclose(viewer.scene.camera.center[-2:], (low + high) / 2 * PIXEL_SIZE)
    drawn = viewer.scene.camera.zoom * (high - low).max() * PIXEL_SIZE
    assert 0.3 * min(viewer.canvas.size) < drawn < min(viewer.canvas.size), "it fills the canvas as it is"
    panel.suggest.click()  # the next one lies elsewhere
    second = session.reviewed_region().data[-1]
    assert (np.abs(second.mean(axis=0) - corners.mean(axis=0)) > 100).any()


def test_the_plot_draws_what_it_was_told(qtbot):
    plot = LossPlot()
    qtbot.addWidget(plot)
    plot.resize(200, 90)
    empty = plot.grab().toImage()
    for number in range(30):
        plot.add(3.0 / (number + 1), 60)
    plot.add(float("nan"), 60)
    assert len(plot.losses) == 30
    drawn = plot.grab().toImage()
    assert drawn != empty
    np.testing.assert_allclose(smoothed([2.0] * 5), 2.0)


def test_a_run_in_a_long_step_stops_within_two_seconds(build, qtbot):
    panel = build("deaf")
    process, stages = panel.process, []
    process.progressed.connect(lambda values: stages.append(values["stage"]))
    panel.folder.setText("pairs")
    panel.name.setText("mine")
    panel.start_button.click()
    qtbot.waitUntil(lambda: "a long step" in stages, timeout=60_000)
    with qtbot.waitSignal(process.stopped, timeout=60_000) as stopped:  # the child would sleep ten minutes
        panel.cancel.click()
    assert stopped.args == [""]
    assert not process.busy
    assert finetune_process.STOP_PATIENCE < 2000
    assert "Stopped." in panel.stage.text()
