"""Layers that are deleted in a real window while work runs."""

import gc
import threading

from desk_fakes import FakeSegmenter, add_image, fake_operations
from qtpy.QtOpenGLWidgets import QOpenGLWidget
from vispy.gloo import gl

from napari_stemprior.progress import Progress
from napari_stemprior.qt.desk import StempriorDesk
from napari_stemprior.qt.layers.freed_buffers import look_after_canvases


class Waiting(FakeSegmenter):
    """Waits in its first step until it is let go."""

    go = threading.Event()

    def steps(self, prior, *, trust=1.0, fit=None):
        yield Progress(0, 1, "Segmenting")
        assert self.go.wait(60)
        return (yield from super().steps(prior, trust=trust, fit=fit))


def enabled_arrays(canvas):
    canvas.makeCurrent()
    on = [i for i in range(16) if gl.glGetVertexAttrib(i, 34338)]  # GL_VERTEX_ATTRIB_ARRAY_ENABLED
    canvas.doneCurrent()
    return on


def test_the_atoms_layer_is_deleted_while_a_second_segmentation_runs(make_napari_viewer_proxy, qtbot):
    viewer = make_napari_viewer_proxy(strict_qt=True, show=True)
    add_image(viewer, shape=(384, 384))
    desk = StempriorDesk(viewer, fake_operations(segmenter=Waiting))
    viewer.window.add_dock_widget(desk, area="right", name="desk")
    window = desk.window()
    viewer.window.resize(1000, 700)
    canvas = window.findChild(QOpenGLWidget)
    desk.prior_panel.pick("MoS2")
    qtbot.waitUntil(lambda: not desk.segment_panel._lister.busy, timeout=60_000)
    for _ in range(2):
        Waiting.go.set()
        desk.segment_panel.segment.click()
        qtbot.waitUntil(lambda: not desk.runner.busy, timeout=60_000)
        editor = desk.session.editor
        found = len(editor.rows)
        editor.select(range(50))
        viewer.scene.camera.zoom = 8
        qtbot.waitUntil(lambda: len(enabled_arrays(canvas)) > 2, timeout=60_000)
        Waiting.go.clear()
        desk.segment_panel.segment.click()
        qtbot.waitUntil(lambda: desk.segment_panel.stage.text() == "Segmenting (0 of 1)…", timeout=60_000)
        viewer.layers.remove_selected()
        assert desk.session.editor is None
        assert not enabled_arrays(canvas), "they would read what is freed now"
        del editor
        gc.collect()
        canvas.repaint()  # without the arrays disabled, this ends the program
        Waiting.go.set()
        qtbot.waitUntil(lambda: not desk.runner.busy, timeout=60_000)
        assert len(desk.session.editor.rows) == found
        qtbot.wait(50)


def test_a_viewer_without_a_window_is_left_alone(viewer, qtbot):
    from qtpy.QtWidgets import QWidget

    inside = QWidget()
    qtbot.addWidget(inside)
    look_after_canvases(viewer, inside)
    look_after_canvases(viewer, None)
    viewer.layers.remove(add_image(viewer))
