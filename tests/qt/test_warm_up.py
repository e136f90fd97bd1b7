"""What napari compiles for shapes is compiled once, in a thread of its own, when the desk is shown."""

import threading

from desk_bench import Desk
from desk_fakes import add_image
from napari.components import ViewerModel

from napari_stemprior.qt.jobs import warm_up as module


def test_the_shapes_are_used_once_in_another_thread(qtbot, viewer, monkeypatch):
    used = []
    monkeypatch.setattr(module, "_thread", None)
    monkeypatch.setattr(module, "_use_shapes", lambda: used.append(threading.current_thread()))
    desk = Desk(qtbot, viewer)
    assert not used, "a desk that nobody sees needs nothing"
    desk.widget.show()
    module.warm_up().join()
    desk.widget.hide()
    desk.widget.show()
    module.warm_up().join()
    assert len(used) == 1
    assert used[0] is not threading.main_thread()
    assert not used[0].daemon
    desk.widget.close()


def test_it_waits_for_the_first_layer_which_sets_up_the_units(qtbot, monkeypatch):
    started = []
    monkeypatch.setattr("napari_stemprior.qt.desk.warm_up", lambda: started.append(True))
    desk = Desk(qtbot, ViewerModel())
    desk.widget.show()
    assert not started
    add_image(desk.viewer)
    assert started
    desk.widget.close()


def test_a_shape_is_drawn_without_a_viewer():
    module._use_shapes()
