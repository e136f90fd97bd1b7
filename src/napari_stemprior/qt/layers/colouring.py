"""What the colours of the atoms mean."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from napari.utils.colormaps import ensure_colormap
from numpy.typing import NDArray

from napari_stemprior.qt.image_context import ImageContext
from napari_stemprior.qt.layers.palette import Colour, element_colour, layer_colour, layer_name
from napari_stemprior.qt.widgets.drawing import by_element

Floats = NDArray[np.float64]

#: The darkest part of viridis cannot be seen on a dark micrograph.
_DARKEST = 0.2
_UNKNOWN = (0.6, 0.6, 0.6, 1.0)


@dataclass(frozen=True)
class Quantity:
    """Something that atoms can be coloured by.

    Parameters
    ----------
    name : str
        As a person reads it.
    unit : str
    limits : (float, float), optional
        Fixed ends of the scale.
    """

    name: str
    unit: str = ""
    limits: tuple[float, float] | None = None


ELEMENT, LAYER = Quantity("element"), Quantity("layer")
CONFIDENCE, EVIDENCE = Quantity("confidence", limits=(0.0, 1.0)), Quantity("evidence", limits=(0.0, 1.0))
DISPLACEMENT, INTENSITY = Quantity("displacement from the lattice", "Å"), Quantity("intensity")
QUANTITIES: tuple[Quantity, ...] = (ELEMENT, LAYER, CONFIDENCE, EVIDENCE, DISPLACEMENT, INTENSITY)


@dataclass(frozen=True)
class Legend:
    """What the colours mean: names of colours, or the ends of a scale."""

    names: tuple[tuple[Colour, str], ...] = ()
    scale: tuple[float, float] | None = None
    unit: str = ""
    problem: str = ""


def scale_colours(values: Floats, low: float, high: float) -> Floats:
    """Return (N, 4) colours of values between two ends; grey where a value is not finite."""
    values = np.asarray(values, float)
    part = np.clip((values - low) / max(high - low, 1e-12), 0, 1)
    known = np.isfinite(part)
    colours = np.tile(np.asarray(_UNKNOWN, float), (len(part), 1))
    if known.any():
        colours[known] = ensure_colormap("viridis").map(_DARKEST + (1 - _DARKEST) * part[known])
    return colours


class Colouring:
    """Colours rows by a quantity; give it to an editor as its `colouring`.

    Parameters
    ----------
    context : ImageContext
    """

    def __init__(self, context: ImageContext) -> None:
        self.context = context
        self.quantity = ELEMENT
        self.limits = (0.0, 1.0)
        self.problem = ""

    def choose(self, quantity: Quantity) -> None:
        """Colour by another quantity, and fit the ends of its scale to the atoms that are there."""
        self.quantity = quantity
        self.fit()

    def fit(self) -> None:
        """Fit the ends of the scale to the atoms."""
        self.problem = ""
        if self.quantity in (ELEMENT, LAYER):
            return
        if self.quantity.limits is not None:
            self.limits = self.quantity.limits
            return
        editor = self.context.session.editor
        values = None if editor is None else self._values(editor.rows)
        finite = values[np.isfinite(values)] if values is not None else np.empty(0)
        if values is None:
            wants_fit = self.quantity is DISPLACEMENT
            self.problem = "Fit the lattice in step 2 first." if wants_fit else "The image is no micrograph."
        elif len(finite):
            low, high = np.quantile(finite, (0.02, 0.98))
            self.limits = (0.0 if self.quantity is DISPLACEMENT else float(low), float(high))

    def __call__(self, rows: pd.DataFrame) -> Floats:
        """Return (N, 4) colours."""
        if self.quantity is ELEMENT:
            return by_element(rows)
        if self.quantity is LAYER:
            layers, place = np.unique(rows["layer"].to_numpy(int), return_inverse=True)
            shades = np.array([(*layer_colour(int(n)), 1.0) for n in layers]).reshape(-1, 4)
            return np.asarray(shades[place])
        values = self._values(rows)
        if values is None:
            return np.tile(np.asarray(_UNKNOWN, float), (len(rows), 1))
        return scale_colours(values, *self.limits)

    def legend(self) -> Legend:
        """Say what the colours mean."""
        editor = self.context.session.editor
        if self.problem:
            return Legend(problem=self.problem)
        if self.quantity is LAYER:
            layers = [] if editor is None else np.unique(editor.history.column("layer")).tolist()
            return Legend(tuple((layer_colour(i), layer_name(i)) for i in layers))
        if self.quantity is ELEMENT:
            names = [] if editor is None else sorted(map(str, pd.unique(editor.history.column("element"))))
            return Legend(tuple((element_colour(e), e) for e in names))
        return Legend(scale=self.limits, unit=self.quantity.unit)

    def _values(self, rows: pd.DataFrame) -> Floats | None:
        if self.quantity in (CONFIDENCE, EVIDENCE):
            return rows[self.quantity.name].to_numpy(float)
        if self.quantity is DISPLACEMENT:
            return self.context.displacement(rows)
        return self.context.brightness(rows[["y_px", "x_px"]].to_numpy(float))
