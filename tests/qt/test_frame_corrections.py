"""Corrections go to the next frame of a stack by a click, as one step, in a real window."""

import numpy as np
from desk_fakes import PIXEL_SIZE, fake_operations, picture
from hands import Hands
from napari.layers import Image
from qtpy.QtCore import Qt

from napari_stemprior.atoms import AtomTable
from napari_stemprior.io.micrograph import Micrograph
from napari_stemprior.qt.desk import StempriorDesk
from napari_stemprior.qt.layers.atom_layers import layer_from_micrographs
from napari_stemprior.workflow.segment import Segmentation

GRID = np.stack(np.meshgrid(np.arange(10, 70, 10.0), np.arange(10, 90, 10.0), indexing="ij"), -1).reshape(
    -1, 2
)
SHIFT = np.array((1.0, -1.5))


def test_corrections_are_copied_and_undone_in_one_step(make_napari_viewer_proxy, qtbot, monkeypatch):
    said = []
    monkeypatch.setattr("napari_stemprior.qt.widgets.frame_box.show_info", said.append)
    viewer = make_napari_viewer_proxy(strict_qt=True)
    frames = [Micrograph(picture() + number, PIXEL_SIZE, f"series [{number}]") for number in range(2)]
    data, meta, _ = layer_from_micrographs(frames)[0]
    image = viewer.add_layer(Image(data, **meta))
    desk = StempriorDesk(viewer, fake_operations())
    real = viewer.__wrapped__
    real.window.add_dock_widget(desk, area="right", name="desk")
    real.window.resize(1366, 768)
    try:
        real.dims.set_current_step(0, 0)
        box, session = desk.correct_panel.frames, desk.session
        session.take_segmentation(image, found(GRID), frame=(0,))
        assert not box.copy_edits.isEnabled(), "the next frame has no atoms yet"
        there = np.delete(GRID, 27, axis=0) + SHIFT
        session.take_segmentation(
            image, Segmentation(AtomTable.from_positions(there, PIXEL_SIZE)), frame=(1,)
        )
        editor = session.editor
        hands = Hands(real, editor, qtbot)
        real.reset_view()
        hands.view_settled()
        session.activate_atoms()
        for row, key in ((20, Qt.Key.Key_X), (27, Qt.Key.Key_Y), (35, Qt.Key.Key_Y)):
            editor.select([row])
            hands.key(key)
        assert box.copy_edits.isEnabled()
        desk.scroll_area.ensureWidgetVisible(box.copy_edits)
        qtbot.mouseClick(box.copy_edits, Qt.MouseButton.LeftButton)
        qtbot.waitUntil(lambda: not desk.runner.busy and session.frame == (1,), timeout=60_000)
        assert said == [
            "2 corrections were copied; 1 did not fit, as the next frame shows no such atom there."
        ]
        rows = editor.rows
        changed = rows[rows["status"] != "ok"]
        np.testing.assert_allclose(changed[["y_px", "x_px"]], GRID[[20, 35]] + SHIFT)
        assert changed["status"].tolist() == ["rejected", "accepted"]
        session.activate_atoms()
        hands.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
        assert (editor.rows["status"] == "ok").all()
        assert not box.copy_edits.isEnabled(), "it is the last frame"
    finally:
        desk.close()
