"""Measurements of many images: folders and the frames of stacks, each with its table of atoms."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_stemprior.errors import MeasurementError, StempriorError, telling_out_of_memory
from napari_stemprior.io import Micrograph, read_atoms, read_micrographs
from napari_stemprior.io.readers.read_mask import masked
from napari_stemprior.measurement.frame_series import FrameRecord, FrameSeries, frame_series
from napari_stemprior.measurement.measurements import Measurements
from napari_stemprior.progress import Progress
from napari_stemprior.structure import Prior
from napari_stemprior.workflow.measure import MeasureSettings, measure
from napari_stemprior.workflow.measure_frames import Measured, SeriesFrame, measure_frames, outside
from napari_stemprior.workflow.measure_results import check_results, write_results
from napari_stemprior.workflow.operations import Operations
from napari_stemprior.workflow.output_names import OutputNames
from napari_stemprior.workflow.series_files import TAKEN, check_series, write_series

_TABLES = (".csv", ".parquet")


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
        table = outside(table, settings.mask)
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
    check_series(folder, [*images, *settings.inputs], settings.formats, overwrite=settings.overwrite)
    records: list[FrameRecord] = []
    with_table: list[Path] = []
    frames = _frames(operations, images, tables, prior, folder, settings, say, with_table)
    yield from measure_frames(frames, lambda record, found: records.append(record), say)
    if not with_table:
        raise MeasurementError(
            f"{tables}: the folder holds no table of these images, such as {images[0].stem}.csv; segment "
            "them into it first."
        )
    series = frame_series(records)
    write_series(series, folder, settings.formats)
    return series


def _frames(
    operations: Operations,
    images: Sequence[Path],
    tables: Path,
    prior: Prior,
    folder: Path,
    settings: SeriesSettings,
    say: Callable[[str], None],
    with_table: list[Path],
) -> Iterator[SeriesFrame]:
    """Read one image after the other; `with_table` gets the tables that there are."""
    names = OutputNames(images, ".csv", taken=TAKEN)
    for path in images:
        try:
            with telling_out_of_memory():
                frames = read_micrographs(path, settings.pixel_size, signal=settings.signal)
        except StempriorError as error:
            yield SeriesFrame(str(path), path.name, 0, partial(_failing, error))
            continue
        for index, frame in enumerate(frames):
            for remark in frame.metadata.get("remarks", ()):
                say(str(remark))
            name, _ = names.claim(path, f"_{index:03d}" if len(frames) > 1 else "")
            stem = name.removesuffix(".csv")
            one = replace(settings, inputs=(path, *settings.inputs))
            atoms = next((at for at in (tables / f"{stem}{e}" for e in _TABLES) if at.is_file()), None)
            if atoms is None:
                lack = f"{tables} holds no {stem}.csv or .parquet; segment the image into it first."
                work = partial(_failing, MeasurementError(lack))
            else:
                with_table.append(atoms)
                work = partial(_measured, operations, frame, atoms, prior, folder, stem, one)
            yield SeriesFrame(stem, path.name, index, work)


def _measured(
    operations: Operations,
    frame: Micrograph,
    atoms: Path,
    prior: Prior,
    folder: Path,
    stem: str,
    settings: SeriesSettings,
) -> Generator[Progress, None, Measured]:
    found, _ = yield from measure_frame(operations, frame, atoms, prior, folder, stem, settings)
    return found, frame.image


def _failing(error: StempriorError) -> Generator[Progress, None, Measured]:
    """Stand for a frame that has no image or no table."""
    yield Progress(0, 0, "Reading")
    raise error
