"""One recorded frame to its atoms, with all that a person is told about it: the job of `batch`.

A job and its result are plain values that go to another process or machine and back; nothing is read or
written here.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Generator
from dataclasses import dataclass, field, replace
from pathlib import Path

from napari_stemprior.atoms import AtomTable
from napari_stemprior.atoms.inferred import inferred, inferred_sentence
from napari_stemprior.errors import StempriorError, telling_out_of_memory
from napari_stemprior.io import Micrograph
from napari_stemprior.progress import Progress
from napari_stemprior.recording import remarks
from napari_stemprior.registration import LatticeFit
from napari_stemprior.structure import Prior
from napari_stemprior.workflow.count_doubts import DOUBTS
from napari_stemprior.workflow.image_lattice import image_lattice_sentence, segmented_how
from napari_stemprior.workflow.operations import Operations
from napari_stemprior.workflow.pixel_sizes import PixelSize, PixelSizes
from napari_stemprior.workflow.segment import SegmentSettings, segment

#: A pixel size that the lattice contradicts by more than this (relative) is worth a word.
_NOTABLE_SCALE_ERROR = 0.05


@dataclass(frozen=True, eq=False)
class FrameJob:
    """A frame to segment.

    Parameters
    ----------
    number : int
        Tells jobs apart.
    recorded : Micrograph
        As the file holds it.
    sizes : PixelSizes
        Says its pixel size, and holds the prior.
    settings : SegmentSettings
    invert : bool
        Exchange bright and dark first.
    keep_inferred : bool
        Keep the atoms that stand on the prior alone.
    subject : str
        What a sentence about the pixel size calls it.
    fit : LatticeFit, optional
        Where the lattice of the prior lies, if a person has locked a part of it; else it is fitted.
    """

    number: int
    recorded: Micrograph
    sizes: PixelSizes
    settings: SegmentSettings = field(default_factory=SegmentSettings)
    invert: bool = False
    keep_inferred: bool = True
    subject: str = ""
    fit: LatticeFit | None = None

    @property
    def prior(self) -> Prior | None:
        """The crystal that the image should show."""
        return self.sizes.prior

    @property
    def analysed(self) -> Micrograph:
        """The frame in the contrast in which it is analysed."""
        return self.recorded.inverted() if self.invert else self.recorded


@dataclass(frozen=True, eq=False)
class FrameResult:
    """What came of a frame.

    Parameters
    ----------
    number : int
        Of its job.
    table : AtomTable or None
        None where it failed.
    sentences : tuple of str
        What a person is told; each names the frame.
    seconds : float
        By the clock.
    error : str
        Why it failed, in a sentence that names it; empty where it did not.
    fit : LatticeFit, optional
        Where the lattice lies; None where no prior was used or it does not fit.
    """

    number: int
    table: AtomTable | None
    sentences: tuple[str, ...] = ()
    seconds: float = 0.0
    error: str = ""
    fit: LatticeFit | None = None


def segment_frame(operations: Operations, job: FrameJob) -> Generator[Progress, None, FrameResult]:
    """Segment a frame; what is wrong with it becomes the error of its result.

    Parameters
    ----------
    operations : Operations
        Keeps the network between the frames.
    job : FrameJob

    Raises
    ------
    ModelError, DeviceError
        If there is no such network or device, which is wrong with every frame.
    """
    yield Progress(0, 0, "Loading the network")
    operations.segmenter(job.settings.model, job.settings.device, job.settings.precision)
    start, said = time.perf_counter(), list[str]()
    table, fit, error = None, None, ""
    try:
        with telling_out_of_memory():
            table, fit = yield from _segmented(operations, job, said)
    except StempriorError as problem:
        error = named(problem, job.recorded.name, job.subject)
    except Exception as problem:  # a fault of this program ends no other image
        error = f"{job.recorded.name}: {_fault(problem)}"
    return FrameResult(job.number, table, tuple(said), time.perf_counter() - start, error, fit)


def named(error: Exception, image: object, subject: str = "") -> str:
    """Return the sentence of an error, with the image before it unless it names that or the subject."""
    text = str(error)
    known = {str(image), Path(str(image)).name, Path(str(image)).stem, subject} - {""}
    return text if any(text.startswith(name) for name in known) else f"{image}: {text}"


def _fault(problem: Exception) -> str:
    """Say where this program failed."""
    place = traceback.extract_tb(problem.__traceback__)[-1]
    return (
        f"this is a fault of stemprior ({type(problem).__name__} in {Path(place.filename).name}, line "
        f"{place.lineno}: {problem}); report it with the image."
    )


def _segmented(
    operations: Operations, job: FrameJob, said: list[str]
) -> Generator[Progress, None, tuple[AtomTable, LatticeFit | None]]:
    frame = job.analysed
    size = job.sizes.of(frame, job.subject or frame.name)
    said += job.sizes.remarks
    job.sizes.remarks.clear()
    micrograph = replace(frame, pixel_size=size.value)
    result = yield from segment(operations, micrograph, job.prior, job.fit, job.settings)
    how = "leave out --invert" if job.invert else "give --invert"
    if result.prepared is not None:
        said += [f"{frame.name}: {sentence}" for sentence in remarks(result.prepared, how)]
    table = result.table
    table.provenance["pixel_size_from"] = size.source
    said += _about_fit(table, frame, size, job)
    sentence = inferred_sentence(table.rows)
    if sentence:
        done = "--inferred drop leaves them out." if job.keep_inferred else "They were left out."
        said.append(f"{frame.name}: {sentence} {done}")
        if not job.keep_inferred:
            table.provenance["inferred_dropped"] = True
            table.provenance[DOUBTS] -= 1  # together they were one
            table = table.where(~inferred(table.rows))
    return table, result.fit


def _about_fit(table: AtomTable, frame: Micrograph, size: PixelSize, job: FrameJob) -> list[str]:
    """Say where the lattice does not fit, or not without doubt."""
    said = []
    if table.provenance.get("only_noise"):
        said.append(f"{frame.name}: no spot stands out of the noise, so no atom is told.")
    elif table.provenance.get("unordered"):
        said.append(
            f"{frame.name}: the image shows no order, so only atoms that stand out are told; see --unordered."
        )
    own = image_lattice_sentence(table.provenance, table.pixel_size)
    if job.prior is None:
        return said + ([f"{frame.name}: {own}"] if own else [])
    if table.provenance.get("prior_fits") is False:
        inverted = "" if job.invert else _fits_inverted(frame, size.value, job.prior)
        said.append(
            f"{frame.name}: the lattice of {job.prior.name} does not fit, so the image was segmented "
            f"{segmented_how(table.provenance)}"
            f"{inverted or _better_pixel_size(frame, size.value, job.sizes)}.{' ' * bool(own)}{own}"
        )
    for sentence in table.provenance.get("reservations", ()):
        said.append(f"{frame.name}: fits with a reservation: {sentence}")
    found = table.provenance.get("lattice_pixel_size")
    if found is not None and abs(found / size.value - 1) > _NOTABLE_SCALE_ERROR:
        said.append(
            f"{frame.name}: the lattice fits {found:.4g} Å/px rather than {size.value:.4g}; the lengths in Å "
            f"follow {size.value:.4g}, and --pixel-size lattice would change that."
        )
    return said


def _fits_inverted(frame: Micrograph, pixel_size: float, prior: Prior) -> str:
    """Say that the lattice lies on the dark places, where it does so beyond doubt."""
    from napari_stemprior.registration import register

    try:
        pose = register(frame.inverted().analysed, pixel_size, prior.layers[0], candidates=1)[0]
    except StempriorError:
        return ""
    return (
        "; it fits the inverted image, so the columns may be dark (ABF, bright field): give --invert"
        * pose.is_clean
    )


def _better_pixel_size(frame: Micrograph, pixel_size: float, sizes: PixelSizes) -> str:
    """Say where the lattice would fit, since a nominal field of view is often off by a tenth."""
    size = sizes.better(frame, pixel_size)
    return "" if size is None else f"; it fits with --pixel-size {size:.4g} in place of {pixel_size:.4g}"
