"""The wheel over the fields of the desk, in a real napari window."""

from desk_fakes import add_image, fake_operations
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtWidgets import QAbstractSlider, QAbstractSpinBox, QApplication, QComboBox, QScrollBar

from napari_stemprior.qt.desk import StempriorDesk


def turn(widget, steps=-1):
    """Turn the wheel over the middle of a widget; whoever ignores it passes it on to what lies around."""
    middle = widget.rect().center()
    target = widget.childAt(middle) or widget
    while target is not None:
        event = QWheelEvent(
            QPointF(target.mapFrom(widget.window(), widget.mapTo(widget.window(), middle))),
            QPointF(widget.mapToGlobal(middle)),
            QPoint(),
            QPoint(0, 120 * steps),
            Qt.MouseButton.NoButton,
            Qt.KeyboardModifier.NoModifier,
            Qt.ScrollPhase.NoScrollPhase,
            False,
        )
        QApplication.sendEvent(target, event)  # only events of the window system are passed on by Qt itself
        target = None if event.isAccepted() or target.isWindow() else target.parentWidget()


def values(desk):
    """Read every field of the desk."""
    fields = [
        field
        for kind in (QComboBox, QAbstractSpinBox, QAbstractSlider)
        for field in desk.findChildren(kind)
        if not isinstance(field, QScrollBar)
    ]
    read = [f.currentIndex() if isinstance(f, QComboBox) else f.text() if isinstance(f, QAbstractSpinBox)
            else f.value() for f in fields]  # fmt: skip
    return fields, read


def test_the_wheel_scrolls_and_changes_nothing_without_focus(make_napari_viewer_proxy, qtbot):
    viewer = make_napari_viewer_proxy(strict_qt=True, show=True)
    add_image(viewer)
    desk = StempriorDesk(viewer, fake_operations())
    viewer.window.add_dock_widget(desk, area="right", name="desk")
    viewer.window.resize(1366, 768)
    qtbot.waitUntil(lambda: not desk.segment_panel._lister.busy, timeout=60_000)
    desk.prior_panel.pick("MoS2")
    for title in desk.sections:
        desk.sections[title].set_expanded(True)
    qtbot.wait(50)
    bar = desk._scroll_bar
    fields, before = values(desk)
    seen = 0
    for field in fields:
        if not field.isVisible() or not field.isEnabled():
            continue
        desk.scroll_area.ensureWidgetVisible(field, 0, 100)
        for step in (-1, 1):
            at = bar.value()
            turn(field, step)
            if bar.minimum() < at < bar.maximum():
                assert bar.value() != at, f"{field} keeps the wheel from the scroll area"
        seen += 1
    assert seen > 10
    assert values(desk)[1] == before

    # with the keyboard in it, a field follows the wheel
    desk.window().activateWindow()
    size, trust = desk.image_panel.pixel_size, desk.segment_panel.trust
    for field in (size, trust):
        desk.scroll_area.ensureWidgetVisible(field)
        was = field.value()
        field.setFocus()
        qtbot.waitUntil(lambda: QApplication.focusWidget() is not None, timeout=60_000)
        turn(field, -1)
        assert field.value() < was


def test_an_unfolded_step_comes_into_view_and_the_desk_keeps_its_width(make_napari_viewer_proxy, qtbot):
    viewer = make_napari_viewer_proxy(strict_qt=True, show=True)
    add_image(viewer)
    desk = StempriorDesk(viewer, fake_operations())
    viewer.window.add_dock_widget(desk, area="right", name="desk")
    viewer.window.resize(1366, 768)
    qtbot.waitUntil(lambda: not desk.segment_panel._lister.busy, timeout=60_000)
    bar, last = desk._scroll_bar, desk.sections["7 Fine-tune"]
    bar.setValue(bar.maximum())
    qtbot.wait(20)
    hidden = last.y() + last.height()
    last.set_expanded(True)
    qtbot.waitUntil(lambda: last.y() + last.height() > hidden, timeout=60_000)
    qtbot.waitUntil(
        lambda: bar.value() <= last.y() and last.y() + last.height() <= bar.value() + bar.pageStep(),
        timeout=60_000,
    )
    widest = desk.minimumWidth()
    for section in desk.sections.values():
        section.set_expanded(False)
    qtbot.wait(50)
    assert desk.minimumWidth() >= widest
