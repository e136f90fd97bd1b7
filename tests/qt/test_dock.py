"""The dock: the window goes on while the libraries of the desk are read."""

import pytest
from napari.components import ViewerModel

from napari_stemprior.qt import dock as docking
from napari_stemprior.qt.desk import StempriorDesk
from napari_stemprior.qt.dock import DeskDock


@pytest.fixture
def nothing_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docking, "_AFTERWARDS", ())


def test_the_desk_comes_by_itself(qtbot, nothing_afterwards) -> None:
    dock = DeskDock(ViewerModel())
    qtbot.addWidget(dock)
    assert dock.desk is None  # not before the window has had its turn
    qtbot.waitUntil(lambda: dock.desk is not None, timeout=60_000)
    assert isinstance(dock.desk, StempriorDesk)
    assert dock.opened() is dock.desk
    assert dock.minimumSizeHint().width() >= dock.desk.minimumWidth()
    qtbot.waitUntil(lambda: not dock.desk.segment_panel._lister.busy, timeout=60_000)
    dock.close()
    assert dock.desk._closed


def test_a_dock_closed_at_once_makes_no_desk(qtbot, nothing_afterwards) -> None:
    dock = DeskDock(ViewerModel())
    qtbot.addWidget(dock)
    dock.close()
    qtbot.wait(3 * docking._LOOK)
    assert dock.desk is None


def test_a_library_that_is_missing_is_told(qtbot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docking, "_DESK", "napari_stemprior.no_such_module")
    dock = DeskDock(ViewerModel())
    qtbot.addWidget(dock)
    with pytest.raises(ImportError, match="no_such_module"):
        dock.opened()
    assert "cannot be opened: No module named 'napari_stemprior.no_such_module'" in dock._label.text()


def test_what_follows_is_there() -> None:
    reader = docking._Reader(docking._AFTERWARDS)
    reader.run()
    assert reader.error is None


def test_the_desk_fills_the_dock_of_a_window(make_napari_viewer_proxy, qtbot, nothing_afterwards) -> None:
    viewer = make_napari_viewer_proxy(show=True)
    _, dock = viewer.window.add_plugin_dock_widget("napari-stemprior", "Segment atoms")
    desk = dock.opened()
    qtbot.waitUntil(lambda: desk.height() > 0 and desk.isVisible(), timeout=60_000)
    qtbot.wait(200)
    assert desk.y() == 0
    assert desk.height() == dock.height()
    assert dock.height() > 300
    qtbot.waitUntil(lambda: not desk.segment_panel._lister.busy, timeout=60_000)
