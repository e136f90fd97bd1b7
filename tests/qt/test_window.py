"""The desk in a real napari window; few, since a window costs seconds."""

import numpy as np
from desk_fakes import add_image, fake_operations

from napari_stemprior.qt.desk import StempriorDesk


def test_the_journey_in_a_window(make_napari_viewer_proxy, qtbot):
    viewer = make_napari_viewer_proxy()
    image = add_image(viewer)
    desk = StempriorDesk(viewer, fake_operations())
    viewer.window.add_dock_widget(desk, area="right", name="desk")
    viewer.window.resize(1366, 768)
    desk.prior_panel.pick("MoS2")
    for button in (desk.prior_panel.fit, desk.reference_panel.simulate, desk.segment_panel.segment):
        assert button.isEnabled(), button.toolTip()
        button.click()
        qtbot.waitUntil(lambda: not desk.runner.busy, timeout=10_000)
    assert [layer.name for layer in viewer.layers][-1] == "specimen atoms"
    desk.correct_panel.next.click()
    assert len(desk.session.editor.layer.selected_data) == 1
    # nothing is clipped: the steps ask for no more width than they get
    qtbot.wait(100)
    inner = desk.scroll.widget()
    assert inner.minimumSizeHint().width() <= desk.scroll.viewport().width()
    assert desk.minimumWidth() >= 320
    assert image in viewer.layers


def test_the_dock_can_be_closed_and_opened_again(make_napari_viewer_proxy, qtbot):
    viewer = make_napari_viewer_proxy()
    add_image(viewer)
    desk = StempriorDesk(viewer, fake_operations())
    dock = viewer.window.add_dock_widget(desk, area="right", name="desk")
    desk.prior_panel.pick("MoS2")
    desk.segment_panel.segment.click()
    qtbot.waitUntil(lambda: not desk.runner.busy, timeout=10_000)
    desk.session.editor.layer.add((4, 4))
    rows = desk.session.editor.rows
    viewer.window.remove_dock_widget(dock)
    desk.close()
    again = StempriorDesk(viewer, fake_operations())
    viewer.window.add_dock_widget(again, area="right", name="desk")
    assert again.session.editor.rows.equals(rows)
    again.session.editor.layer.add((8, 8))
    assert len(again.session.editor.rows) == len(rows) + 1
    assert np.isfinite(again.session.editor.layer.data).all()
    qtbot.waitUntil(lambda: not again.segment_panel._lister.busy, timeout=5000)
