"""Step 5 in a real window, by real keys and a real mouse; one window, since each costs seconds."""

import numpy as np
import pytest
from desk_fakes import PIXEL_SIZE, fake_operations, picture
from hands import Hands
from napari.layers import Image
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_stemprior.io.micrograph import Micrograph
from napari_stemprior.qt.desk import StempriorDesk
from napari_stemprior.qt.layers.atom_layers import layer_from_micrographs


@pytest.fixture
def hands(make_napari_viewer_proxy, qtbot):
    """A window whose desk sees the viewer through the proxy that napari hands to plugins."""
    viewer = make_napari_viewer_proxy(strict_qt=True)
    data, meta, _ = layer_from_micrographs([Micrograph(picture(), PIXEL_SIZE, "flake")])[0]
    viewer.add_layer(Image(data, **meta))
    desk = StempriorDesk(viewer, fake_operations())
    real = viewer.__wrapped__
    real.window.add_dock_widget(desk, area="right", name="desk")
    real.window.resize(1366, 768)
    desk.prior_panel.pick("MoS2")
    desk.segment_panel.segment.click()
    qtbot.waitUntil(lambda: not desk.runner.busy, timeout=60_000)
    qtbot.waitUntil(lambda: not desk.segment_panel._lister.busy, timeout=60_000)
    real.reset_view()
    hands = Hands(real, desk.session.editor, qtbot)
    hands.view_settled()
    hands.desk, hands.panel = desk, desk.correct_panel
    yield hands
    desk.close()


def test_a_person_corrects_with_keys_and_mouse(hands):
    editor, panel, viewer = hands.editor, hands.panel, hands.viewer
    waiting = len(panel.review.waiting())
    assert waiting > 3
    assert editor.layer in viewer.layers, "not a proxy of it"
    hands.key(Qt.Key.Key_N)
    first = editor.selected_rows
    hands.key(Qt.Key.Key_Y)
    assert editor.rows.loc[first, "status"].tolist() == ["accepted"]
    hands.key(Qt.Key.Key_X)
    assert len(panel.review.waiting()) == waiting - 2
    hands.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert len(panel.review.waiting()) == waiting - 1

    viewer.reset_view()
    hands.view_settled()
    hands.key(Qt.Key.Key_Q)
    centre = np.array(picture().shape) / 2
    row = int(np.argmin(np.hypot(*(editor.yx - centre).T)))
    start, camera = editor.yx[row].copy(), viewer.scene.camera.center
    hands.drag(start, start + 1, start + 3)
    np.testing.assert_allclose(editor.yx[row], start + 3, atol=0.4)
    assert editor.undo_label == "move"
    assert viewer.scene.camera.center == camera, "the view stays"
    hands.drag(editor.yx[row], button=Qt.MouseButton.RightButton)
    assert editor.rows.loc[row, "status"] == "rejected"
    assert viewer.scene.camera.center == camera
    zoom = viewer.scene.camera.zoom
    n = len(editor.rows)
    hands.drag(start)
    assert len(editor.rows) == n + 1
    corners = [centre - 15, centre + np.array((-15, 15)), centre + 15, centre + np.array((15, -15))]
    hands.drag(*corners, modifiers=Qt.KeyboardModifier.ShiftModifier)
    assert len(editor.selected_rows) > 1
    hands.key(Qt.Key.Key_Delete)
    assert editor.undo_label.startswith("delete (")
    assert viewer.scene.camera.zoom == zoom

    QTest.keyPress(hands.native, Qt.Key.Key_H)
    assert not editor.layer.visible
    QTest.keyRelease(hands.native, Qt.Key.Key_H)
    assert editor.layer.visible
    hands.key(Qt.Key.Key_F1)
    assert panel._help.isVisible()
    panel._help.close()
    assert panel.help_key.key().toString() == "?"
    panel.help_key.activated.emit()  # a window without a window manager is never the active one
    assert panel._help.isVisible()
    panel._help.close()
    steps = len(editor.history.steps)
    for _ in range(steps):
        hands.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert editor.history.position == 0
    assert panel.history.currentIndex().row() == 0

    viewer.layers.remove(editor.layer)
    assert panel.undo.text() == "Undo: remove layer"
    panel.undo.click()
    assert hands.desk.session.editor is editor
    hands.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier)
    assert editor.history.position == 1
