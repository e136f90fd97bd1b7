"""What comes out: atom columns, their metrics and their corrections."""

from napari_stemprior.atoms.table import COLUMNS, SOURCES, STATUSES, UNKNOWN_ELEMENT, AtomTable

__all__ = ["COLUMNS", "SOURCES", "STATUSES", "UNKNOWN_ELEMENT", "AtomTable"]
