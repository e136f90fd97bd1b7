"""Measurements of many images: folders and the frames of stacks, each with its table of atoms."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_stemprior.atomic_write import replaced
from napari_stemprior.atoms import AtomTable
from napari_stemprior.errors import MeasurementError, StempriorError, telling_out_of_memory
from napari_stemprior.io import Micrograph, read_atoms, read_micrographs
from napari_stemprior.io.readers.read_mask import masked
from napari_stemprior.io.writers.formats.tables import inert
from napari_stemprior.measurement.frame_series import FrameRecord, FrameSeries, frame_record, frame_series
from napari_stemprior.measurement.measurements import Measurements
from napari_stemprior.measurement.series_figure import draw_series
from napari_stemprior.measurement.tracking import AtomTracker
from napari_stemprior.output_files import check_output
from napari_stemprior.progress import Progress
from napari_stemprior.structure import Prior
from napari_stemprior.workflow.measure import MeasureSettings, measure
from napari_stemprior.workflow.measure_results import PROGRAM, TITLE_FIELD, check_results, write_results
from napari_stemprior.workflow.operations import Operations
from napari_stemprior.workflow.output_names import OutputNames

_TABLES = (".csv", ".parquet")
_MARKS = (
    PROGRAM.encode(),
    b"image,frame,status,reason",
    b"series_row,track,atom_id,x_angstrom",
)


@dataclass(frozen=True, eq=False)
class SeriesSettings:
    """How the images of a series are read, measured and written.

    Parameters
    ----------
    measure : MeasureSettings
    pixel_size : float, optional
        Å per pixel; wins over that of the files.
    signal : str, optional
        Of files with several.
    invert : bool
        Exchange bright and dark first.
    formats : tuple of str
        Of the figures.
    overwrite : bool
        Also files that are not of an earlier run.
    inputs : tuple of str
        Other files that must not be replaced.
    provenance : dict
        What was set; plain values.
    mask : (H, W) array of bool, optional
        Where no atoms may be, in every frame; what lies there is not measured.
    mask_file : pathlib.Path, optional
        Where the mask comes from; not replaced.
    """

    measure: MeasureSettings
    pixel_size: float | None = None
    signal: str | None = None
    invert: bool = False
    formats: tuple[str, ...] = ("png",)
    overwrite: bool = False
    inputs: tuple[str | Path, ...] = ()
    provenance: dict[str, Any] = field(default_factory=dict)
    mask: NDArray[np.bool_] | None = None
    mask_file: Path | None = None


def measure_frame(
    operations: Operations,
    frame: Micrograph,
    atoms: Path,
    prior: Prior,
    folder: Path,
    stem: str,
    settings: SeriesSettings,
) -> Generator[Progress, None, tuple[Measurements, list[Path]]]:
    """Measure one image and write its results.

    Parameters
    ----------
    operations : Operations
    frame : Micrograph
    atoms : pathlib.Path
        Its table.
    prior : StructurePrior or Stack
    folder : pathlib.Path
    stem : str
        How the names of its results begin.
    settings : SeriesSettings

    Returns
    -------
    Measurements
    list of pathlib.Path
        What was written, the table first.

    Raises
    ------
    StempriorError
        If something cannot be read, measured or written.
    """
    table = read_atoms(atoms, settings.pixel_size or frame.pixel_size)
    if not len(table.atoms):
        raise MeasurementError(f"{atoms}: the table holds no atoms; segment the image first.")
    if settings.mask is not None:
        frame = masked(frame, settings.mask, settings.mask_file)
        table = _outside(table, settings.mask)
        if not len(table.atoms):
            raise MeasurementError(f"{atoms}: all atoms lie in the mask {settings.mask_file}; give another.")
    size = settings.pixel_size or frame.pixel_size or table.pixel_size
    micrograph = replace(frame, pixel_size=size)
    if settings.invert:
        micrograph = micrograph.inverted()
    inputs = [atoms, settings.mask_file, *settings.inputs]
    check_results(folder, stem, inputs, settings.formats, overwrite=settings.overwrite)
    found = yield from measure(operations, micrograph, table, prior, None, settings.measure)
    written = yield from write_results(
        found,
        micrograph.image,
        folder,
        stem,
        name=frame.name,
        formats=settings.formats,
        provenance={"atoms_file": atoms.name, **settings.provenance},
    )
    return found, written


def measure_series(
    operations: Operations,
    images: Sequence[Path],
    tables: Path,
    prior: Prior,
    folder: Path,
    settings: SeriesSettings,
    say: Callable[[str], None],
) -> Generator[Progress, None, FrameSeries]:
    """Measure every frame of every image that a folder holds a table of, and the series of them.

    Tables have the names that ``stemprior segment`` gives: ``<image stem>.csv``, with ``_000`` and so on for
    the frames of a stack. A frame that cannot be measured is named, and the others go on. Besides the results
    of each frame ``series.csv``, a figure, and ``series_atoms.csv`` with the same number for the same atom in
    every frame are written; a frame with other pixels than the first is not followed.

    Parameters
    ----------
    operations : Operations
    images : sequence of pathlib.Path
        In the order of the series.
    tables : pathlib.Path
        Folder.
    prior : StructurePrior or Stack
    folder : pathlib.Path
        Of the results.
    settings : SeriesSettings
    say : callable
        Gets each sentence that a person should read.

    Returns
    -------
    FrameSeries

    Raises
    ------
    MeasurementError
        If no frame has a table.
    ExportError
        If a file of the series would replace one of somebody else.
    """
    series_files = ["series.csv", "series_atoms.csv"]
    for name in [*series_files, *(f"series.{ending}" for ending in settings.formats)]:
        inputs = [*images, *settings.inputs]
        check_output(folder / name, inputs, own_marks=_MARKS, overwrite=settings.overwrite)
    names = OutputNames(images, ".csv", taken=("results.csv", "series.csv"))
    records: list[FrameRecord] = []
    tracker, size = AtomTracker(), 0.0
    has_table = False
    for number, path in enumerate(images):
        yield Progress(number, len(images), f"Reading {path.name}")
        try:
            with telling_out_of_memory():
                frames = read_micrographs(path, settings.pixel_size, signal=settings.signal)
        except StempriorError as error:
            records.append(_failed(path, 0, error, say))
            continue
        for index, frame in enumerate(frames):
            for remark in frame.metadata.get("remarks", ()):
                say(str(remark))
            name, _ = names.claim(path, f"_{index:03d}" if len(frames) > 1 else "")
            stem = name.removesuffix(".csv")
            try:
                atoms = _table(tables, stem)
                has_table = True
                with telling_out_of_memory():
                    one = replace(settings, inputs=(path, *settings.inputs))
                    work = measure_frame(operations, frame, atoms, prior, folder, stem, one)
                    found, _ = yield from work
            except StempriorError as error:
                records.append(_failed(path, index, error, say))
                continue
            for what, reason in found.reasons.items():
                say(f"{stem}: {what}: {reason}")
            size = size or found.atoms.pixel_size
            tracks = tracker.add(found.atoms, frame.image) if found.atoms.pixel_size == size else None
            records.append(frame_record(found, path.name, index, tracks))
    if not has_table:
        raise MeasurementError(
            f"{tables}: the folder holds no table of these images, such as {images[0].stem}.csv; segment "
            "them into it first."
        )
    series = frame_series(records)
    _write(series, folder, settings.formats)
    return series


def _outside(table: AtomTable, mask: NDArray[np.bool_]) -> AtomTable:
    """Return the rows that do not lie in a mask."""
    at = np.clip(np.rint(table.yx).astype(int), 0, np.array(mask.shape) - 1)
    return table.where(~mask[at[:, 0], at[:, 1]])


def _failed(path: Path, frame: int, error: StempriorError, say: Callable[[str], None]) -> FrameRecord:
    from napari_stemprior.workflow.segment_frame import named

    reason = named(error, path)
    say(reason)
    return FrameRecord(path.name, frame, reason)


def _table(folder: Path, stem: str) -> Path:
    for ending in _TABLES:
        if (path := folder / f"{stem}{ending}").is_file():
            return path
    raise MeasurementError(f"{folder} holds no {stem}.csv or .parquet; segment the image into it first.")


def _write(series: FrameSeries, folder: Path, formats: Sequence[str]) -> None:
    for name, table in (("series", series.table), ("series_atoms", series.atoms)):
        with replaced(folder / f"{name}.csv") as path:
            inert(table).to_csv(path, index=False, lineterminator="\n")
    if formats:
        figure = draw_series(series)
        for ending in formats:
            with replaced(folder / f"series.{ending}") as path:
                figure.savefig(path, format=ending, dpi=200, metadata={TITLE_FIELD[ending]: PROGRAM})
