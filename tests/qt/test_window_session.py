"""A session saved in one window and opened in another, with the mouse; and a session as napari opens it.

Set ``STEMPRIOR_SHOTS`` to a folder to keep screenshots.
"""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile
from desk_fakes import PIXEL_SIZE, fake_operations, picture
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QFileDialog

from napari_stemprior.qt.demo import dismiss, settle
from napari_stemprior.qt.desk import StempriorDesk
from napari_stemprior.qt.dock import DeskDock

PATIENCE = 60_000


@pytest.fixture
def window(make_napari_viewer_proxy, qtbot):
    """Open a window with a desk; the network is a fake."""

    def make(docked=True):
        viewer = make_napari_viewer_proxy(strict_qt=True, show=True)
        real = viewer.__wrapped__
        real.window.resize(1366, 768)
        if not docked:
            return viewer, None
        desk = StempriorDesk(viewer, fake_operations())
        real.window.add_dock_widget(desk, area="right", name="desk")
        qtbot.waitUntil(lambda: not desk.segment_panel._lister.busy, timeout=PATIENCE)
        return viewer, desk

    return make


def shot(viewer, folder, name):
    folder = Path(os.environ.get("STEMPRIOR_SHOTS", folder))
    folder.mkdir(parents=True, exist_ok=True)
    dismiss()
    settle()
    viewer.screenshot(str(folder / f"session_{name}.png"), canvas_only=False, flash=False)


def click(button):
    assert button.isEnabled(), button.toolTip()
    QTest.mouseClick(button, Qt.MouseButton.LeftButton)


def worked_on(viewer, desk, qtbot, folder):
    """Segment an image and a stack, and correct the image."""
    tifffile.imwrite(folder / "flake.tif", picture(), photometric="minisblack")
    for number in range(2):
        tifffile.imwrite(folder / f"frame{number}.tif", picture() + number, photometric="minisblack")
    real = viewer.__wrapped__
    real.open([folder / "frame0.tif", folder / "frame1.tif"], stack=True)
    real.open(folder / "flake.tif")
    real.layers["frame0"].visible = False
    desk.session.set_pixel_size(PIXEL_SIZE)
    real.scene.camera.zoom = 30
    desk.prior_panel.pick("MoS2")
    click(desk.segment_panel.segment)
    qtbot.waitUntil(lambda: not desk.runner.busy, timeout=PATIENCE)
    editor = desk.session.editor
    editor.set_status([0, 1], "accepted")
    editor.delete([2])
    return editor.rows


def test_saved_with_the_mouse_and_opened_in_a_new_window(window, qtbot, tmp_path, monkeypatch):
    folder = tmp_path / "there"
    folder.mkdir()
    viewer, desk = window()
    shot(viewer, tmp_path, "0_empty")
    rows = worked_on(viewer, desk, qtbot, folder)
    stack = np.array(viewer.layers[0].data)
    path = folder / "work.stemprior.json"
    monkeypatch.setattr(QFileDialog, "exec", lambda dialog: True)
    monkeypatch.setattr(QFileDialog, "selectedFiles", lambda dialog: [str(path)])
    click(desk.session_bar.save_button)
    qtbot.waitUntil(lambda: not desk.runner.busy, timeout=PATIENCE)
    assert path.is_file()
    camera = viewer.scene.camera
    seen = (*camera.center, camera.zoom)
    size = desk.session.editor.layer.current_size
    shot(viewer, tmp_path, "1_saved")
    desk.close()
    viewer.close()

    moved = tmp_path / "elsewhere"
    shutil.move(folder, moved)
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *args: (str(moved / path.name), ""))
    viewer, desk = window()
    click(desk.session_bar.open_button)
    qtbot.waitUntil(lambda: not desk.runner.busy and len(desk.session.images) == 2, timeout=PATIENCE)
    session = desk.session
    assert session.image.name == "flake"
    assert session.pixel_size == pytest.approx(PIXEL_SIZE)
    assert session.prior.name == "MoS2"
    assert session.fit is not None
    assert session.editor.rows.equals(rows)
    assert session.editor.undo_label == "delete"
    first = session.images[0]
    assert first.data.dtype == stack.dtype
    assert (first.data == stack).all()
    camera = viewer.scene.camera
    assert (*camera.center, camera.zoom) == pytest.approx(seen)
    assert session.editor.layer.current_size == pytest.approx(size)
    shot(viewer, tmp_path, "2_opened")
    desk.show_step("All images")
    settle()
    shot(viewer, tmp_path, "3_listed")
    desk.close()


def test_napari_opens_a_session_and_the_desk_with_it(window, qtbot, tmp_path):
    viewer, desk = window()
    rows = worked_on(viewer, desk, qtbot, tmp_path)
    size = desk.session.editor.layer.current_size
    path = tmp_path / "work.stemprior.json"
    desk.session_bar.write(path)
    qtbot.waitUntil(lambda: not desk.runner.busy, timeout=PATIENCE)
    desk.close()
    viewer.close()

    viewer, _ = window(docked=False)
    real = viewer.__wrapped__
    real.open(path, plugin=None)  # as the command line and File > Open do
    docks = lambda: real.window._qt_window.findChildren(DeskDock)  # noqa: E731
    qtbot.waitUntil(lambda: bool(docks()), timeout=PATIENCE)
    desk = docks()[0].opened()
    qtbot.waitUntil(lambda: "Opened work" in desk.session_bar.said.text(), timeout=PATIENCE)
    assert len(docks()) == 1
    assert desk.session.image.name == "flake"
    assert desk.session.editor.rows.equals(rows)
    assert desk.session.prior.name == "MoS2"
    assert desk.session.editor.layer.current_size == pytest.approx(size)
    qtbot.waitUntil(lambda: not desk.segment_panel._lister.busy, timeout=PATIENCE)
    shot(viewer, tmp_path, "4_by_napari")
    docks()[0].close()
