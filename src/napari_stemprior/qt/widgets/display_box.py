"""How the atoms are shown: colours with a legend, the confidence threshold, and the image alone."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.layers import Image, Layer
from qtpy.QtCore import Qt
from qtpy.QtGui import QImage, QPixmap
from qtpy.QtWidgets import QCheckBox, QComboBox, QFormLayout, QHBoxLayout, QLabel, QVBoxLayout, QWidget
from superqt import QLabeledDoubleSlider
from superqt.utils import qdebounced

from napari_stemprior.qt.image_context import ImageContext
from napari_stemprior.qt.layers.atom_layers import role_of
from napari_stemprior.qt.layers.colouring import QUANTITIES, Colouring, Legend, scale_colours
from napari_stemprior.qt.layers.palette import Colour
from napari_stemprior.qt.panels.panel import allow
from napari_stemprior.qt.panels.section import small_label
from napari_stemprior.qt.widgets import shortcuts

_BAR_HEIGHT = 12


class DisplayBox(QWidget):
    """Chooses how the atoms of the present editor are drawn.

    Parameters
    ----------
    context : ImageContext
    """

    def __init__(self, context: ImageContext) -> None:
        super().__init__()
        self.context = context
        self.colouring = Colouring(context)
        self._hidden: list[Layer] = []
        self.quantity = QComboBox()
        self.quantity.addItems([q.name for q in QUANTITIES])
        self.legend = LegendBar()
        self.threshold = QLabeledDoubleSlider(Qt.Orientation.Horizontal)
        self.threshold.setRange(0.0, 1.0)
        self.threshold.setDecimals(2)
        self.threshold.setSingleStep(0.01)  # type: ignore[arg-type]  # superqt types it as of an int slider
        self.dim = QCheckBox("Dim instead of hide")
        self.show_rejected = QCheckBox("Show rejected")
        form = QFormLayout(self)
        form.setContentsMargins(0, 0, 0, 0)
        form.setSpacing(5)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("Colour by", self.quantity)
        form.addRow(self.legend)
        form.addRow("Confidence ≥", self.threshold)
        boxes = QHBoxLayout()
        boxes.addWidget(self.dim)
        boxes.addWidget(self.show_rejected)
        form.addRow(boxes)
        self.quantity.currentIndexChanged.connect(self._on_quantity)
        self._apply_later = qdebounced(self.apply, timeout=60)
        self.threshold.valueChanged.connect(self._apply_later)
        self.dim.toggled.connect(self.apply)
        self.show_rejected.toggled.connect(self.apply)

    def refresh(self, none: str) -> None:
        """Allow or forbid everything, and show the legend; `none` says why nothing can be done."""
        allow(self.quantity, shortcuts.tooltip("colour"), none)
        allow(
            self.threshold,
            "Hide atoms that the network is less sure of. Nothing is deleted; what you placed or accepted "
            "stays.",
            none,
        )
        allow(
            self.dim,
            "Draw atoms below the threshold faintly instead of hiding them. They do not count, and files "
            "leave them out as hidden ones; select one and accept it, and it counts.",
            none,
        )
        allow(
            self.show_rejected,
            "Show rejected atoms as grey crosses; select one and accept it to bring it back.",
            none,
        )
        self.legend.show_legend(self.colouring.legend())
        self.legend.setVisible(not none)

    def apply(self, *_: Any) -> None:
        """Draw the atoms of the present editor as it is chosen here."""
        editor = self.context.session.editor
        if editor is None:
            return
        editor.colouring = self.colouring
        editor.threshold = self.threshold.value()
        editor.dim = self.dim.isChecked()
        editor.show_rejected = self.show_rejected.isChecked()
        editor.update_shown()

    def fit(self) -> None:
        """Fit the scale of the colours to other atoms or another lattice."""
        self.colouring.fit()

    def next_quantity(self) -> None:
        """Colour by the next quantity."""
        self.quantity.setCurrentIndex((self.quantity.currentIndex() + 1) % self.quantity.count())

    def hide_overlays(self) -> None:
        """Hide everything but the images that are micrographs."""
        self.restore_overlays()
        layers = self.context.session.viewer.layers
        keep = (lay for lay in layers if isinstance(lay, Image) and role_of(lay) in ("", "micrograph"))
        kept = set(map(id, keep))
        self._hidden = [lay for lay in layers if lay.visible and id(lay) not in kept]
        for layer in self._hidden:
            layer.visible = False

    def restore_overlays(self) -> None:
        """Show again what `hide_overlays` hid."""
        hidden, self._hidden = self._hidden, []
        for layer in hidden:
            layer.visible = True

    def _on_quantity(self, index: int) -> None:
        self.colouring.choose(QUANTITIES[index])
        self.apply()
        self.legend.show_legend(self.colouring.legend())


class LegendBar(QWidget):
    """The meaning of the colours: dots with names, or a scale with its ends."""

    def __init__(self) -> None:
        super().__init__()
        self.names = small_label()
        self.low, self.high, self.bar = QLabel(), QLabel(), QLabel()
        self.bar.setScaledContents(True)
        self.bar.setFixedHeight(_BAR_HEIGHT)
        self.bar.setPixmap(_gradient())
        self._scale = QWidget()
        row = QHBoxLayout(self._scale)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.low)
        row.addWidget(self.bar, 1)
        row.addWidget(self.high)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.names)
        layout.addWidget(self._scale)

    def show_legend(self, legend: Legend) -> None:
        """Show another legend."""
        self._scale.setVisible(legend.scale is not None)
        self.names.setVisible(legend.scale is None)
        if legend.scale is not None:
            low, high = legend.scale
            unit = f" {legend.unit}" if legend.unit else ""
            self.low.setText(f"{low:.3g}")
            self.high.setText(f"{high:.3g}{unit}")
        else:
            dots = " &nbsp; ".join(f"{dot(colour)} {name}" for colour, name in legend.names)
            self.names.setText(legend.problem or dots)


def dot(colour: Colour) -> str:
    """Return a disc in a colour, as rich text; the name beside it keeps the colour of the theme."""
    red, green, blue = (int(255 * c) for c in colour)
    return f'<span style="color: rgb({red},{green},{blue})">●</span>'


def _gradient() -> QPixmap:
    colours = np.rint(255 * scale_colours(np.linspace(0, 1, 256), 0, 1)).astype(np.uint8)
    row = np.ascontiguousarray(colours[None])
    image = QImage(row.tobytes(), 256, 1, 4 * 256, QImage.Format.Format_RGBA8888)
    return QPixmap.fromImage(image.copy())
