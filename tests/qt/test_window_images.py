"""The table of all images in a real window: clicked, gone through with keys, segmented."""

from desk_fakes import PIXEL_SIZE, add_image, fake_operations, picture
from napari.layers import Image
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_stemprior.io.micrograph import Micrograph
from napari_stemprior.qt.desk import StempriorDesk
from napari_stemprior.qt.layers.atom_layers import layer_from_micrographs
from napari_stemprior.qt.widgets.image_table import DOUBTS, NAME

CTRL = Qt.KeyboardModifier.ControlModifier


def test_images_are_clicked_and_gone_through_with_keys(make_napari_viewer_proxy, qtbot):
    viewer = make_napari_viewer_proxy(strict_qt=True, show=True)
    viewer.window.resize(1366, 768)
    frames = [Micrograph(picture() + i, PIXEL_SIZE, f"stack [{i}]") for i in range(3)]
    ((data, meta, _),) = layer_from_micrographs(frames)
    stack = viewer.add_layer(Image(data, **meta))
    single = add_image(viewer, name="single")
    desk = StempriorDesk(viewer, fake_operations())
    viewer.window.add_dock_widget(desk, area="right", name="desk")
    qtbot.waitUntil(lambda: not desk.segment_panel._lister.busy, timeout=60_000)
    desk.prior_panel.pick("MoS2")
    panel, session = desk.images_panel, desk.session
    desk.show_step("All images")
    qtbot.waitUntil(panel.table.isVisible, timeout=60_000)
    panel.table.sortByColumn(NAME, Qt.SortOrder.AscendingOrder)
    QTest.mouseClick(panel.segment, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not desk.runner.busy, timeout=60_000)
    assert session.image.name == single.name
    assert all(panel.table.order.index(row, DOUBTS).data() for row in range(4))

    panel.table.sortByColumn(NAME, Qt.SortOrder.AscendingOrder)
    place = panel.table.visualRect(panel.table.order.index(2, NAME)).center()
    QTest.mouseClick(panel.table.viewport(), Qt.MouseButton.LeftButton, pos=place)
    assert session.image.name == stack.name
    assert session.frame == (1,)
    canvas = viewer.__wrapped__.window._qt_viewer.canvas.native  # there is no public way to press a key
    QTest.keyClick(canvas, Qt.Key.Key_PageDown, CTRL)
    assert session.frame == (2,)
    QTest.keyClick(canvas, Qt.Key.Key_PageDown, CTRL)
    assert session.frame == (2,), "there is nothing below the last row"
    for _ in range(3):
        QTest.keyClick(canvas, Qt.Key.Key_PageUp, CTRL)
    assert session.image.name == single.name
    assert not stack.visible
    assert single.visible
    qtbot.wait(50)
