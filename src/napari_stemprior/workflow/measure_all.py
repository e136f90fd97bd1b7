"""The images of a desk as one series: their atoms in memory measured, compared and written."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from napari_stemprior.errors import MeasurementError
from napari_stemprior.measurement.frame_series import FrameRecord, FrameSeries, frame_series
from napari_stemprior.measurement.measurements import Measurements
from napari_stemprior.output_files import output_folder
from napari_stemprior.progress import Progress, told_of
from napari_stemprior.structure import Prior
from napari_stemprior.workflow.measure import MeasureSettings, measure
from napari_stemprior.workflow.measure_frames import Measured, SeriesFrame, measure_frames, outside
from napari_stemprior.workflow.measure_results import check_results, write_results
from napari_stemprior.workflow.operations import Operations
from napari_stemprior.workflow.output_names import OutputNames
from napari_stemprior.workflow.save_all import FinishedImage
from napari_stemprior.workflow.series_files import TAKEN, check_series, write_series


@dataclass(frozen=True, eq=False)
class MeasuredImage:
    """An image of a series, and what was measured on it.

    Parameters
    ----------
    image : FinishedImage
    record : FrameRecord
        What the series keeps of it; its ``reason`` says why it could not be measured.
    found : Measurements or None
        None where it could not be measured.
    """

    image: FinishedImage
    record: FrameRecord
    found: Measurements | None


def measure_all(
    operations: Operations,
    images: Sequence[FinishedImage],
    prior: Prior,
    settings: MeasureSettings,
    finished: Callable[[MeasuredImage], None],
) -> Generator[Progress, None, FrameSeries]:
    """Measure images against one prior, as ``stemprior measure`` does with a folder of tables.

    One that cannot be measured is named in its record, and the others go on. Close the generator to cancel:
    what was handed to `finished` stays.

    Parameters
    ----------
    operations : Operations
    images : sequence of FinishedImage
        In the order of the series. Where an image has no fit of its own, the lattice is fitted to it.
    prior : StructurePrior or Stack
    settings : MeasureSettings
    finished : callable
        Gets each image as soon as it is measured, or known not to be.

    Returns
    -------
    FrameSeries
        See `series_of`.
    """
    done: list[MeasuredImage] = []

    def take(record: FrameRecord, found: Measurements | None) -> None:
        done.append(MeasuredImage(images[len(done)], record, found))
        finished(done[-1])

    frames = [
        SeriesFrame(
            image.name, image.file.name, image.frame,
            partial(_measured, operations, image, prior, settings, (number, len(images))),
        )
        for number, image in enumerate(images)
    ]  # fmt: skip
    yield from measure_frames(frames, take, lambda sentence: None)  # the records and reports hold them all
    yield Progress(len(images), len(images), "Comparing the frames")
    return series_of(done)


def series_of(images: Sequence[MeasuredImage]) -> FrameSeries:
    """Put images that were measured together, also the first ones of a series that was cancelled."""
    return frame_series([one.record for one in images])


def write_all(
    images: Sequence[MeasuredImage],
    series: FrameSeries,
    folder: Path,
    formats: Sequence[str] = ("png",),
    *,
    overwrite: bool = False,
) -> Generator[Progress, None, list[Path]]:
    """Write what ``stemprior measure`` writes of a series: the results of each image, and of all.

    Parameters
    ----------
    images : sequence of MeasuredImage
    series : FrameSeries
        Of these images.
    folder : pathlib.Path
        Is made where it is not there.
    formats : sequence of {"png", "svg", "pdf"}
        Of the figures; none without.
    overwrite : bool
        Replace files that this program did not write; an image never is.

    Returns
    -------
    list of pathlib.Path

    Raises
    ------
    ExportError
        If something cannot be written, or another program's file is in the way.
    MissingPackageError
        If figures are asked for and matplotlib is not installed.
    """
    inputs = list(dict.fromkeys(one.image.file for one in images))
    written: list[Path] = []
    with output_folder(folder):
        check_series(folder, inputs, formats, overwrite=overwrite)
        names = OutputNames(inputs, ".csv", taken=TAKEN)
        stems = []
        for one in images:
            suffix = f"_{one.image.frame:03d}" if one.image.frames > 1 else ""
            stems.append(names.claim(one.image.file, suffix)[0].removesuffix(".csv"))
            if one.found is not None:
                check_results(folder, stems[-1], inputs, formats, overwrite=overwrite)
        for number, (one, stem) in enumerate(zip(images, stems, strict=True)):
            yield Progress(number, len(images), f"Writing {stem}")
            if one.found is None:
                continue
            micrograph = one.image.analysed()
            work = write_results(
                one.found, micrograph.image, folder, stem, name=micrograph.name, formats=formats,
                provenance={"prior": one.found.fit.prior.name, "inverted": micrograph.is_inverted},
            )  # fmt: skip
            written += yield from told_of(stem, number, len(images), work)
        yield Progress(len(images), len(images), "Writing the series")
        written += write_series(series, folder, formats)
    return written


def _measured(
    operations: Operations,
    image: FinishedImage,
    prior: Prior,
    settings: MeasureSettings,
    place: tuple[int, int],
) -> Generator[Progress, None, Measured]:
    yield Progress(*place, f"{image.name}: reading")
    if image.error and image.table is None:
        raise MeasurementError(image.error)
    if image.table is None or not len(image.table.atoms):
        raise MeasurementError("there are no atoms; segment this image first.")
    if image.prior is not None and image.prior != prior:
        raise MeasurementError(
            f"its prior is {image.prior.name} and the series is measured against {prior.name}; give every "
            "image the same prior."
        )
    micrograph = replace(image.analysed(), pixel_size=image.table.pixel_size)
    table = image.table
    if micrograph.excluded is not None:
        table = outside(table, micrograph.excluded)
        if not len(table.atoms):
            raise MeasurementError("all atoms lie in the mask; paint a smaller one.")
    fit = image.fit if image.fit is not None and image.fit.is_fit and image.fit.prior == prior else None
    work = measure(operations, micrograph, table, prior, fit, settings)
    found = yield from told_of(image.name, *place, work)
    return found, micrograph.image
