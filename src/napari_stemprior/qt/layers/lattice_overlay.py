"""The layer that shows where the lattice of the prior lies on the image."""

from __future__ import annotations

from operator import is_

import numpy as np
from napari.layers import Image, Points
from napari.layers.points._points_constants import Symbol
from numpy.typing import NDArray

from napari_stemprior.qt.layers.atom_layers import KEY, layer_id, placed_like, shape_of
from napari_stemprior.qt.layers.palette import element_colour, layer_colour
from napari_stemprior.registration import LatticeFit
from napari_stemprior.structure.lattice_sites import LatticeSites

#: Symbols of the layers of a prior, entrance first.
_SYMBOLS = tuple(map(Symbol, ("cross", "x", "diamond", "triangle_up")))
#: A site is drawn at least so opaque where nothing of the lattice is seen.
_FAINTEST = 0.2
#: Side of a mark in distances between neighbours.
_MARK = 0.35
#: The mark about which a person turns the lattice is drawn so much larger.
_PIVOT = 2.6


def overlay_layer(image: Image, fit: LatticeFit, pixel_size: float) -> Points:
    """Draw the lattice of a fit over an image, as small crosses.

    Parameters
    ----------
    image : napari.layers.Image
    fit : LatticeFit
    pixel_size : float
        Å/px.
    """
    layer: Points = Points(
        np.empty((0, 2)),
        name=overlay_name(fit),
        symbol=_SYMBOLS[0],
        border_width=0,
        opacity=0.8,
        metadata={KEY: {"role": "lattice", "image": layer_id(image)}},
        **placed_like(image),
    )
    layer.editable = False  # it shows a fit: its points are no atoms
    fill_overlay(layer, image, fit, pixel_size)
    return layer


def overlay_name(fit: LatticeFit) -> str:
    """Return what the layer is called."""
    return f"{fit.prior.name} lattice"


def fill_overlay(
    layer: Points,
    image: Image,
    fit: LatticeFit,
    pixel_size: float,
    pivot: NDArray[np.float64] | None = None,
) -> None:
    """Draw another placement in the same layer: that is much faster than a new layer.

    Parameters
    ----------
    layer : napari.layers.Points
    image : napari.layers.Image
    fit : LatticeFit
    pixel_size : float
        Å/px.
    pivot : (2,) array, optional
        Pixel (y, x); the lattice point next to it is marked.
    """
    lattice = fit.lattice(shape_of(image))
    size = np.full(len(lattice.yx), _MARK * min(p.neighbour_distance for p in fit.layers) / pixel_size)
    if pivot is not None and len(lattice.yx):
        size[np.argmin(((lattice.yx - pivot) ** 2).sum(axis=1))] *= _PIVOT
    if layer.name != overlay_name(fit):
        layer.name = overlay_name(fit)
    if not np.array_equal(layer.affine.affine_matrix, np.eye(3)):
        layer.affine = np.eye(3)
    with layer.events.blocker_all():  # each would send all points to the graphics card again
        layer.selected_data = set()
        layer.data = lattice.yx
        if len(lattice.yx):
            layer.features = {"site": lattice.site, "element": lattice.element, "layer": lattice.layer}
            layer.face_color = colours(lattice)
            layer.size = size
            symbols = np.array(_SYMBOLS, object)[lattice.layer % len(_SYMBOLS)]
            if not all(map(is_, symbols, layer.symbol)):  # setting them costs more than all the rest
                layer.symbol = symbols
    layer.refresh()


def colours(lattice: LatticeSites) -> NDArray[np.float64]:
    """Return (M, 4) colours: of the element, or of the layer where there is more than one."""
    result = np.ones((len(lattice.yx), 4))
    if lattice.layer.any():
        for number in np.unique(lattice.layer):
            result[lattice.layer == number, :3] = layer_colour(int(number))
    else:
        for element in np.unique(lattice.element):
            result[lattice.element == element, :3] = element_colour(str(element))
    result[:, 3] = _FAINTEST + (1 - _FAINTEST) * lattice.reliability
    return result
