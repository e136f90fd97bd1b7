"""What may wait until the window has shown an edit."""

import pytest
from correct_bench import Bench
from qtpy.QtCore import QObject

from napari_stemprior.qt.jobs.soon import Soon


@pytest.fixture
def calls(qtbot):
    parent = QObject()
    made = []
    yield Soon(parent, lambda: made.append(1)), made, parent
    parent.deleteLater()


def test_it_is_called_once_in_a_next_turn(calls, qtbot):
    soon, made, _ = calls
    soon()
    soon("any", "arguments")
    assert not made
    qtbot.waitUntil(lambda: bool(made))
    qtbot.wait(20)
    assert made == [1]


def test_it_can_be_called_at_once_or_not_at_all(calls, qtbot):
    soon, made, _ = calls
    soon()
    soon.now()
    assert made == [1]
    soon()
    soon.stop()
    qtbot.wait(20)
    assert made == [1]


def test_counts_follow_an_edit_once_the_window_has_shown_it(qtbot, viewer):
    bench = Bench(qtbot, viewer).fill()
    panel, editor = bench.desk.correct_panel, bench.editor
    qtbot.wait(20)
    before = panel.counts.text()
    refreshed = []
    panel.state_changed.connect(refreshed.append)
    for row in range(3):
        editor.set_status([row], "rejected")
    assert (panel.counts.text(), refreshed) == (before, []), "three edits are shown first"
    qtbot.waitUntil(lambda: panel.counts.text() != before)
    assert "3 rejected" in panel.counts.text()
    assert len(refreshed) == 1
    bench.desk.close()
