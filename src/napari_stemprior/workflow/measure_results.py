"""The folder of results of a measurement: table, numbers, figures and report."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_stemprior import __version__
from napari_stemprior.atomic_write import replaced
from napari_stemprior.io.json_values import plain, printable
from napari_stemprior.io.writers.formats.tables import inert
from napari_stemprior.measurement.column_table import MEANINGS
from napari_stemprior.measurement.figures import check_matplotlib, draw_figures
from napari_stemprior.measurement.measurements import Measurements
from napari_stemprior.measurement.report import html_report
from napari_stemprior.output_files import check_output
from napari_stemprior.progress import Progress

#: What files of an earlier run hold, so that they are replaced without a word.
PROGRAM = "napari-stemprior measure"
_MARKS = (
    PROGRAM.encode(),
    b"atom_id,x_px,y_px,x_angstrom,y_angstrom,element,layer,lattice_site",
    b"kind,site,expected,found",
)
#: File names without ending that `draw_figures` gives.
FIGURES = (
    "strain", "displacements", "polarisation", "defects", "pair_correlation", "intensities", "scan_errors",
)  # fmt: skip
#: Endings of figures that matplotlib writes with the name of a program in them.
FIGURE_FORMATS = ("png", "svg", "pdf")
TITLE_FIELD = {"png": "Software", "svg": "Creator", "pdf": "Creator"}


def check_results(
    folder: Path,
    stem: str,
    inputs: Iterable[str | Path | None] = (),
    formats: Sequence[str] = ("png",),
    *,
    overwrite: bool = False,
) -> None:
    """See that the results may be written, before the work.

    Raises
    ------
    ExportError
        If one would replace an input, or a file of somebody else.
    MissingPackageError
        If figures are asked for and matplotlib is not installed.
    """
    if formats:
        check_matplotlib()
    inputs = list(inputs)
    figures = [f"{key}.{ending}" for key in FIGURES for ending in formats]
    for name in ("columns.csv", "columns.parquet", "defects.csv", "results.json", "report.html", *figures):
        check_output(folder / f"{stem}_{name}", inputs, own_marks=_MARKS, overwrite=overwrite)


def write_results(
    found: Measurements,
    image: NDArray[np.floating],
    folder: Path,
    stem: str,
    *,
    name: str = "",
    formats: Sequence[str] = ("png",),
    provenance: dict[str, Any] | None = None,
) -> Generator[Progress, None, list[Path]]:
    """Write everything that was measured on one image.

    ``<stem>_columns.csv`` and ``.parquet`` hold the table of `column_table`, ``<stem>_defects.csv`` the
    defects, ``<stem>_results.json`` the numbers, ``<stem>_report.html`` all of it to read, and
    ``<stem>_<figure>.png`` the figures. A number that could not be given is an empty field, and null in JSON.

    Parameters
    ----------
    found : Measurements
    image : (H, W) array
    folder : pathlib.Path
    stem : str
    name : str
        Of the image, for titles.
    formats : sequence of {"png", "svg", "pdf"}
        Of the figures; none without.
    provenance : dict, optional
        What was set; plain values.

    Returns
    -------
    list of pathlib.Path

    Raises
    ------
    ExportError
        If a file cannot be written.
    MissingPackageError
        If figures are asked for and matplotlib is not installed.
    """
    written: list[Path] = []
    about = {"program": f"{PROGRAM} {__version__}", "image": name or stem, **(provenance or {})}

    def place(ending: str) -> Path:
        written.append(folder / f"{stem}_{ending}")
        return written[-1]

    yield Progress(0, 3, "Writing the table")
    with replaced(place("columns.csv")) as path:
        inert(found.columns).to_csv(path, index=False, lineterminator="\n")
    _write_parquet(found, place("columns.parquet"), about)
    if found.defects is not None:
        with replaced(place("defects.csv")) as path:
            inert(found.defects.table).to_csv(path, index=False, lineterminator="\n")
    results = {**about, "units": MEANINGS, **found.summary()}
    with replaced(place("results.json")) as path:
        path.write_text(json.dumps(plain(results), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    yield Progress(1, 3, "Drawing figures")
    figures = draw_figures(found, image) if formats else {}
    for key, (figure, _) in figures.items():
        for ending in formats:
            with replaced(place(f"{key}.{ending}")) as path:
                figure.savefig(path, format=ending, dpi=200, metadata={TITLE_FIELD[ending]: PROGRAM})
    yield Progress(2, 3, "Writing the report")
    with replaced(place("report.html")) as path:
        report = html_report(found, printable(name or stem), figures, plain(about))
        path.write_text(report, encoding="utf-8")
    return written


def _write_parquet(found: Measurements, path: Path, about: dict[str, Any]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.Table.from_pandas(found.columns, preserve_index=False)
    metadata = {b"napari_stemprior": json.dumps(plain({**about, "units": MEANINGS})).encode()}
    with replaced(path) as beside, beside.open("wb") as file:  # Arrow knows only paths that are text
        pq.write_table(table.replace_schema_metadata({**(table.schema.metadata or {}), **metadata}), file)
