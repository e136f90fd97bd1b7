"""A series measured by a person in a real window: buttons, rows of the table, keys, and a cancel halfway.

Set ``STEMPRIOR_SHOTS`` to a folder to keep screenshots.
"""

import os
from pathlib import Path

import pytest
from crystal_bench import Gate, crystal
from desk_fakes import PIXEL_SIZE, fake_fit_lattice, fake_operations
from hands import Hands
from napari.layers import Image
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_stemprior.io.micrograph import Micrograph
from napari_stemprior.qt.demo import dismiss, settle
from napari_stemprior.qt.desk import StempriorDesk
from napari_stemprior.qt.layers.atom_layers import layer_from_micrographs

SIDE, FRAMES, BAD = 100, 4, 1
LEFT = Qt.MouseButton.LeftButton


def _click(button):
    assert button.isEnabled(), button.toolTip()
    QTest.mouseClick(button, LEFT)


def _shot(viewer, tmp_path, name):
    dismiss()
    shots = Path(os.environ.get("STEMPRIOR_SHOTS", tmp_path))
    shots.mkdir(parents=True, exist_ok=True)
    viewer.screenshot(str(shots / f"series_{name}.png"), canvas_only=False, flash=False)


@pytest.mark.slow
@pytest.mark.parametrize(("size", "theme"), [((1366, 768), "dark"), ((1920, 1080), "light")])
def test_a_person_measures_a_series(make_napari_viewer_proxy, qtbot, tmp_path, size, theme):
    viewer = make_napari_viewer_proxy(strict_qt=True, show=True)
    viewer.__wrapped__.window.resize(*size)
    viewer.theme = theme
    frames = [Micrograph(crystal(SIDE, n), PIXEL_SIZE, f"scan [{n}]") for n in range(FRAMES)]
    ((data, meta, _),) = layer_from_micrographs(frames)
    viewer.add_layer(Image(data, **meta))
    gate = Gate()
    operations = fake_operations(
        fit_lattice=fake_fit_lattice, follow_lattice=lambda image, size, fit: fit, prepare=gate
    )
    desk = StempriorDesk(viewer, operations)
    viewer.__wrapped__.window.add_dock_widget(desk, area="right", name="desk")
    qtbot.waitUntil(lambda: not desk.segment_panel._lister.busy, timeout=60_000)

    def idle():
        return not desk.runner.busy

    desk.prior_panel.pick("MoS2")
    desk.show_step("All images")
    qtbot.waitUntil(desk.images_panel.segment.isVisible, timeout=60_000)
    _click(desk.images_panel.segment)
    qtbot.waitUntil(idle, timeout=60_000)
    session, panel = desk.session, desk.measure_panel
    series = panel.series

    viewer.dims.set_current_step(0, BAD)
    session.activate_atoms()
    hands = Hands(viewer.__wrapped__, session.editor, qtbot)
    viewer.reset_view()
    hands.view_settled()
    session.editor.select(range(len(session.editor.rows)))
    hands.key(Qt.Key.Key_Delete)
    assert not len(session.editor.table()), "the person rejected every atom of this frame"

    for title, section in desk.sections.items():
        section.set_expanded(title == "8 Measure")
    qtbot.waitUntil(series.start_button.isVisible, timeout=60_000)
    assert not series.table.isVisible(), "there is nothing to show yet"
    gate.hold(2)
    _click(series.start_button)
    qtbot.waitUntil(gate.reached.is_set, timeout=60_000)
    qtbot.waitUntil(series.job.cancel.isVisible, timeout=60_000)
    assert "scan [3]: " in series.job.stage.text()
    assert not panel.measure.isEnabled(), "one piece of work at a time"
    _shot(viewer, tmp_path, f"running_{theme}")
    _click(series.job.cancel)
    gate.go.set()
    qtbot.waitUntil(lambda: idle() and series.measured is not None, timeout=60_000)
    assert "Cancelled after 3" in series.text.text()

    _click(series.start_button)
    qtbot.waitUntil(lambda: idle() and len(series.measured.images) == FRAMES, timeout=60_000)
    assert "3 of 4 frames measured" in series.text.text()
    assert "scan [1]: there are no atoms" in series.text.text()

    _click(series.table)
    window = series._windows[-1]
    qtbot.waitUntil(window.isVisible, timeout=60_000)
    rows = window.views[0]
    assert rows.model().rowCount() == FRAMES
    for number in (3, 1):
        place = rows.visualRect(rows.model().index(number, 0)).center()
        QTest.mouseClick(rows.viewport(), LEFT, pos=place)
        assert session.frame == (number,)
    window.tabs.setCurrentIndex(1)
    atoms = window.views[1]
    first = int((atoms.model().rows["series_row"] == 2).to_numpy().argmax())
    atoms.scrollTo(atoms.model().index(first, 0))
    QTest.mouseClick(atoms.viewport(), LEFT, pos=atoms.visualRect(atoms.model().index(first, 0)).center())
    assert session.frame == (2,)
    (chosen,) = session.editor.selected_rows
    assert session.editor.history.ids[chosen] == atoms.model().rows["atom_id"][first]
    window.grab().save(str(tmp_path / "table.png"))

    _click(series.figure)
    qtbot.waitUntil(lambda: idle() and len(series._windows) == 2, timeout=60_000)
    figures = series._windows[-1]
    qtbot.waitUntil(lambda: figures.isVisible() and not figures.picture.pixmap().isNull(), timeout=60_000)

    series.write(tmp_path / "out")
    qtbot.waitUntil(lambda: idle() and series.done.isVisible(), timeout=60_000)
    assert (tmp_path / "out" / "series.png").stat().st_size > 10_000
    assert (tmp_path / "out" / "scan_003_columns.csv").is_file()
    assert not (tmp_path / "out" / "scan_001_columns.csv").exists()

    viewer.dims.set_current_step(0, 2)
    session.activate_atoms()
    session.editor.select([4])
    hands.key(Qt.Key.Key_Delete)
    assert series.stale.isVisible()
    assert "scan [2]" in series.stale.text()
    bar = desk.scroll_area.verticalScrollBar()
    settle()
    bar.setValue(bar.maximum())
    settle()
    _shot(viewer, tmp_path, f"measured_{theme}")
    desk.close()
    assert not figures.isVisible(), "the windows close with the desk"
    qtbot.wait(50)  # they are deleted when the event loop has its turn
