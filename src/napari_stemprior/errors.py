"""Errors that a person can act on.

Every one carries a single sentence that names the file or field and says what to do next.
The command line prints it and exits with code 2; the desk shows it as a notification.
None derives from ``RuntimeError``: napari's generator workers swallow those.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

#: Exit code of the command line for them.
BAD_INPUT = 2


class StempriorError(Exception):
    """Base of all errors that are the input's or the environment's, not the program's."""


class MicrographError(StempriorError):
    """An image file or array that cannot be used as a micrograph."""


class PixelSizeError(StempriorError):
    """A pixel size that is missing, not positive, or does not suit the prior and the image."""


class StructureError(StempriorError):
    """A crystal structure that cannot be used as a lattice prior."""


class SpeciesError(StructureError):
    """A symbol or label in a structure file that names no element, or several and not how much of each."""


class UnknownPriorError(StructureError):
    """A prior name that is neither built in nor a file."""


class RegistrationError(StempriorError):
    """A prior that cannot be placed on the image."""


class MeasurementError(StempriorError):
    """Atoms, a lattice or a region from which nothing can be measured."""


class ModelError(StempriorError):
    """Weights that are missing or do not fit the network."""


class DeviceError(StempriorError):
    """A compute device that does not exist or ran out of memory."""


class ExportError(StempriorError):
    """A result that cannot be written."""


class DatasetError(StempriorError):
    """A folder that is not a readable training-pair dataset."""


class JournalError(StempriorError):
    """A journal of edits that cannot be read."""


class SessionError(StempriorError):
    """A session file that cannot be read, or an image of it that is not there."""


class TrainingError(StempriorError):
    """Training that cannot start or go on."""


class MissingPackageError(StempriorError):
    """An optional package that is needed and not installed."""


class ClusterError(StempriorError):
    """A cluster of computers that cannot be reached, or work that it cannot do."""


class InstrumentError(StempriorError):
    """Settings of a microscope or a simulation that make no sense or do not go together."""


#: What torch says of a CPU whose memory is used up, on Linux and macOS, and on Windows.
_CPU_MEMORY = ("can't allocate memory", "not enough memory")


def out_of_memory(error: BaseException) -> DeviceError | None:
    """Return what to tell a person of an error that means a lack of memory; None of any other.

    numpy raises a ``MemoryError``, torch a ``RuntimeError`` of which only the text says what it is; its
    ``OutOfMemoryError``, which derives from it, is for GPUs alone.
    """
    text = str(error).lower()
    less = "take less at once: a smaller image or batch."
    if isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and any(words in text for words in _CPU_MEMORY)
    ):
        return DeviceError(f"The computer ran out of memory; close other programs, or {less}")
    if isinstance(error, RuntimeError) and "out of memory" in text:
        return DeviceError(f"The GPU ran out of memory; choose the device 'cpu', or {less}")
    return None


@contextmanager
def telling_out_of_memory() -> Iterator[None]:
    """Turn a lack of memory inside the block into a sentence.

    Raises
    ------
    DeviceError
        In place of the error of numpy or torch that means so; other errors pass.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        told = out_of_memory(error)
        if told is None:
            raise
        raise told from error
