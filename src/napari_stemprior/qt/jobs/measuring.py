"""What step 8 does in a worker: measure, prepare what is shown, draw figures, write the report."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_stemprior.atomic_write import replaced
from napari_stemprior.atoms import AtomTable
from napari_stemprior.io.micrograph import Micrograph
from napari_stemprior.measurement.figures import draw_figures
from napari_stemprior.measurement.measurements import Measurements
from napari_stemprior.measurement.view import View
from napari_stemprior.measurement.views import views
from napari_stemprior.output_files import check_output, output_folder
from napari_stemprior.progress import Progress
from napari_stemprior.registration import LatticeFit
from napari_stemprior.structure import Prior
from napari_stemprior.workflow.measure import MeasureSettings, measure
from napari_stemprior.workflow.measure_questions import Questions
from napari_stemprior.workflow.measure_results import check_results, write_results
from napari_stemprior.workflow.operations import Operations

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Dots per inch of figures on the screen.
_SCREEN = 100


@dataclass(frozen=True, eq=False)
class Measured:
    """What was measured on one image, and what is shown of it.

    Parameters
    ----------
    found : Measurements
    micrograph : Micrograph
        As it was analysed.
    views : tuple of views
    inputs : tuple of Path or None
        Files that no result may replace.
    """

    found: Measurements
    micrograph: Micrograph
    views: tuple[View, ...]
    inputs: tuple[Path | None, ...] = ()


@dataclass(frozen=True, eq=False)
class DrawnFigure:
    """A figure, and its (h, w, 4) pixels for the screen."""

    name: str
    figure: Figure
    pixels: NDArray[np.uint8]
    caption: str


def settings_of(wanted: dict[str, Any], asked: dict[str, Any]) -> MeasureSettings:
    """Return the settings of a measurement from the fields of it and of its questions."""
    questions = Questions(**asked)
    if questions != Questions():  # their errors are those of the fit of the columns
        wanted = wanted | {"intensities": True}
    return MeasureSettings(**wanted, questions=questions)


def measuring(
    operations: Operations,
    micrograph: Micrograph,
    table: AtomTable,
    prior: Prior,
    fit: LatticeFit | None,
    wanted: dict[str, Any],
    asked: dict[str, Any],
) -> Generator[Progress, None, Measured]:
    """Measure an image and prepare what is shown of it.

    Parameters
    ----------
    operations, micrograph, table, prior, fit
        As of `workflow.measure.measure`.
    wanted, asked : dict
        Fields of its settings, and of their questions.

    Raises
    ------
    StempriorError
        As of `workflow.measure.measure`.
    """
    settings = settings_of(wanted, asked)
    found = yield from measure(operations, micrograph, table, prior, fit, settings)
    shown = []
    height, width = micrograph.image.shape
    for view in views(found, (height, width)):
        shown.append(view)
        yield Progress(5, 6, f"Drawing {view.name}")
    return Measured(found, micrograph, tuple(shown), (micrograph.source,))


def drawing(measured: Measured) -> Generator[Progress, None, list[DrawnFigure]]:
    """Draw the figures of the report for the screen.

    matplotlib takes longer for one than a window may be held up, so that the window shows its pixels.

    Raises
    ------
    MissingPackageError
        If matplotlib is not installed.
    """
    yield Progress(0, 0, "Drawing figures")
    figures = draw_figures(measured.found, measured.micrograph.image)
    drawn = []
    for number, (name, (figure, caption)) in enumerate(figures.items()):
        yield Progress(number, len(figures), f"Drawing {name.replace('_', ' ')}")
        drawn.append(on_screen(name, figure, caption))
    return drawn


def on_screen(name: str, figure: Figure, caption: str) -> DrawnFigure:
    """Draw a figure for the screen."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure.set_dpi(_SCREEN)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # type: ignore[no-untyped-call]
    pixels = np.array(canvas.buffer_rgba())  # type: ignore[no-untyped-call]
    return DrawnFigure(name, figure, pixels, caption)


def saving_figure(
    drawn: DrawnFigure, path: Path, inputs: Iterable[Path | None]
) -> Generator[Progress, None, Path]:
    """Write one figure; the ending of the path says as what. None of `inputs` is replaced.

    Raises
    ------
    ExportError
        If it would replace an input.
    """
    yield Progress(0, 0, f"Writing {path.name}")
    check_output(path, inputs, overwrite=True)
    with replaced(path) as beside:
        drawn.figure.savefig(beside, format=path.suffix[1:].lower(), dpi=200)
    return path


def reporting(
    measured: Measured, folder: Path, stem: str, formats: tuple[str, ...]
) -> Generator[Progress, None, list[Path]]:
    """Write the folder of results that ``stemprior measure`` writes.

    Raises
    ------
    ExportError
        If one would replace an input, or a file of somebody else.
    MissingPackageError
        If figures are asked for and matplotlib is not installed.
    """
    fit = measured.found.fit
    about = {"prior": fit.prior.name, "inverted": measured.micrograph.is_inverted}
    with output_folder(folder) as made:
        check_results(made, stem, measured.inputs, formats)
        return (
            yield from write_results(
                measured.found, measured.micrograph.image, made, stem, name=measured.micrograph.name,
                formats=formats, provenance=about,
            )
        )  # fmt: skip
