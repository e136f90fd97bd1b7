"""Errors that a person can act on.

Every one carries a single sentence that names the file or field and says what to do next.
The command line prints it and exits with code 2; the desk shows it as a notification.
None derives from ``RuntimeError``: napari's generator workers swallow those.
"""

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


class UnknownPriorError(StructureError):
    """A prior name that is neither built in nor a file."""


class RegistrationError(StempriorError):
    """A prior that cannot be placed on the image."""


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


class TrainingError(StempriorError):
    """Training that cannot start or go on."""


class InstrumentError(StempriorError):
    """Settings of a microscope or a simulation that make no sense or do not go together."""
