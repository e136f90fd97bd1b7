"""The files of a series: its table, its figure, and its atoms with their numbers over all frames."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from napari_stemprior.atomic_write import replaced
from napari_stemprior.io.writers.formats.tables import inert
from napari_stemprior.measurement.frame_series import FrameSeries
from napari_stemprior.measurement.series_figure import draw_series
from napari_stemprior.output_files import check_output
from napari_stemprior.workflow.measure_results import PROGRAM, TITLE_FIELD

#: Names that no image of a series may have, so that none takes the place of the tables.
TAKEN = ("results.csv", "series.csv")
_MARKS = (
    PROGRAM.encode(),
    b"image,frame,status,reason",
    b"series_row,track,atom_id,x_angstrom",
)


def check_series(
    folder: Path,
    inputs: Iterable[str | Path | None] = (),
    formats: Sequence[str] = ("png",),
    *,
    overwrite: bool = False,
) -> None:
    """See that the files of a series may be written, before the work.

    Parameters
    ----------
    folder : pathlib.Path
    inputs : iterable of path or None
        Files that are never replaced.
    formats : sequence of {"png", "svg", "pdf"}
        Of the figure.
    overwrite : bool
        Also files that are not of an earlier run.

    Raises
    ------
    ExportError
        If one would replace an input, or a file of somebody else.
    """
    inputs = list(inputs)
    for name in ("series.csv", "series_atoms.csv", *(f"series.{ending}" for ending in formats)):
        check_output(folder / name, inputs, own_marks=_MARKS, overwrite=overwrite)


def write_series(series: FrameSeries, folder: Path, formats: Sequence[str] = ("png",)) -> list[Path]:
    """Write ``series.csv``, ``series_atoms.csv`` and the figure ``series.png``.

    Parameters
    ----------
    series : FrameSeries
    folder : pathlib.Path
    formats : sequence of {"png", "svg", "pdf"}
        Of the figure; none without.

    Returns
    -------
    list of pathlib.Path

    Raises
    ------
    ExportError
        If a file cannot be written.
    MissingPackageError
        If a figure is asked for and matplotlib is not installed.
    """
    written = []
    for name, table in (("series", series.table), ("series_atoms", series.atoms)):
        written.append(folder / f"{name}.csv")
        with replaced(written[-1]) as path:
            inert(table).to_csv(path, index=False, lineterminator="\n")
    if formats:
        figure = draw_series(series)
        for ending in formats:
            written.append(folder / f"series.{ending}")
            with replaced(written[-1]) as path:
                figure.savefig(path, format=ending, dpi=200, metadata={TITLE_FIELD[ending]: PROGRAM})
    return written
