"""Many images to their atoms: one file of atoms an image, one table of all, on all cores or on a cluster.

Images are read here while others are segmented, and results are written here, each once: a worker that is
killed takes nothing along but the time that it had spent.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil

from napari_stemprior.errors import StempriorError, telling_out_of_memory
from napari_stemprior.io import Micrograph, export_atoms, read_micrographs
from napari_stemprior.io.readers.read_mask import masked, read_mask
from napari_stemprior.io.writers.exporters import check_export
from napari_stemprior.progress import Progress
from napari_stemprior.structure import Prior
from napari_stemprior.workflow.batch_settings import BatchSettings, BatchSummary, Listener
from napari_stemprior.workflow.batch_workers import ClusterWorkers, HereWorker, Workers, usable_cores
from napari_stemprior.workflow.operations import Operations
from napari_stemprior.workflow.output_names import OutputNames
from napari_stemprior.workflow.pixel_sizes import PixelSizes
from napari_stemprior.workflow.results_table import TABLE, ImageRow, Journal, filled, stamp
from napari_stemprior.workflow.segment_frame import FrameJob, FrameResult, named
from napari_stemprior.workflow.worker_processes import WorkerProcesses

#: Pixels that are segmented in the time in which a process starts: 2.8 s, and 0.9 s for 512² pixels
#: (benchmarks.speed.many_images, one core of an Intel Xeon). Processes that save less are not started.
_START = 800_000
#: Bytes that a process needs, and for each pixel of its image: docs/speed.md, the latter twice for safety.
_MEMORY, _MEMORY_A_PIXEL = 500e6, 130
#: Pixels of the frames that wait for a worker at most: 400 MB of float32. A stack is read as a whole.
_MOST_AHEAD = 100_000_000
#: Seconds between two yields at most, while other processes work.
_LOOK = 0.1


class _Nobody:
    def said(self, sentence: str) -> None:
        pass

    def finished(self, row: ImageRow, path: Path | None) -> None:
        pass


@dataclass(frozen=True, eq=False)
class _Frame:
    """A frame on its way: its job, and where it comes from and goes to."""

    job: FrameJob
    file: Path
    source: list[Any]
    index: int
    frames: int
    output: Path


@dataclass(frozen=True, eq=False)
class _Unread:
    """A file, or a frame, that cannot be segmented."""

    row: ImageRow
    source: list[Any]


def segment_images(
    operations: Operations,
    files: Sequence[Path],
    prior: Prior | None,
    folder: Path,
    settings: BatchSettings,
    listener: Listener | None = None,
) -> Generator[Progress, None, BatchSummary]:
    """Segment images and write the atoms of each, and a table of all where there are several.

    Every frame of a stack is an image, and each is segmented as if it stood alone: neither the number of
    workers nor a stop changes a result, but for the rounding of one thread or several. Close the generator to
    cancel: what is done stays.

    Parameters
    ----------
    operations : Operations
    files : sequence of pathlib.Path
        See `image_sources.image_files`.
    prior : StructurePrior, Stack or None
    folder : pathlib.Path
        Exists, for the results.
    settings : BatchSettings
    listener : Listener, optional

    Returns
    -------
    BatchSummary
        An image that cannot be read or segmented stops no other; it counts as failed.

    Raises
    ------
    ExportError
        If the table cannot be written or, to go on, was made with other settings.
    ModelError, DeviceError, ClusterError
        If no image can be segmented at all.
    """
    batch = _Batch(operations, files, prior, folder, settings, listener or _Nobody())
    try:
        return (yield from batch.steps())
    finally:
        batch.close()


def worthwhile_workers(pixels: Sequence[int], unread: int) -> int:
    """Return how many processes save time beyond what their start takes, and find room in memory.

    Parameters
    ----------
    pixels : sequence of int
        Of the images that are known.
    unread : int
        Files that are not read yet; they are taken for images like those.
    """
    count = min(usable_cores(), len(pixels) + unread)
    room = psutil.virtual_memory().available / (_MEMORY + _MEMORY_A_PIXEL * max(pixels))
    count = max(1, min(count, int(room)))
    work = sum(pixels) * (1 + unread / len(pixels))
    saved = work - max(work / count, max(pixels))
    return count if saved > _START else 1


class _Batch:
    def __init__(
        self,
        operations: Operations,
        files: Sequence[Path],
        prior: Prior | None,
        folder: Path,
        settings: BatchSettings,
        listener: Listener,
    ) -> None:
        self.operations, self.files, self.prior = operations, files, prior
        self.folder, self.settings, self.listener = folder, settings, listener
        self.inputs = [*files, *settings.inputs, settings.mask]
        self.mask = None if settings.mask is None else read_mask(settings.mask)
        self.journal: Journal | None = None
        self.workers: Workers | None = None
        self.waiting: deque[_Frame] = deque()
        self.at_work: dict[int, _Frame] = {}
        self.done = self.failed = self.skipped = self.number = 0
        self.unread = len(files)

    def steps(self) -> Generator[Progress, None, BatchSummary]:
        if self.settings.scheduler is not None:
            self.workers = ClusterWorkers(self.settings.scheduler)  # says at once where there is none
        if len(self.files) > 1 or self.settings.resume:
            self._begin_journal()
        taken = [TABLE, *self.journal.outputs] if self.journal is not None else []
        self.names = OutputNames(self.files, self.settings.ending, taken)
        reading = self._read()
        with closing(reading):
            more = True
            yield Progress(0, 0, "Reading")
            while more or self.waiting or self.at_work:
                if more and not self._is_ahead:
                    more = next(reading, None) is not None
                    yield self._progress("Reading")
                    if more and self.workers is None and not self._is_ahead:
                        continue  # until it is known how much there is to do
                yield from self._work(more)
        return BatchSummary(
            self.done, self.failed, self.skipped, self.folder / TABLE if self.journal is not None else None
        )

    def close(self) -> None:
        try:
            if self.workers is not None:
                self.workers.close()
        finally:
            if self.journal is not None:
                self.journal.close()

    @property
    def _is_ahead(self) -> bool:
        """Whether enough frames are read that wait for a worker."""
        pixels = sum(frame.job.recorded.image.size for frame in self.waiting)
        return len(self.waiting) >= 2 * (self.settings.workers or usable_cores()) or pixels > _MOST_AHEAD

    def _work(self, more: bool) -> Generator[Progress, None, None]:
        """Hand out frames and take in what came back."""
        if self.waiting and self.workers is None:
            self.workers = self._hired()
        if self.workers is None:
            return
        while self.waiting and self.workers.has_room():
            frame = self.waiting.popleft()
            self.at_work[frame.job.number] = frame
            self.workers.submit(frame.job)
        busy = more and not self._is_ahead  # there is something better to do than to wait
        for result in self.workers.finished(0.0 if busy else _LOOK):
            frame = self.at_work.pop(result.number)
            self._keep(frame, result)
        yield self._progress("Segmenting")

    def _progress(self, stage: str) -> Progress:
        """Return how far it is: of a single image its own steps, else images."""
        known = self.done + self.failed + len(self.waiting) + len(self.at_work)
        own = self.workers.progress if self.workers is not None else None
        if own is not None:
            (frame,) = self.at_work.values()
            stage = f"{frame.job.recorded.name}: {own.stage}"
            if self.journal is None:
                return replace(own, stage=stage)
        return Progress(self.done + self.failed, known, stage)

    def _hired(self) -> Workers:
        """Return as many workers as the frames that are known of are worth."""
        settings = self.settings
        count = settings.workers
        if count is None:
            pixels = [frame.job.recorded.image.size for frame in self.waiting]
            count = worthwhile_workers(pixels, self.unread)
            segmenter = self.operations.segmenter(
                settings.segment.model, settings.segment.device, settings.segment.precision
            )
            if str(getattr(segmenter, "device", "cpu")) != "cpu":  # one image fills a GPU with its tiles
                count = 1
        return HereWorker(self.operations) if count == 1 else WorkerProcesses(count)

    def _read(self) -> Generator[bool, None, None]:
        """Read the next file at each step, and put its frames in line."""
        for file in self.files:
            self.unread -= 1
            source = stamp(file)
            skipped = self.journal.has_all(source) if self.journal is not None else 0
            if skipped:
                self.skipped += skipped
                yield True
                continue
            try:
                with telling_out_of_memory():
                    frames, sizes = self._frames(file)
            except StempriorError as error:
                self._failed(_Unread(ImageRow(file.stem, str(file), error=named(error, file)), source), 0)
                yield True
                continue
            if len(frames) > 1 and self.journal is None:
                self._begin_journal()
            for index, frame in enumerate(frames):
                if self.journal is not None and self.journal.has(source, index):
                    self.skipped += 1
                    continue
                self._line_up(file, source, index, len(frames), frame, sizes)
            del frames
            yield True

    def _frames(self, file: Path) -> tuple[list[Micrograph], PixelSizes]:
        """Read a file; the frames of a stack share the fit of its pixel size, which is made here."""
        wanted = self.settings.pixel_size
        given = wanted if isinstance(wanted, float) else None
        frames = read_micrographs(file, given, signal=self.settings.signal)
        for remark in dict.fromkeys(r for f in frames for r in f.metadata.get("remarks", ())):
            self.listener.said(remark)
        if self.mask is not None:
            frames = [masked(frame, self.mask, self.settings.mask) for frame in frames]
        sizes = PixelSizes(wanted, self.prior)
        if len(frames) > 1:
            sizes.of(frames[0].inverted() if self.settings.invert else frames[0], file)
            for remark in sizes.remarks:
                self.listener.said(remark)
            sizes.remarks.clear()
        return frames, sizes

    def _line_up(
        self, file: Path, source: list[Any], index: int, count: int, recorded: Micrograph, sizes: PixelSizes
    ) -> None:
        """Put a frame in line, if its atoms have a place to go to."""
        settings = self.settings
        name = self.journal.known_output(source, index) if self.journal is not None else ""
        if not name:
            name, is_plain = self.names.claim(file, f"_{index:03d}" if count > 1 else "")
            if not is_plain:
                self.listener.said(f"{file}: the name is taken, so the atoms go to {name}.")
        output = self.folder / name
        try:
            check_export(output, self._guarded(output), overwrite=settings.overwrite)  # before the long work
        except StempriorError as error:
            row = ImageRow(recorded.name, str(file), index, error=named(error, recorded.name))
            self._failed(_Unread(row, source), count)
            return
        self.number += 1
        known = sizes.only_for(recorded.inverted() if settings.invert else recorded)
        job = FrameJob(
            self.number,
            recorded,
            known,
            settings.segment,
            settings.invert,
            settings.keep_inferred,
            str(file) if count == 1 else recorded.name,
        )
        self.waiting.append(_Frame(job, file, source, index, count, output))

    def _keep(self, frame: _Frame, result: FrameResult) -> None:
        """Write what came of a frame, then note that it is done."""
        job, table, error = frame.job, result.table, result.error
        for sentence in result.sentences:
            self.listener.said(sentence)
        row = ImageRow(
            job.recorded.name, str(frame.file), frame.index, prior=job.prior.name if job.prior else "",
            seconds=round(result.seconds, 3), error=error,
        )  # fmt: skip
        if table is not None:
            row = filled(row, table)
            try:
                with telling_out_of_memory():
                    export_atoms(
                        table, frame.output, image=job.recorded.image, name=job.recorded.name,
                        key=self.settings.format, inputs=self._guarded(frame.output),
                        overwrite=self.settings.overwrite,
                    )  # fmt: skip
                row = replace(row, output=frame.output.name)
            except StempriorError as problem:
                row = replace(row, error=named(problem, job.recorded.name))
        if row.error:
            self._failed(_Unread(row, frame.source), frame.frames)
            return
        self.done += 1
        self._note(row, frame.source, frame.frames)
        self.listener.finished(row, frame.output)

    def _failed(self, unread: _Unread, frames: int) -> None:
        self.failed += 1
        self.listener.said(unread.row.error)
        self._note(unread.row, unread.source, frames)
        self.listener.finished(unread.row, None)

    def _note(self, row: ImageRow, source: list[Any], frames: int) -> None:
        if self.journal is not None:
            self.journal.add(source, frames, row)

    def _guarded(self, output: Path) -> Sequence[str | os.PathLike[str] | None]:
        """Return the inputs that an output could be: none, where there is no such file."""
        return self.inputs if os.path.lexists(output) else ()

    def _begin_journal(self) -> None:
        settings = self.settings
        about = {
            "prior": None if self.prior is None else self.prior.name,
            "structure_file": _file_stamp(settings.inputs),
            "model": settings.segment.model,
            "trust": settings.segment.trust,
            "pixel_size": settings.pixel_size,
            "signal": settings.signal,
            "invert": settings.invert,
            **({} if settings.mask is None else {"mask": _file_stamp([settings.mask])}),
            "inferred": settings.keep_inferred,
            "format": settings.format,
        }
        self.journal = Journal(
            self.folder, about, resume=settings.resume, overwrite=settings.overwrite, inputs=self.inputs
        )
        for remark in self.journal.remarks:
            self.listener.said(remark)


def _file_stamp(inputs: Sequence[str | os.PathLike[str] | None]) -> list[Any]:
    """Return what tells whether the files of the prior and the network are still the same."""
    return [stamp(Path(given))[1:] for given in inputs if given is not None and Path(given).is_file()]
