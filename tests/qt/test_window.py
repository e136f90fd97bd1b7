"""The desk in a real napari window; few, since a window costs seconds."""

import numpy as np
from desk_fakes import PIXEL_SIZE, POSE, add_image, fake_operations
from hands import settled
from qtpy.QtCore import QEvent, QPoint, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_stemprior.qt.desk import StempriorDesk
from napari_stemprior.registration import LatticeFit


def test_the_journey_in_a_window(make_napari_viewer_proxy, qtbot):
    viewer = make_napari_viewer_proxy(strict_qt=True)
    image = add_image(viewer)
    desk = StempriorDesk(viewer, fake_operations())
    viewer.window.add_dock_widget(desk, area="right", name="desk")
    viewer.window.resize(1366, 768)
    desk.prior_panel.pick("MoS2")
    for button in (desk.prior_panel.fit, desk.reference_panel.simulate, desk.segment_panel.segment):
        assert button.isEnabled(), button.toolTip()
        button.click()
        qtbot.waitUntil(lambda: not desk.runner.busy, timeout=60_000)
    assert [layer.name for layer in viewer.layers][-1] == "specimen atoms"
    desk.correct_panel.next.click()
    assert len(desk.session.editor.layer.selected_data) == 1
    # nothing is clipped: the steps ask for no more width than they get
    inner, seen = desk.scroll_area.widget(), desk.scroll_area.viewport()
    qtbot.waitUntil(lambda: inner.minimumSizeHint().width() <= seen.width(), timeout=60_000)
    assert desk.minimumWidth() >= 320
    assert image in viewer.layers


def test_the_dock_can_be_closed_and_opened_again(make_napari_viewer_proxy, qtbot):
    viewer = make_napari_viewer_proxy(strict_qt=True)
    add_image(viewer)
    desk = StempriorDesk(viewer, fake_operations())
    dock = viewer.window.add_dock_widget(desk, area="right", name="desk")
    desk.prior_panel.pick("MoS2")
    desk.segment_panel.segment.click()
    qtbot.waitUntil(lambda: not desk.runner.busy, timeout=60_000)
    desk.session.editor.layer.add((4, 4))
    rows = desk.session.editor.rows
    viewer.window.remove_dock_widget(dock)
    desk.close()
    desk.deleteLater()  # napari lets go of it, and PySide6 frees it whenever garbage is collected
    again = StempriorDesk(viewer, fake_operations())
    viewer.window.add_dock_widget(again, area="right", name="desk")
    assert again.session.editor.rows.equals(rows)
    again.session.editor.layer.add((8, 8))
    assert len(again.session.editor.rows) == len(rows) + 1
    assert np.isfinite(again.session.editor.layer.data).all()
    qtbot.waitUntil(lambda: not again.segment_panel._lister.busy, timeout=60_000)


def drag(canvas, start, end):
    """Drag with the left button on a canvas, from one pixel of it to another."""
    QTest.mouseMove(canvas, start)
    QTest.mousePress(canvas, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, start)
    for part in (0.5, 1.0):
        place = QPointF(start) + part * QPointF(end - start)
        event = QMouseEvent(
            QEvent.Type.MouseMove,
            place,
            QPointF(canvas.mapToGlobal(place.toPoint())),
            Qt.MouseButton.NoButton,
            Qt.MouseButton.LeftButton,
            Qt.KeyboardModifier.NoModifier,
        )
        QApplication.sendEvent(canvas, event)
    QTest.mouseRelease(canvas, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, end)


def test_the_lattice_is_dragged_and_the_reference_shares_the_zoom(make_napari_viewer_proxy, qtbot):
    viewer = make_napari_viewer_proxy(strict_qt=True)
    image = add_image(viewer)
    desk = StempriorDesk(viewer, fake_operations())
    viewer.window.add_dock_widget(desk, area="right", name="desk")
    viewer.window.resize(1366, 768)
    session, camera = desk.session, viewer.scene.camera
    canvas = viewer.__wrapped__.window._qt_viewer.canvas  # there is no public way to press a mouse
    desk.prior_panel.pick("MoS2")
    session.set_fit(LatticeFit(session.prior, (POSE,)))
    desk.prior_panel.manual_fit.drag.click()
    settled(qtbot, lambda: (camera.center, camera.zoom, canvas.native.size()))
    centre = camera.center
    start = canvas.native.rect().center()
    drag(canvas.native, start, start + QPoint(3, 0))
    assert session.fit.by_hand
    moved = session.pose.to_pixels(POSE.to_angstrom((40, 50))) - (40, 50)
    steps = (moved - (0, 3 / camera.zoom / PIXEL_SIZE)) @ np.linalg.inv(POSE.affine).T
    steps = steps @ np.linalg.inv(session.prior.cell)
    np.testing.assert_allclose(steps, np.rint(steps), atol=0.02)
    assert camera.center == centre, "the view stays where it is"
    desk.prior_panel.manual_fit.drag.click()
    assert camera.mouse_pan
    assert viewer.layers.selection.active.name == image.name

    desk.reference_panel.simulate.click()
    qtbot.waitUntil(lambda: not desk.runner.busy, timeout=60_000)
    reference = desk.reference_panel.comparison.layer
    views = canvas.grid_views
    assert len(views) == 2
    assert canvas.layer_to_visual[reference].node.parent is views[1].scene
    assert canvas.layer_to_visual[image].node.parent is views[0].scene
    viewer.layers.remove(reference)
    assert not viewer.canvas.grid.enabled
    qtbot.waitUntil(lambda: not desk.segment_panel._lister.busy, timeout=60_000)
