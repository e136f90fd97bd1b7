"""The frames of a series one after the other: one that cannot be measured stops no other."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_stemprior.atoms import AtomTable
from napari_stemprior.errors import StempriorError, telling_out_of_memory
from napari_stemprior.measurement.frame_series import FrameRecord, frame_record
from napari_stemprior.measurement.measurements import Measurements
from napari_stemprior.measurement.tracking import AtomTracker
from napari_stemprior.progress import Progress

#: What was measured on a frame, and its (H, W) image, by which drift is found.
Measured = tuple[Measurements, NDArray[np.float32]]


@dataclass(frozen=True, eq=False)
class SeriesFrame:
    """A frame that waits to be measured.

    Parameters
    ----------
    name : str
        What sentences call it.
    image : str
        Name of its file, for the table.
    frame : int
        Of the file, counted from 0.
    measure : callable
        Returns the generator that measures it; what is wrong with the frame is a `StempriorError`.
    """

    name: str
    image: str
    frame: int
    measure: Callable[[], Generator[Progress, None, Measured]]


def measure_frames(
    frames: Iterable[SeriesFrame],
    finished: Callable[[FrameRecord, Measurements | None], None],
    say: Callable[[str], None],
) -> Generator[Progress, None, None]:
    """Measure frames in order, and follow their atoms by their places.

    A frame with other pixels than the first measured one is not followed. Close the generator to cancel: what
    was handed to `finished` stays.

    Parameters
    ----------
    frames : iterable of SeriesFrame
        May be made while they are measured.
    finished : callable
        Gets the record of each frame and what was measured, or the record with its reason and None.
    say : callable
        Gets each sentence that a person should read.
    """
    tracker, size = AtomTracker(), 0.0
    for one in frames:
        try:
            with telling_out_of_memory():
                found, image = yield from one.measure()
        except StempriorError as error:
            reason = _named(error, one)
            say(reason)
            finished(FrameRecord(one.image, one.frame, reason), None)
            continue
        for what, reason in found.reasons.items():
            say(f"{one.name}: {what}: {reason}")
        size = size or found.atoms.pixel_size
        tracks = tracker.add(found.atoms, image) if found.atoms.pixel_size == size else None
        finished(frame_record(found, one.image, one.frame, tracks), found)


def outside(table: AtomTable, mask: NDArray[np.bool_]) -> AtomTable:
    """Return the rows of a table that do not lie in an (H, W) mask."""
    at = np.clip(np.rint(table.yx).astype(int), 0, np.array(mask.shape) - 1)
    return table.where(~mask[at[:, 0], at[:, 1]])


def _named(error: StempriorError, frame: SeriesFrame) -> str:
    """Return the sentence of an error, with the frame before it unless it begins with that or its image."""
    text = str(error)
    known = (frame.name, frame.image, Path(frame.image).stem)
    return text if text.startswith(tuple(filter(None, known))) else f"{frame.name}: {text}"
