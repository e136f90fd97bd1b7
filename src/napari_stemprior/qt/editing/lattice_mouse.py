"""Dragging the lattice on the canvas."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import numpy as np
from napari.layers import Points
from numpy.typing import NDArray

from napari_stemprior.workflow.manual_fit import dragged

HINT = (
    "Drag moves the lattice. <b>Shift</b>+drag turns it and <b>Ctrl</b>+drag scales it, about the large "
    "mark, where you moved it last. The wheel zooms."
)


class LatticeMouse:
    """Lets a person drag the overlay layer while it is the active one.

    Parameters
    ----------
    layer : napari.layers.Points
        The overlay.
    pivot : callable
        Returns the pixel (y, x) about which the lattice turns.
    done : callable
        Gets the (3, 3) matrix of a finished drag, the pixel where it ended and how it was done.
    """

    def __init__(
        self,
        layer: Points,
        pivot: Callable[[], NDArray[np.float64]],
        done: Callable[[NDArray[np.float64], NDArray[np.float64], str], None],
    ) -> None:
        self.layer = layer
        self._pivot, self._done = pivot, done
        layer.mouse_pan = False  # a drag is ours; the wheel still zooms
        layer.mouse_drag_callbacks.append(self._drag)

    def release(self) -> None:
        """Let dragging move the view again."""
        self.layer.mouse_drag_callbacks.remove(self._drag)
        self.layer.affine = np.eye(3)
        self.layer.mouse_pan = True

    def _drag(self, layer: Points, event: Any) -> Generator[None, None, None]:
        if event.button != 1:
            return
        how = "turn" if "Shift" in event.modifiers else "scale" if "Control" in event.modifiers else "move"
        # only the transform of the layer changes meanwhile: new points would cost too much for every step
        to_world = np.diag([*layer.scale[-2:], 1.0])
        to_world[:2, 2] = layer.translate[-2:]
        pivot, matrix = self._pivot(), np.eye(3)
        start = end = self._pixel(event, matrix)
        yield
        while event.type == "mouse_move":
            end = self._pixel(event, matrix)
            matrix = dragged(start, end, pivot, how)
            layer.affine = to_world @ matrix @ np.linalg.inv(to_world)
            yield
        if not np.array_equal(matrix, np.eye(3)):
            self._done(matrix, end, how)

    def _pixel(self, event: Any, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the pixel of the image below the mouse, while the layer is moved by `matrix`."""
        data = np.array(self.layer.world_to_data(event.position))[-2:]
        return np.asarray(matrix[:2, :2] @ data + matrix[:2, 2])
