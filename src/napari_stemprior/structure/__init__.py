"""What the specimen is: lattice priors and where they come from.

The value classes need numpy alone; what builds them from crystals (ASE) is imported on first use,
so that training on a bare machine can read priors without it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from napari_stemprior.structure.prior import HAADF_EXPONENT, Column, StructurePrior
from napari_stemprior.structure.stack import Prior, Stack, bilayer, layers_of, stacked

if TYPE_CHECKING:
    from napari_stemprior.structure.library import built_in, names
    from napari_stemprior.structure.projection import format_zone_axis, project
    from napari_stemprior.structure.structure_file import load_prior, parse_zone_axis, read_structure

__all__ = [
    "HAADF_EXPONENT",
    "Column",
    "Prior",
    "Stack",
    "StructurePrior",
    "bilayer",
    "built_in",
    "format_zone_axis",
    "layers_of",
    "load_prior",
    "names",
    "parse_zone_axis",
    "project",
    "read_structure",
    "stacked",
]

_WHERE = {
    "built_in": "library",
    "names": "library",
    "format_zone_axis": "projection",
    "project": "projection",
    "load_prior": "structure_file",
    "parse_zone_axis": "structure_file",
    "read_structure": "structure_file",
}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
    globals()[name] = value
    return value
