"""What was measured: in words, as layers, as histograms, tables and figures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from napari.layers import Image, Layer, Vectors
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QComboBox, QDoubleSpinBox, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget
from superqt import QLabeledDoubleRangeSlider

from napari_stemprior.atoms.matching import median_spacing
from napari_stemprior.measurement.view import ArrowView, MapView, PlaceView, View
from napari_stemprior.qt.layers import measurement_layers
from napari_stemprior.qt.layers.atom_in_view import show_atom
from napari_stemprior.qt.layers.insertion import insert_beside
from napari_stemprior.qt.panels.panel import allow
from napari_stemprior.qt.panels.section import small_label
from napari_stemprior.qt.session import Session
from napari_stemprior.qt.widgets.figure_formats import FigureFormats
from napari_stemprior.qt.widgets.intensity_box import IntensityBox
from napari_stemprior.qt.widgets.measured_text import measured_text
from napari_stemprior.qt.widgets.number_windows import NumberWindows

if TYPE_CHECKING:
    from napari_stemprior.qt.jobs.measuring import DrawnFigure, Measured

#: Spacing in pixels where too few atoms tell it.
_SPACING = 10.0


class MeasuredBox(QWidget):
    """Shows the results of one image.

    Parameters
    ----------
    session : Session
    """

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.session = session
        self.measured: Measured | None = None
        self._image: Image | None = None
        self._windows = NumberWindows()
        self.text, self.stale, self.about, self.done = (small_label() for _ in range(4))
        self.view = QComboBox()
        self.view.setToolTip("<qt>Show this as a layer over the image. Its eye hides it again.</qt>")
        self.range = QLabeledDoubleRangeSlider()
        self.range.setToolTip("<qt>Range of the colours; what lies beyond has the colour of its end.</qt>")
        self.gain = QDoubleSpinBox()
        self.gain.setRange(0.1, 1e5)
        self.gain.setDecimals(1)
        self.gain.setPrefix("× ")
        self.gain.setToolTip("<qt>How many times longer arrows are drawn.</qt>")
        self.gain_row = QWidget()
        row = QHBoxLayout(self.gain_row)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(QLabel("Gain"))
        row.addWidget(self.gain, 1)
        self.intensities = IntensityBox(session)
        self.table, self.figures, self.report = (
            QPushButton(text) for text in ("Table…", "Figures…", "Save report…")
        )
        self.format = FigureFormats()
        buttons = QHBoxLayout()
        saving = QHBoxLayout()
        for layout, widgets in ((buttons, (self.table, self.figures)), (saving, (self.format, self.report))):
            layout.setSpacing(5)
            for widget in widgets:
                layout.addWidget(widget, 1)
        rows = QVBoxLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.setSpacing(5)
        for item in (
            self.stale, self.text, self.view, self.range, self.gain_row, self.about, self.intensities,
        ):  # fmt: skip
            rows.addWidget(item)
        rows.addLayout(buttons)
        rows.addLayout(saving)
        rows.addWidget(self.done)
        self.view.activated.connect(self._on_view)
        self.range.valueChanged.connect(self._on_range)
        self.gain.valueChanged.connect(self._on_gain)
        self.table.clicked.connect(self.show_table)
        self.tell_stale(False)
        self.show_measured(None, None, fresh=False)

    def allow(self, none: str, busy: str) -> None:
        """Allow or forbid everything; `none` says why nothing can be done."""
        allow(self.table, "All numbers of each column. A row that you click is shown on the image.", none)
        allow(self.figures, "Draw the figures of the report.", none, busy)
        allow(
            self.report,
            "Write tables, numbers (JSON), figures and a report (HTML) into a folder, as "
            "<tt>stemprior measure</tt> does.",
            none,
            busy,
        )

    def tell_stale(self, stale: bool, frame: tuple[int, ...] = ()) -> None:
        """Say whether the numbers are those of atoms that have changed, or of another frame of the stack."""
        if frame:
            number = ", ".join(map(str, frame))
            self.stale.setText(f"⚠ These are the numbers of frame {number}; measure the one that is shown.")
        else:
            self.stale.setText("⚠ The atoms or the scale have changed since; measure again.")
        self.stale.setVisible(stale)

    def show_measured(self, measured: Measured | None, image: Image | None, *, fresh: bool) -> None:
        """Show the results of an image, or none.

        Parameters
        ----------
        measured : Measured or None
        image : napari.layers.Image or None
        fresh : bool
            Whether they are new, so that layers of older ones are replaced.
        """
        if measured is self.measured and image is self._image:
            return
        self.close_windows()
        self.measured, self._image = measured, image
        self.done.setVisible(False)
        for widget in (self.text, self.view, self.about):
            widget.setVisible(measured is not None)
        self.intensities.show_measured(None if measured is None else measured.found)
        self.view.clear()
        self._show_controls(None)
        if measured is None or image is None:
            return
        self.text.setText(measured_text(measured.found))
        self.view.addItem("Show on the image…")
        self.view.addItems([one.name for one in measured.views])
        if fresh:
            shown = [one.name for one in measured.views if self._layer_of(one) is not None]
            measurement_layers.remove_marks(self.session.viewer, image)
            wanted = shown or [one.name for one in measured.views[:1]]
            # one a turn of the event loop, so that the window never stands still for all of them
            QTimer.singleShot(0, lambda: self._show_next(measured, wanted))

    def show_view(self, view: View) -> Layer | None:
        """Show a view as a layer, or show its layer again."""
        image = self._image
        if image is None or image not in self.session.viewer.layers:
            return None
        viewer = self.session.viewer
        layer = self._layer_of(view)
        if isinstance(view, MapView) and (maps := measurement_layers.map_layer(viewer, image)) is not None:
            measurement_layers.show_map(maps, view, image)
            layer = maps
        if layer is None:
            layer = measurement_layers.layer_of(view, image, self._spacing)
            above = viewer.layers.index(image) + 1 if isinstance(view, MapView) else len(viewer.layers)
            insert_beside(viewer, above, layer)
        layer.visible = True
        self.view.setCurrentIndex(self.view.findText(view.name))
        self._show_controls(view)
        return layer

    def show_table(self, *_: Any) -> None:
        """Open the tables in a window of their own."""
        from napari_stemprior.measurement.column_table import MEANINGS
        from napari_stemprior.qt.widgets.number_table import TableWindow

        if self.measured is None:
            return
        found = self.measured.found
        tables = {"Columns": found.columns}
        if found.defects is not None:
            tables["Defects"] = found.defects.table
        if found.statistics is not None:
            tables["Region"] = found.statistics
        self._windows.open(TableWindow(tables, MEANINGS, self._go_to, self))

    def show_figures(self, figures: list[DrawnFigure], save: Callable[[DrawnFigure, Path], Any]) -> None:
        """Open figures in a window of their own."""
        from napari_stemprior.qt.widgets.figure_window import FigureWindow

        window = FigureWindow(save, self)
        window.show_figures(figures)
        self._windows.open(window)

    def close_windows(self) -> None:
        """Close the windows of tables and figures, which show older numbers."""
        self._windows.close()

    # --- inside -------------------------------------------------------------------------------
    @property
    def _spacing(self) -> float:
        spacing = None if self.measured is None else median_spacing(self.measured.found.atoms.yx)
        return _SPACING if spacing is None else spacing

    def _show_next(self, measured: Measured, names: list[str]) -> None:
        if measured is not self.measured or not names:
            return
        view = next((one for one in measured.views if one.name == names[0]), None)
        if view is not None:
            self.show_view(view)
        QTimer.singleShot(0, lambda: self._show_next(measured, names[1:]))

    def _layer_of(self, view: View) -> Layer | None:
        image = self._image
        return None if image is None else measurement_layers.shown_layer(self.session.viewer, view, image)

    @property
    def _shown_view(self) -> View | None:
        index = self.view.currentIndex() - 1
        views = () if self.measured is None else self.measured.views
        return views[index] if 0 <= index < len(views) else None

    def _on_view(self, *_: Any) -> None:
        view = self._shown_view
        if view is not None:
            self.show_view(view)

    def _show_controls(self, view: View | None) -> None:
        """Show the range of a map, the gain of arrows, or what colours mean."""
        self.range.setVisible(isinstance(view, MapView))
        self.gain_row.setVisible(isinstance(view, ArrowView))
        self.about.setText("" if view is None else view.about)
        layer = None if view is None else self._layer_of(view)
        if isinstance(view, MapView) and isinstance(layer, Image):
            reach = max(abs(v) for v in view.limits)
            self.range.blockSignals(True)
            self.range.setRange(-2 * reach, 2 * reach)  # type: ignore[arg-type]  # typed as of an int slider
            self.range.setDecimals(2 if reach < 10 else 1)
            self.range.setValue(tuple(float(v) for v in layer.contrast_limits))
            self.range.blockSignals(False)
        elif isinstance(view, ArrowView) and isinstance(layer, Vectors):
            self.gain.blockSignals(True)
            self.gain.setValue(float(layer.length))
            self.gain.blockSignals(False)
            self._tell_gain(view)
        elif isinstance(view, PlaceView):
            self.about.setText(f"{measurement_layers.legend(view)}<br>{view.about}")

    def _tell_gain(self, view: ArrowView) -> None:
        self.about.setText(
            f"{view.about} At this gain {view.large:.2g} Å are drawn as "
            f"{view.large * self.gain.value():.2g} Å."
        )

    def _on_range(self, limits: tuple[float, float]) -> None:
        view = self._shown_view
        layer = None if view is None else self._layer_of(view)
        if isinstance(layer, Image) and limits[1] > limits[0]:
            layer.contrast_limits = limits

    def _on_gain(self, gain: float) -> None:
        view = self._shown_view
        layer = None if view is None else self._layer_of(view)
        if isinstance(view, ArrowView) and isinstance(layer, Vectors):
            measurement_layers.set_gain(layer, gain, view)
            self._tell_gain(view)

    def _go_to(self, row: pd.Series[Any]) -> None:
        """Bring a row of a table to the middle of the view, and select its atom."""
        if self._image is not None and self.measured is not None:
            show_atom(self.session, self._image, row, self.measured.found.atoms.pixel_size)
