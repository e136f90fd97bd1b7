"""A part of step 8: all frames of a stack, or all images of the list, measured as one series."""

from __future__ import annotations

from collections.abc import Callable, Generator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from napari.utils.notifications import show_info, show_warning
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QPushButton

from napari_stemprior.errors import MicrographError, StempriorError
from napari_stemprior.progress import Progress
from napari_stemprior.qt.image_list import ImageList
from napari_stemprior.qt.jobs.job_bar import JobBar
from napari_stemprior.qt.jobs.workers import JobRunner
from napari_stemprior.qt.layers.atom_in_view import show_atom
from napari_stemprior.qt.layers.atom_layers import layer_id
from napari_stemprior.qt.listed_image import ListedImage
from napari_stemprior.qt.panels.panel import BUSY, NO_IMAGE, NO_PRIOR, Panel, allow, tell
from napari_stemprior.qt.panels.section import small_label
from napari_stemprior.qt.series_state import SeriesState, has_atoms
from napari_stemprior.qt.session import Session
from napari_stemprior.qt.widgets.figure_formats import FigureFormats
from napari_stemprior.qt.widgets.measure_form import MeasureForm
from napari_stemprior.qt.widgets.number_windows import NumberWindows
from napari_stemprior.qt.widgets.series_text import series_text, stale_text

if TYPE_CHECKING:  # they load the fits, which are not needed before something is measured
    from napari_stemprior.qt.jobs.measuring import DrawnFigure
    from napari_stemprior.qt.jobs.measuring_series import MeasuredSeries
    from napari_stemprior.workflow.measure_all import MeasuredImage

_TITLE = "Series"


class _Series:
    """What was measured of some images, and how they are now."""

    def __init__(self, listed: list[ListedImage], state: SeriesState) -> None:
        self.listed, self.state = listed, state
        #: What came of each image so far, in order; it is filled by the worker.
        self.arrived: list[MeasuredImage] = []
        self.measured: MeasuredSeries | None = None


class SeriesPanel(Panel):
    """Measures a series, and shows and saves what changes from frame to frame.

    Parameters
    ----------
    session : Session
    runner : JobRunner
    questions : MeasureForm
        What is asked of every frame.
    settings : callable
        Returns the fields of the settings and of their questions, or raises what must be drawn first.
    """

    def __init__(
        self,
        session: Session,
        runner: JobRunner,
        questions: MeasureForm,
        settings: Callable[[], tuple[dict[str, Any], dict[str, Any]]],
    ) -> None:
        super().__init__(session, runner)
        self.rows.setContentsMargins(0, 0, 0, 0)
        self._questions, self._settings = questions, settings
        self._images: ImageList | None = None
        self._open: Callable[[ListedImage], Any] | None = None
        #: By the id of the stack; "" for all images of the list.
        self._known: dict[str, _Series] = {}
        self._running: tuple[str, _Series] | None = None
        self._windows = NumberWindows()
        self._closed = False
        #: For the header of the step; empty where no series was measured.
        self.state = ""
        #: Stand beside the button that measures one frame, and below it.
        self.start_button = QPushButton("Measure all frames")
        self.job = JobBar(runner)
        self.text, self.stale, self.done = (small_label() for _ in range(3))
        self.table, self.figure, self.save = (
            QPushButton(text) for text in ("Series table…", "Series figure…", "Save series…")
        )
        self.format = FigureFormats()
        buttons, saving = QHBoxLayout(), QHBoxLayout()
        for layout, widgets in ((buttons, (self.table, self.figure)), (saving, (self.format, self.save))):
            layout.setSpacing(5)
            for widget in widgets:
                layout.addWidget(widget, 1)
        for item in (self.stale, self.text, buttons, saving, self.done):
            self.add(item)
        self.start_button.clicked.connect(self.start)
        self.table.clicked.connect(self.show_table)
        self.figure.clicked.connect(self.draw_figure)
        self.save.clicked.connect(self.ask_folder)
        runner.busy_changed.connect(self._on_busy)
        questions.changed.connect(self.refresh)
        session.images_changed.connect(self._forget_closed)
        session.image_changed.connect(self._on_image)
        for signal in (session.prior_changed, session.atoms_changed):
            signal.connect(self.refresh)
        self.refresh()

    def take_images(self, images: ImageList, open_image: Callable[[ListedImage], Any]) -> None:
        """Take the list of all images, and what shows one of them."""
        self._images, self._open = images, open_image
        images.changed.connect(self.refresh)
        images.image_changed.connect(self.refresh)
        self.refresh()

    def refresh(self, *_: Any) -> None:
        """Show what can be measured, and what was."""
        if self._closed:
            return
        listed, stack = self._chosen
        self.start_button.setText("Measure all frames" if stack or len(listed) < 2 else "Measure all images")
        images, busy = self._images, BUSY if self.runner.busy else ""
        with_atoms = (one for one in listed if images is not None and has_atoms(images, one))
        several = len(list(islice(with_atoms, 2))) > 1
        allow(
            self.start_button,
            "Measure every frame of the stack, or every image of the list, against the prior of this one: "
            "what changes from frame to frame. One that cannot be measured is named; the others go on.",
            "" if self.session.image is not None else NO_IMAGE,
            "" if len(listed) > 1 else "There is only one image.",
            "" if self.session.prior is not None else NO_PRIOR,
            "" if several else "Segment two frames or more first (All images, Segment all).",
            self._questions.trouble,
            busy,
        )
        known = self._series
        measured = None if known is None else known.measured
        for widget in (self.text, self.table, self.figure, self.format, self.save):
            widget.setVisible(measured is not None)
        if known is None or measured is None:
            self.stale.setVisible(False)
            self.done.setVisible(False)
            self._tell_state("")
            return
        self.text.setText(series_text(measured.series.table, len(known.listed)))
        changed = known.state.changed()
        self.stale.setText(stale_text([one.name for one in changed]))
        self.stale.setVisible(bool(changed))
        self._tell_state("series changed since" if changed else "series measured")
        allow(self.table, "One row a frame. The frame of a row that you click is shown.")
        allow(self.figure, "Draw strain, rotation, drift, intensities and defects over the frames.", busy)
        allow(
            self.save,
            "Write <tt>series.csv</tt>, <tt>series_atoms.csv</tt>, the figure, and the results of each frame "
            "into a folder, as <tt>stemprior measure</tt> does.",
            busy,
        )

    def _tell_state(self, state: str) -> None:
        if state != self.state:
            self.state = state
            self.state_changed.emit(state)

    @property
    def measured(self) -> MeasuredSeries | None:
        """What was measured of the series that the chosen image belongs to."""
        return None if self._series is None else self._series.measured

    # --- what a person does -------------------------------------------------------------------
    def start(self, *_: Any) -> None:
        """Measure all images in a worker."""
        images, prior, listed = self._images, self.session.prior, self._chosen[0]
        if images is None or prior is None:
            return
        try:
            if self._questions.wants_picked:
                raise StempriorError(
                    "Selected atoms are those of one frame; untick them to measure all frames."
                )
            wanted, asked = self._settings()
        except StempriorError as error:
            tell(error)
            return
        finished = images.finished(listed, shown_only=True)
        series = _Series(listed, SeriesState(images, listed, [one.table for one in finished], prior))
        work = _measuring(self.session.operations, finished, prior, wanted, asked, series.arrived.append)
        key = self._key
        self._running = (key, series)
        if self.runner.start(work, partial(self._show, key, series)):
            self.job.follow()
        else:
            self._running = None

    def show_table(self, *_: Any) -> None:
        """Open the tables of the series in a window of their own."""
        from napari_stemprior.measurement.series_columns import series_meanings
        from napari_stemprior.qt.widgets.number_table import TableWindow

        known = self._series
        if known is None or known.measured is None:
            return
        series = known.measured.series
        tables = {"Frames": series.table}
        if len(series.atoms):
            tables["Atoms"] = series.atoms
        meanings = series_meanings(str(name) for table in tables.values() for name in table)
        self._windows.open(
            TableWindow(tables, meanings, partial(self._go_to, known), self, title="Numbers of the series")
        )

    def draw_figure(self, *_: Any) -> None:
        """Draw the figure of the series in a worker, and show it in a window of its own."""
        measured = self.measured
        if measured is not None and self.runner.start(
            _drawing(measured), partial(self._show_figures, measured)
        ):
            self.job.follow()

    def ask_folder(self, *_: Any) -> None:
        """Ask for the folder of the results."""
        folder = QFileDialog.getExistingDirectory(self, "Folder of the results (new or existing)")
        if folder:
            self.write(Path(folder))

    def write(self, folder: Path) -> None:
        """Write tables, figures and the results of each frame in a worker, as ``stemprior measure`` does."""
        from napari_stemprior.qt.jobs.measuring_series import writing_series

        measured = self.measured
        if measured is not None and self.runner.start(
            writing_series(measured, folder, self.format.chosen), partial(self._on_written, folder)
        ):
            self.job.follow()

    def close_views(self) -> None:
        """Close the windows, and show nothing any more."""
        self._closed = True
        self._windows.close()
        if self._images is not None:
            self._images.changed.disconnect(self.refresh)
            self._images.image_changed.disconnect(self.refresh)
            self._images = None

    # --- inside -------------------------------------------------------------------------------
    @property
    def _chosen(self) -> tuple[list[ListedImage], bool]:
        """The frames of the chosen stack and True, or all images of the list and False."""
        image, images = self.session.image, self._images
        if image is None or images is None:
            return [], False
        frames = [one for one in images.images if one.layer is image]
        return (frames, True) if len(frames) > 1 else (list(images.images), False)

    @property
    def _key(self) -> str:
        image = self.session.image
        return layer_id(image) if image is not None and self._chosen[1] else ""

    @property
    def _series(self) -> _Series | None:
        return None if self.session.image is None else self._known.get(self._key)

    def _show(self, key: str, series: _Series, measured: MeasuredSeries) -> None:
        series.measured = measured
        self._known[key] = series
        self._running = None
        self._windows.close()
        self.done.setVisible(False)
        self._forget_closed()
        failed = [one.record.reason for one in measured.images if one.record.reason]
        count = len(measured.images) - len(failed)
        if failed:
            more = f" (and {len(failed) - 1} more, see the table of the series)" if len(failed) > 1 else ""
            show_warning(f"{failed[0]}{more}")
        show_info(f"{count} of {len(series.listed)} frames measured.")

    def _on_busy(self, busy: bool) -> None:
        """Keep what was measured when the work is cancelled or ends with an error."""
        if not busy and self._running is not None:
            key, series = self._running
            self._running = None
            if series.arrived and not self._closed:
                # the runner has still to tell others that it is free
                QTimer.singleShot(0, partial(self._keep_begun, key, series))
        self.refresh()

    def _keep_begun(self, key: str, series: _Series) -> None:
        if not self._closed:
            self.runner.start(_comparing(list(series.arrived)), partial(self._show, key, series))

    def _show_figures(self, measured: MeasuredSeries, figures: list[DrawnFigure]) -> None:
        from napari_stemprior.qt.widgets.figure_window import FigureWindow

        window = FigureWindow(partial(self._save_figure, measured), self, title="Figure of the series")
        window.show_figures(figures)
        self._windows.open(window)

    def _save_figure(self, measured: MeasuredSeries, figure: DrawnFigure, path: Path) -> None:
        from napari_stemprior.qt.jobs.measuring import saving_figure

        work = saving_figure(figure, path, measured.inputs)
        self.runner.start(work, lambda done: show_info(f"Saved {done.name}"))

    def _on_written(self, folder: Path, written: list[Path]) -> None:
        self.done.setText(f"Saved {len(written)} files in {folder}")
        self.done.setVisible(True)
        show_info(f"Saved the series in {folder}")

    def _go_to(self, series: _Series, row: pd.Series[Any]) -> None:
        """Show the frame of a row, and its atom if it is the row of one."""
        number = int(row["series_row"] if "series_row" in row else str(row.name))
        listed, images = series.listed[number], self._images
        if images is None or self._open is None:
            return
        if not any(one is listed for one in images.images):
            tell(MicrographError(f"{listed.name} was closed; open it and measure again."))
            return
        self._open(listed)
        record = series.arrived[number].record
        image = self.session.image
        if image is not None and image is listed.layer and record.atoms is not None:
            show_atom(self.session, image, row, record.atoms.pixel_size)

    def _on_image(self, *_: Any) -> None:
        self.done.setVisible(False)
        self.refresh()

    def _forget_closed(self, *_: Any) -> None:
        """Let go of series whose images are all closed."""
        images = self._images
        if images is not None and not self._closed:
            there = {id(one) for one in images.images}
            self._known = {
                key: one for key, one in self._known.items() if any(id(i) in there for i in one.listed)
            }
        self.refresh()


def _measuring(*arguments: Any) -> Generator[Progress, None, MeasuredSeries]:
    """Load what measures in the worker too: that takes longer than the window may stand still."""
    yield Progress(0, 0, "Loading")
    from napari_stemprior.qt.jobs.measuring_series import measuring_series

    return (yield from measuring_series(*arguments))


def _comparing(images: list[MeasuredImage]) -> Generator[Progress, None, MeasuredSeries]:
    from napari_stemprior.qt.jobs.measuring_series import comparing

    return (yield from comparing(images))


def _drawing(measured: MeasuredSeries) -> Generator[Progress, None, list[DrawnFigure]]:
    """Load matplotlib in the worker."""
    yield Progress(0, 0, "Loading")
    from napari_stemprior.qt.jobs.measuring_series import drawing_series

    return (yield from drawing_series(measured))
