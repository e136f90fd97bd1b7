"""The layers that show measurements: filled maps, arrows, and coloured marks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from napari.components import ViewerModel
from napari.layers import Image, Layer, Points, Vectors
from napari.utils.colormaps import Colormap, ensure_colormap
from numpy.typing import NDArray

from napari_stemprior.measurement.view import ArrowView, MapView, PlaceView, View
from napari_stemprior.qt.layers import atom_layers
from napari_stemprior.qt.layers.atom_layers import KEY, layer_id, placed_like
from napari_stemprior.qt.layers.palette import CATEGORIES
from napari_stemprior.qt.layers.scale_arrow import add_scale_arrow

ROLE = "measurement"
#: Blue below and red above 0, which no form of colour blindness confuses.
DIVERGING = Colormap(
    [[0.02, 0.19, 0.38], [0.26, 0.58, 0.76], [0.97, 0.97, 0.97], [0.84, 0.38, 0.30], [0.40, 0.0, 0.12]],
    name="stemprior diverging",
    controls=[0.0, 0.25, 0.5, 0.75, 1.0],
)
_ARROW_COLOUR = "#ffd92f"
#: Width of an arrow and side of a mark in distances between the marks.
_WIDTH, _MARK = 0.12, 0.5
_MAP_OPACITY = 0.75
#: Colours of names that mean something elsewhere too, as in the figures.
_NAMED = {
    "vacancy": "#e6550d", "partial vacancy": "#fdae6b", "substitution": "#31a354", "antisite": "#756bb1",
    "interstitial": "#de2d26", "AA": "#e6550d", "AB": "#3182bd", "BA": "#31a354", "SP": "#bdbdbd",
    "grain boundary": "#ffd92f", "antiphase boundary": "#e78ac3", "gap": "#bdbdbd", "none": "#9e9e9e",
}  # fmt: skip
_SYMBOLS = {
    "vacancy": "disc", "partial vacancy": "square", "substitution": "diamond", "antisite": "triangle_up",
    "interstitial": "cross",
}  # fmt: skip


def layer_of(view: View, image: Image, spacing: float) -> Layer:
    """Make the layer of a view.

    Parameters
    ----------
    view : MapView, ArrowView or PlaceView
    image : napari.layers.Image
        Which it lies on.
    spacing : float
        Usual distance between neighbouring atoms, pixels.
    """
    common: dict[str, Any] = {
        "name": layer_name(view),
        "metadata": {KEY: {"role": ROLE, "image": layer_id(image), "view": view.name}},
        **placed_like(image),
    }
    if isinstance(view, MapView):
        return _map(view, image, common)
    if isinstance(view, ArrowView):
        return _vectors(view, spacing, common)
    return _marks(view, spacing, common)


def layer_name(view: View) -> str:
    """Return what the layer of a view is called, with its unit."""
    if isinstance(view, ArrowView):
        return f"{view.name} × {view.gain:g}"
    return f"{view.name} ({view.unit})" if view.unit else view.name


def shown_layer(viewer: ViewerModel, view: View, image: Image) -> Layer | None:
    """Find the layer of a view."""
    for layer in _all(viewer, image):
        if layer.metadata[KEY]["view"] == view.name:
            return layer
    return None


def map_layer(viewer: ViewerModel, image: Image) -> Image | None:
    """Find the layer of maps; there is one, for they cover each other, and a new one takes napari long."""
    return next((layer for layer in _all(viewer, image) if isinstance(layer, Image)), None)


def show_map(layer: Image, view: MapView, image: Image) -> None:
    """Show another map in the layer of maps."""
    layer.metadata[KEY].update(view=view.name, step=view.step)
    layer.data = view.values
    layer.contrast_limits_range = (2 * view.limits[0], 2 * view.limits[1])
    layer.contrast_limits = view.limits
    layer.name = layer_name(view)
    atom_layers.follow(layer, image)


def remove_marks(viewer: ViewerModel, image: Image) -> None:
    """Take all layers of the measurements of an image out of the viewer, but that of maps."""
    for layer in _all(viewer, image):
        if not isinstance(layer, Image):
            viewer.layers.remove(layer)


def _all(viewer: ViewerModel, image: Image) -> list[Layer]:
    return [
        layer
        for layer in viewer.layers
        if atom_layers.role_of(layer) == ROLE and atom_layers.belongs(layer, image)
    ]


def set_gain(layer: Vectors, gain: float, view: ArrowView) -> None:
    """Draw arrows longer or shorter."""
    layer.length = gain
    layer.name = f"{view.name} × {gain:g}"


def _map(view: MapView, image: Image, common: dict[str, Any]) -> Image:
    common["metadata"][KEY]["step"] = view.step
    layer: Image = Image(
        view.values, colormap=DIVERGING,  # type: ignore[arg-type]  # napari takes a colormap too
        contrast_limits=view.limits, opacity=_MAP_OPACITY,
        interpolation2d="linear", **common,
    )  # fmt: skip
    atom_layers.follow(layer, image)
    layer.colorbar.visible = True
    return layer


def _vectors(view: ArrowView, spacing: float, common: dict[str, Any]) -> Vectors:
    colour: Any = _ARROW_COLOUR
    if view.angle is not None:
        colour = ensure_colormap("hsv").map(view.angle / 360)
    layer: Vectors = Vectors(
        np.stack([view.yx, view.arrow], axis=1), length=view.gain, vector_style="arrow",
        edge_width=_WIDTH * spacing, edge_color=colour, **common,
    )  # fmt: skip
    add_scale_arrow(layer, view.name)
    return layer


def _marks(view: PlaceView, spacing: float, common: dict[str, Any]) -> Points:
    named = view.limits is None
    shapes: Any = "disc"
    if view.limits is None:
        colours = _of_names(np.asarray(view.values, object))
        shapes = [_SYMBOLS.get(str(name), "disc") for name in view.values]
    else:
        low, high = view.limits
        part = np.clip((np.asarray(view.values, float) - low) / max(high - low, 1e-12), 0, 1)
        diverging = view.unit == "°"
        colours = (DIVERGING if diverging else ensure_colormap("viridis")).map(part)
    hollow = named and view.name == "defects"
    layer: Points = Points(
        view.yx,
        features=pd.DataFrame({view.name: view.values}),
        size=(2 * _MARK if hollow else _MARK) * spacing,
        symbol=shapes,
        face_color="transparent" if hollow else colours,
        border_color=colours,
        border_width=0.12 if hollow else 0.0,
        **common,
    )
    layer.editable = False  # these are numbers, not atoms
    return layer


def _of_names(names: NDArray[np.object_]) -> NDArray[np.float64]:
    codes, found = pd.factorize(names)
    from napari.utils.colormaps.standardize_color import transform_color

    free = CATEGORIES
    table = []
    for number, name in enumerate(found):
        known = _NAMED.get(str(name))
        table.append(
            transform_color(known)[0] if known else np.array([*free[number % len(free)][:3], 1.0], float)
        )
    return np.asarray(table, float)[codes] if len(names) else np.empty((0, 4))


def legend(view: PlaceView) -> str:
    """Say in rich text what the colours of marks mean."""
    if view.limits is not None:
        low, high = view.limits
        unit = f" {view.unit}" if view.unit else ""
        return (
            f"dark {low:.3g}{unit} to bright {high:.3g}{unit}"
            if view.unit != "°"
            else (f"blue {low:.3g}° to red {high:.3g}°")
        )
    values = np.asarray(view.values, object)
    _, found = pd.factorize(values)
    colours = _of_names(np.asarray(found, object))
    parts = []
    for name, colour in zip(found, colours, strict=True):
        hexed = "#" + "".join(f"{round(255 * c):02x}" for c in colour[:3])
        count = int((values == name).sum())
        words = f"{name} ({count})".replace(" ", "&nbsp;")
        parts.append(f'<span style="color:{hexed}">■</span>&nbsp;{words}')
    return " &nbsp;".join(parts)
