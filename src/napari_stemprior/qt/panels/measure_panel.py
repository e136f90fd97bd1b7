"""Step 8: from corrected atoms to the numbers and figures of a paper."""

from __future__ import annotations

from collections.abc import Generator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from napari.layers import Image, Shapes
from napari.utils.notifications import show_info
from qtpy.QtWidgets import QComboBox, QFileDialog, QHBoxLayout, QPushButton

from napari_stemprior.errors import StempriorError
from napari_stemprior.progress import Progress
from napari_stemprior.qt.jobs.job_bar import JobBar
from napari_stemprior.qt.jobs.workers import JobRunner
from napari_stemprior.qt.layers import atom_layers, measure_shapes
from napari_stemprior.qt.layers.atom_layers import layer_id
from napari_stemprior.qt.panels.panel import (
    BUSY,
    NO_ATOMS,
    NO_IMAGE,
    NO_PIXEL_SIZE,
    NO_PRIOR,
    Panel,
    allow,
    tell,
)
from napari_stemprior.qt.panels.series_panel import SeriesPanel
from napari_stemprior.qt.session import Session
from napari_stemprior.qt.widgets.measure_form import MeasureForm
from napari_stemprior.qt.widgets.measured_box import MeasuredBox

if TYPE_CHECKING:  # they load the fits, which are not needed before something is measured
    from napari_stemprior.qt.jobs.measuring import DrawnFigure, Measured

MEAN, DRAWN = "Mean lattice", "Drawn region"
_NO_REGION = "Draw a rectangle or a polygon first (Draw)."
_NO_LINES = "Draw a line first: Draw, then the line tool of the layer."
_NO_PICKED = "Select two or three atoms first."


class _State(NamedTuple):
    """What the numbers of an image depend on."""

    frame: tuple[int, ...]
    others: tuple[object, ...]


class MeasurePanel(Panel):
    """Measures the atoms of the chosen image, and shows and saves what was found."""

    def __init__(self, session: Session, runner: JobRunner) -> None:
        super().__init__(session, runner)
        #: What was measured last of each image, and of which state of its atoms.
        self._measured: dict[str, tuple[Measured, _State]] = {}
        self._shapes: Shapes | None = None
        self.questions = MeasureForm()
        self.reference, self.draw = QComboBox(), QPushButton("Draw")
        self.reference.addItems([MEAN, DRAWN])
        self.measure = QPushButton("Measure")
        self.job = JobBar(runner)
        self.box = MeasuredBox(session)
        self.series = SeriesPanel(session, runner, self.questions, self.settings)
        row = QHBoxLayout()
        row.addWidget(self.reference, 1)
        row.addWidget(self.draw)
        self.add(self.questions)
        self.form().addRow("Reference", row)
        buttons = QHBoxLayout()
        buttons.setSpacing(5)
        buttons.addWidget(self.measure, 1)
        buttons.addWidget(self.series.start_button, 1)
        self.add(buttons)
        for item in (self.job, self.series.job, self.box, self.series):
            self.add(item)
        self.measure.clicked.connect(self.start)
        self.draw.clicked.connect(self.draw_shapes)
        self.questions.changed.connect(self.refresh)
        self.series.state_changed.connect(self.refresh)
        self.reference.currentIndexChanged.connect(self.refresh)
        self.box.figures.clicked.connect(self.draw_figures)
        self.box.report.clicked.connect(self.ask_folder)
        runner.busy_changed.connect(self.refresh)
        session.image_changed.connect(self._on_image)
        session.images_changed.connect(self._forget_closed)
        for signal in (
            session.image_changed,
            session.prior_changed,
            session.pose_changed,
            session.atoms_changed,
        ):
            signal.connect(self.refresh)
        self._on_image()
        self.refresh()

    def refresh(self, *_: Any) -> None:
        """Show what can be measured."""
        session = self.session
        self.questions.offer(session.prior)
        allow(
            self.measure,
            "Measure the atoms against the lattice of the prior. It is fitted first where that was not done.",
            "" if session.image is not None else NO_IMAGE,
            "" if session.prior is not None else NO_PRIOR,
            "" if session.pixel_size is not None else NO_PIXEL_SIZE,
            "" if session.editor is not None else NO_ATOMS,
            self.questions.trouble,
            BUSY if self.runner.busy else "",
        )
        allow(
            self.reference,
            "The lattice against which displacements and strain are measured: the mean one, that of a grain, "
            "or that inside the drawn region.",
        )
        allow(
            self.draw,
            "Draw a rectangle or a polygon: the reference, or where statistics are taken. With the line tool "
            "draw the lines of profiles.",
            "" if session.image is not None else NO_IMAGE,
        )
        known = self._known
        busy = BUSY if self.runner.busy else ""
        self.box.allow("" if known is not None else "Measure first.", busy)
        stale = known is not None and self._state != known[1]
        other = known[1].frame if known is not None and known[1].frame != self._state.frame else ()
        self.box.tell_stale(stale, other)
        own = "" if known is None else "another frame" if other else "changed since" if stale else "measured"
        self.state_changed.emit(own or self.series.state)

    @property
    def measured(self) -> Measured | None:
        """What was measured last of the chosen image."""
        return None if self._known is None else self._known[0]

    def start(self, *_: Any) -> None:
        """Measure in a worker."""
        session, editor = self.session, self.session.editor
        if session.prior is None or editor is None:
            return
        try:
            micrograph = session.micrograph()
            wanted, asked = self.settings()
        except StempriorError as error:
            tell(error)
            return
        table = editor.table(shown_only=True)
        work = _measuring(
            session.operations, micrograph, table, session.prior, session.known_fit, wanted, asked
        )
        if self.run(work, partial(self._show, self._state)):
            self.job.follow()

    def settings(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return what is asked, see `MeasureForm.settings`.

        Raises
        ------
        StempriorError
            If something must be drawn or selected first.
        """
        editor, form = self.session.editor, self.questions
        drawn, lines = measure_shapes.drawn_region(self._layer), measure_shapes.drawn_lines(self._layer)
        picked: list[int] = []
        if editor is not None and form.wants_picked:
            picked = [int(i) for i in np.asarray(editor.history.ids)[editor.selected_rows]]
            if len(picked) not in (2, 3):
                raise StempriorError(_NO_PICKED)
        by_region = self.reference.currentText() == DRAWN
        if drawn is None and (by_region or form.wants_region):
            raise StempriorError(_NO_REGION)
        if not lines and form.wants_lines:
            raise StempriorError(_NO_LINES)
        part = self.reference.currentData()
        return form.settings(
            region=drawn if by_region else None, part=int(part) if part is not None else 0,
            drawn=drawn, lines=lines, picked=picked,
        )  # fmt: skip

    def draw_shapes(self, *_: Any) -> None:
        """Let a person draw where to measure."""
        image = self.session.image
        if image is None:
            return
        layer = self._layer
        if layer is None:
            layer = measure_shapes.shapes_layer(image)
            self.session.viewer.add_layer(layer)
        self.session.activate(layer)

    def draw_figures(self, *_: Any) -> None:
        """Draw the figures in a worker, and show them in a window of their own."""
        measured = self.measured
        if measured is not None and self.run(_drawing(measured), self._show_figures):
            self.job.follow()

    def ask_folder(self, *_: Any) -> None:
        """Ask for the folder of the report."""
        folder = QFileDialog.getExistingDirectory(self, "Folder of the results (new or existing)")
        if folder:
            self.write_report(Path(folder))

    def write_report(self, folder: Path) -> None:
        """Write tables, numbers, figures and report in a worker, as ``stemprior measure`` does."""
        from napari_stemprior.qt.jobs.measuring import reporting

        measured, image = self.measured, self.session.image
        if measured is None or image is None:
            return
        stem = "_".join(image.name.replace("/", "_").split())
        work = reporting(measured, folder, stem, self.box.format.chosen)
        if self.run(work, partial(self._on_written, folder)):
            self.job.follow()

    def close_views(self) -> None:
        """Close the windows of figures and tables."""
        self.box.close_windows()
        self.series.close_views()

    # --- inside -------------------------------------------------------------------------------
    @property
    def _layer(self) -> Shapes | None:
        image = self.session.image
        layer = (
            None
            if image is None
            else atom_layers.of_role(self.session.viewer.layers, measure_shapes.ROLE, image)
        )
        return layer if isinstance(layer, Shapes) else None

    @property
    def _state(self) -> _State:
        """What the numbers depend on."""
        session, editor = self.session, self.session.editor
        atoms: tuple[object, ...] = ()
        if editor is not None:
            history = editor.history
            last = history.steps[history.position - 1] if history.position else None
            atoms = (editor, history.position, last)
        return _State(session.frame, (*atoms, session.pixel_size, session.prior, session.inverted))

    @property
    def _known(self) -> tuple[Measured, _State] | None:
        image = self.session.image
        return None if image is None else self._measured.get(layer_id(image))

    def _show(self, state: _State, measured: Measured) -> None:
        session, image = self.session, self.session.image
        if image is None:
            return
        self._measured[layer_id(image)] = (measured, state)
        if session.fit is None:
            session.set_fit(measured.found.fit)
        self._offer_parts(measured)
        self.box.show_measured(measured, image, fresh=True)
        self.refresh()

    def _offer_parts(self, measured: Measured | None) -> None:
        """List the grains that were found as references."""
        self.reference.blockSignals(True)
        chosen = self.reference.currentText()
        while self.reference.count() > 2:
            self.reference.removeItem(2)
        if measured is not None:
            part = measured.found.indices.part
            counts = np.bincount(part[part >= 0])
            for number in range(1, len(counts)):
                self.reference.addItem(f"Grain {number} ({counts[number]} atoms)", number)
        self.reference.setCurrentIndex(max(self.reference.findText(chosen), 0))
        self.reference.blockSignals(False)

    def _show_figures(self, figures: list[DrawnFigure]) -> None:
        self.box.show_figures(figures, self._save_figure)

    def _save_figure(self, figure: DrawnFigure, path: Path) -> None:
        from napari_stemprior.qt.jobs.measuring import saving_figure

        if self.measured is not None:
            self.run(
                saving_figure(figure, path, self.measured.inputs),
                lambda done: show_info(f"Saved {done.name}"),
            )

    def _on_written(self, folder: Path, written: list[Path]) -> None:
        self.box.done.setText(f"Saved {len(written)} files in {folder}")
        self.box.done.setVisible(True)
        show_info(f"Saved the report in {folder}")

    def _on_image(self, *_: Any) -> None:
        image: Image | None = self.session.image
        measured = self.measured
        self._offer_parts(measured)
        self.box.show_measured(measured, image, fresh=False)

    def _forget_closed(self, *_: Any) -> None:
        """Let go of what was measured on images that were closed."""
        there = {layer_id(layer) for layer in self.session.viewer.layers}
        self._measured = {key: value for key, value in self._measured.items() if key in there}


def _measuring(*arguments: Any) -> Generator[Progress, None, Measured]:
    """Load what measures in the worker too: that takes longer than the window may stand still."""
    yield Progress(0, 6, "Loading")
    from napari_stemprior.qt.jobs.measuring import measuring

    return (yield from measuring(*arguments))


def _drawing(measured: Measured) -> Generator[Progress, None, list[DrawnFigure]]:
    """Load matplotlib in the worker."""
    yield Progress(0, 0, "Loading")
    from napari_stemprior.qt.jobs.measuring import drawing

    return (yield from drawing(measured))
