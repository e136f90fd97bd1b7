"""In a real window: layers come without being selected, and painting has a turn of its own."""

import numpy as np
import pytest
from desk_fakes import add_image
from napari.layers import Points
from qtpy.QtOpenGLWidgets import QOpenGLWidget

from napari_stemprior.qt.jobs.turns import in_turns
from napari_stemprior.qt.layers.atom_layers import placed_like
from napari_stemprior.qt.layers.freed_buffers import look_after_canvases
from napari_stemprior.qt.layers.insertion import insert_beside, reveal
from napari_stemprior.qt.layers.painting import put_off_painting
from napari_stemprior.qt.layers.removal import remove_layer


@pytest.fixture
def window(make_napari_viewer):
    viewer = make_napari_viewer(show=True, strict_qt=True)
    add_image(viewer)
    (canvas,) = viewer.window._qt_viewer.findChildren(QOpenGLWidget)
    look_after_canvases(viewer, canvas.window())
    return viewer, canvas


@pytest.fixture
def painted(window, qtbot):
    """How often the canvas was painted since the window was quiet."""
    times = []
    qtbot.wait(200)
    window[1]._vispy_canvas.events.draw.connect(lambda event: times.append(1))
    return times


def test_a_layer_comes_without_being_selected(window, qtbot):
    viewer, _ = window
    (image,) = viewer.layers
    listed = viewer.window._qt_viewer.layers
    emitted = []
    viewer.layers.selection.events.active.connect(lambda event: emitted.append(event.value))
    layer = Points(np.ones((3, 2)), visible=False, **placed_like(image))
    insert_beside(viewer, 1, layer)
    assert list(viewer.layers) == [image, layer]
    assert viewer.layers.selection == {image}
    assert viewer.layers.selection.active is image
    assert not emitted
    qtbot.wait(50)
    rows = {index.data(0) for index in listed.selectionModel().selectedIndexes()}
    assert rows == {image.name}, "the list of layers shows the same selection"
    assert listed.currentIndex().data(0) == image.name
    assert viewer.window._qt_viewer.controls.currentWidget().layer is image
    viewer.layers.selection.active = layer
    assert emitted[-1] is layer
    assert viewer.window._qt_viewer.controls.currentWidget().layer is layer


def test_the_first_layer_is_selected_as_ever(viewer):
    layer = Points(np.ones((3, 2)))
    insert_beside(viewer, 0, layer)
    assert viewer.layers.selection.active is layer


def test_several_changes_are_painted_once_and_later(window, painted, qtbot):
    viewer, canvas = window
    layer = Points(np.ones((3, 2)), visible=False, **placed_like(viewer.layers[0]))
    painted.clear()
    insert_beside(viewer, 1, layer)
    reveal(viewer, layer)
    assert not canvas.updatesEnabled()
    assert not painted
    qtbot.waitUntil(lambda: bool(painted), timeout=10_000)
    assert canvas.updatesEnabled()
    qtbot.wait(100)
    assert len(painted) == 1
    assert layer.visible
    remove_layer(viewer, layer)
    qtbot.waitUntil(lambda: len(painted) == 2, timeout=10_000)


def test_a_window_that_is_closed_meanwhile_is_left_alone(window, qtbot):
    viewer, _ = window
    put_off_painting(viewer)
    viewer.close()
    qtbot.wait(50)
    put_off_painting(viewer)


def test_a_piece_of_work_waits_for_the_turn_after_a_painting(window, qtbot):
    viewer, canvas = window
    done = []
    canvas._vispy_canvas.events.draw.connect(lambda event: done.append("painted"), position="last")
    qtbot.wait(200)
    done.clear()

    def work():
        done.append("work")
        put_off_painting(viewer)
        yield
        done.append("more work")

    in_turns(canvas, work())
    qtbot.waitUntil(lambda: len(done) >= 3, timeout=10_000)
    assert sorted(done[:3]) == ["more work", "painted", "work"]
