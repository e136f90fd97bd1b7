"""The private names of napari that the desk uses: each is there and does what it is used for."""

import ast
import inspect
from pathlib import Path

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Points
from qtpy.QtOpenGLWidgets import QOpenGLWidget
from qtpy.QtWidgets import QWidget

import napari_stemprior

QT = Path(napari_stemprior.__file__).parent / "qt"
#: Every private name of napari that is used.
USED = {
    "__wrapped__",
    "_block_refresh",
    "_border",
    "_clipboard",
    "_face",
    "_highlight_box",
    "_overlays",
    "_vispy_canvas",
    "napari._vispy.overlays.base",
    "napari._vispy.utils.visual",
    "napari._vispy.visuals.text",
    "napari.layers.points._points_constants",
}


@pytest.fixture
def points() -> Points:
    return Points(np.array([[1.0, 2.0], [3.0, 4.0]]), features={"element": ["W", "S"]})


def test_the_private_names_of_napari_in_use_are_those_of_this_list() -> None:
    found = {path: _private(ast.parse(path.read_text(encoding="utf-8"))) for path in QT.rglob("*.py")}
    assert set().union(*found.values()) == USED, (
        "add what is new, with a test below, or better: do without it"
    )


def _private(tree: ast.AST) -> set[str]:
    """Private attributes of objects from elsewhere, also through `getattr`, and private modules of napari."""
    attributes, modules = set(), set()
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=ast.Name(id="self" | "cls")):
                pass
            case ast.Attribute(attr=name) if not name.startswith("__"):
                attributes.add(name)
            case ast.Call(func=ast.Name(id="getattr"), args=[_, ast.Constant(value=str(name)), *_]):
                attributes.add(name)
            case ast.ImportFrom(module=str(module)) if module.startswith("napari."):
                attributes |= {one.name for one in node.names}
                modules.add(module)
    own = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    return {name for name in attributes - own if name.startswith("_")} | {
        name for name in modules if "._" in name
    }


def test_the_colours_of_points_have_events_that_can_be_held_back(points: Points) -> None:
    heard = []
    for style, change in ((points._border, "border_color"), (points._face, "face_color")):
        style.events.connect(lambda event: heard.append(event.type))
        with style.events.blocker_all(), points.events.blocker_all():
            setattr(points, change, np.ones((2, 4)))
        assert not heard
        setattr(points, change, np.zeros((2, 4)))
        assert heard
        heard.clear()


def test_a_layer_can_be_kept_from_refreshing_while_it_is_changed(points: Points) -> None:
    heard = []
    points.events.set_data.connect(lambda event: heard.append(event.type))
    with points._block_refresh():
        points.data = np.array([[5.0, 6.0]])
        points.size = 3
    assert not heard
    points.refresh()
    assert heard


def test_the_widget_of_a_canvas_knows_the_canvas_that_is_drawn(make_napari_viewer_proxy, qtbot) -> None:
    viewer = make_napari_viewer_proxy(strict_qt=True, show=True)
    docked = QWidget()
    viewer.window.add_dock_widget(docked)
    (widget,) = docked.window().findChildren(QOpenGLWidget)
    drawn = []
    widget._vispy_canvas.events.draw.connect(drawn.append, position="first")
    widget.update()
    qtbot.waitUntil(lambda: bool(drawn), timeout=60_000)


def test_a_line_can_be_drawn_as_the_highlight_of_points(points: Points) -> None:
    from napari._vispy.layers import points as drawn

    assert hasattr(points, "_highlight_box")
    assert "layer._highlight_box" in inspect.getsource(drawn), "it is what is drawn"
    points._highlight_box = np.zeros((3, 2))
    points.events.highlight()


def test_an_overlay_of_our_own_is_drawn_by_our_own_class() -> None:
    from napari._vispy.overlays.base import LayerOverlayMixin, VispyCanvasOverlay
    from napari._vispy.utils import visual
    from napari._vispy.visuals.text import Text
    from napari.layers import Vectors

    from napari_stemprior.qt.layers.scale_arrow import NAME, add_scale_arrow

    layer = Vectors(np.zeros((1, 2, 2)))
    added = []
    layer._overlays.events.added.connect(added.append)
    add_scale_arrow(layer, "displacements")
    assert added, "the canvas hears of it"
    drawn = visual.overlay_to_visual[type(layer._overlays[NAME])]
    assert issubclass(drawn, LayerOverlayMixin)
    assert issubclass(drawn, VispyCanvasOverlay)
    assert "overlay_to_visual" in inspect.getsource(visual.create_vispy_overlay)
    assert {"get_width_height", "font_size"} <= set(dir(Text))
    used = ("_should_be_visible", "_on_visible_change", "_on_position_change", "_get_fgcolor")
    assert all(hasattr(VispyCanvasOverlay, name) for name in used)


def test_copied_points_are_kept_with_their_features(points: Points) -> None:
    points.selected_data = {1}
    points._copy_data()
    np.testing.assert_allclose(points._clipboard["data"], [[3.0, 4.0]])
    assert list(points._clipboard["features"]["element"]) == ["S"]


def test_the_symbols_of_points_are_an_enumeration() -> None:
    from napari.layers.points._points_constants import Symbol

    from napari_stemprior.qt.widgets.drawing import SYMBOLS

    points = Points(np.zeros((1, 2)))
    for name in SYMBOLS.values():
        points.symbol = np.array([Symbol(name)], object)
        assert points.symbol[0] is Symbol(name), "compared by identity"


def test_the_viewer_behind_the_proxy_of_a_plugin_is_reached() -> None:
    from napari.utils._proxies import PublicOnlyProxy

    viewer = ViewerModel()
    assert PublicOnlyProxy(viewer).__wrapped__ is viewer


def test_the_viewer_knows_the_size_of_its_canvas_in_public() -> None:
    assert len(ViewerModel().canvas.size) == 2
