"""What comes out: atom columns, their metrics and their corrections."""

from napari_stemprior.atoms.history import AtomHistory, Step
from napari_stemprior.atoms.table import ABSENT, COLUMNS, SOURCES, STATUSES, UNKNOWN_ELEMENT, AtomTable

__all__ = [
    "ABSENT",
    "COLUMNS",
    "SOURCES",
    "STATUSES",
    "UNKNOWN_ELEMENT",
    "AtomHistory",
    "AtomTable",
    "Step",
]
