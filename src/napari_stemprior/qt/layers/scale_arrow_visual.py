"""The scale arrow on the canvas. napari knows only overlays of its own, so that this one joins its table."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari._vispy.overlays.base import LayerOverlayMixin, VispyCanvasOverlay
from napari._vispy.utils.visual import overlay_to_visual
from napari._vispy.visuals.text import Text
from napari.layers import Vectors
from vispy.scene.visuals import Compound, Line  # type: ignore[import-untyped]

from napari_stemprior.qt.layers.scale_arrow import (
    ScaleArrowOverlay,
    canvas_pixels,
    length_text,
    round_length,
)

#: px: half the width of the head of the arrow, its length, and the width of the line.
_HALF_HEAD, _HEAD, _WIDTH = 5.0, 9.0, 3.0


def register() -> None:
    """Tell napari how the overlay is drawn."""
    overlay_to_visual[ScaleArrowOverlay] = VispyScaleArrow


class _Arrow(Compound):  # type: ignore[misc]  # vispy has no types
    """An arrow to the right below a text."""

    def __init__(self, font_info: Any) -> None:
        self.text = Text(text="", pos=[0, 0], anchor_x="left", anchor_y="bottom", font_info=font_info)
        self.line = Line(connect="segments", method="gl", width=_WIDTH, antialias=True)
        super().__init__([self.text, self.line])

    def show(self, length: float, text: str, colour: Any, font_size: float) -> tuple[float, float]:
        """Draw an arrow of a length in px, and return the width and height of all."""
        self.text.text = text
        self.text.font_size = font_size
        width, height = self.text.get_width_height()
        height = float(np.ceil(height))
        y, tip = height + _HALF_HEAD + 1, float(length)
        head = min(_HEAD, tip / 2)
        ends = [
            [0, y],
            [tip, y],
            [tip, y],
            [tip - head, y - _HALF_HEAD],
            [tip, y],
            [tip - head, y + _HALF_HEAD],
        ]
        self.line.set_data(pos=np.array(ends, np.float32), color=colour)
        self.text.pos = 0, 0
        self.text.color = colour
        return max(tip, float(width)), height + 2 * _HALF_HEAD + 2


class VispyScaleArrow(LayerOverlayMixin, VispyCanvasOverlay):
    """Keeps the arrow as long as the arrows of its layer say, at any gain, zoom and scale."""

    overlay: ScaleArrowOverlay
    layer: Vectors
    node: _Arrow

    def __init__(self, *, font_info: Any, **kwargs: Any) -> None:
        super().__init__(node=_Arrow(font_info), font_info=font_info, **kwargs)
        events = self.layer.events
        for signal in (events.length, events.scale, events.units):
            signal.connect(self._on_change)
        self.viewer.scene.camera.events.zoom.connect(self._on_change)
        self.viewer.canvas.events.background_color.connect(self._on_change)
        self.reset()

    def _should_be_visible(self) -> bool:
        return bool(super()._should_be_visible()) and canvas_pixels(self.layer, self.viewer) is not None

    def _on_change(self, event: Any = None) -> None:
        self._on_visible_change()

    def _on_visible_change(self, event: Any = None) -> None:
        pixels = canvas_pixels(self.layer, self.viewer)
        if pixels and self.overlay.visible and self.layer.visible:
            length = round_length(pixels)
            text = f"{self.overlay.label} {length_text(length)}".strip()
            size = self.node.show(length * pixels, text, self._get_fgcolor(), self.overlay.font_size)
            grown, (self.x_size, self.y_size) = size != (self.x_size, self.y_size), size
            if grown:
                self._on_position_change()
        super()._on_visible_change()

    def close(self) -> None:
        """Let go of the layer and the viewer."""
        self.viewer.scene.camera.events.zoom.disconnect(self._on_change)
        super().close()
