"""What step 8 does with a series in a worker: measure its images, draw its figure, write its files."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_stemprior.measurement.frame_series import FrameSeries
from napari_stemprior.measurement.series_figure import draw_series
from napari_stemprior.progress import Progress
from napari_stemprior.qt.jobs.measuring import DrawnFigure, on_screen, settings_of
from napari_stemprior.structure import Prior
from napari_stemprior.workflow.measure_all import MeasuredImage, measure_all, series_of, write_all
from napari_stemprior.workflow.operations import Operations
from napari_stemprior.workflow.save_all import FinishedImage

_CAPTION = (
    "Strain and rotation are those of the mean lattice of each frame against the first measured one, as "
    "drift is; bars are standard errors. Frames that could not be measured are gaps."
)


@dataclass(frozen=True, eq=False)
class MeasuredSeries:
    """A series, and its images.

    Parameters
    ----------
    series : FrameSeries
    images : sequence of MeasuredImage
        One for each row of the table; fewer than were asked for where the work was cancelled.
    """

    series: FrameSeries
    images: Sequence[MeasuredImage]

    @property
    def inputs(self) -> list[Path]:
        """Files that no result may replace."""
        return list(dict.fromkeys(one.image.file for one in self.images))


def measuring_series(
    operations: Operations,
    images: Sequence[FinishedImage],
    prior: Prior,
    wanted: dict[str, Any],
    asked: dict[str, Any],
    finished: Callable[[MeasuredImage], None],
) -> Generator[Progress, None, MeasuredSeries]:
    """Measure images as a series.

    Parameters
    ----------
    operations, images, prior, finished
        As of `workflow.measure_all.measure_all`.
    wanted, asked : dict
        Fields of the settings, and of their questions.
    """
    done: list[MeasuredImage] = []

    def take(one: MeasuredImage) -> None:
        done.append(one)
        finished(one)

    series = yield from measure_all(operations, images, prior, settings_of(wanted, asked), take)
    return MeasuredSeries(series, done)


def comparing(images: Sequence[MeasuredImage]) -> Generator[Progress, None, MeasuredSeries]:
    """Put together what was measured before the work was cancelled."""
    yield Progress(0, 0, "Comparing the frames")
    return MeasuredSeries(series_of(images), images)


def drawing_series(measured: MeasuredSeries) -> Generator[Progress, None, list[DrawnFigure]]:
    """Draw the figure of a series for the screen.

    Raises
    ------
    MissingPackageError
        If matplotlib is not installed.
    """
    yield Progress(0, 0, "Drawing the series")
    return [on_screen("series", draw_series(measured.series), _CAPTION)]


def writing_series(
    measured: MeasuredSeries, folder: Path, formats: tuple[str, ...]
) -> Generator[Progress, None, list[Path]]:
    """Write the folder of results that ``stemprior measure`` writes.

    Raises
    ------
    ExportError
        If one would replace an input, or a file of somebody else.
    MissingPackageError
        If figures are asked for and matplotlib is not installed.
    """
    return (yield from write_all(measured.images, measured.series, folder, formats))
