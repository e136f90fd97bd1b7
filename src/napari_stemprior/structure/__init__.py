"""What the specimen is: lattice priors and where they come from.

The value classes need numpy alone; what builds them from crystals (ASE) is imported on first use,
so that training on a bare machine can read priors without it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from napari_stemprior.structure.prior import HAADF_EXPONENT, Column, StructurePrior
from napari_stemprior.structure.stack import Prior, Stack, bilayer, stacked
from napari_stemprior.structure.zone_axis import (
    Direction,
    PlaneNormal,
    format_zone_axis,
    parse_direction,
    parse_plane,
    parse_zone_axis,
)

if TYPE_CHECKING:
    from napari_stemprior.structure.layer_normal import project_along
    from napari_stemprior.structure.library import built_in, names
    from napari_stemprior.structure.projection import project
    from napari_stemprior.structure.structure_file import load_prior, read_structure, structure_blocks

__all__ = [
    "HAADF_EXPONENT",
    "Column",
    "Direction",
    "PlaneNormal",
    "Prior",
    "Stack",
    "StructurePrior",
    "bilayer",
    "built_in",
    "format_zone_axis",
    "load_prior",
    "names",
    "parse_direction",
    "parse_plane",
    "parse_zone_axis",
    "project",
    "project_along",
    "read_structure",
    "stacked",
    "structure_blocks",
]

_WHERE = {
    "built_in": "library",
    "names": "library",
    "project": "projection",
    "load_prior": "structure_file",
    "project_along": "layer_normal",
    "read_structure": "structure_file",
    "structure_blocks": "structure_file",
}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
    globals()[name] = value
    return value
