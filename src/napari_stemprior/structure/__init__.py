"""What the specimen is: lattice priors and where they come from."""

from napari_stemprior.structure.library import built_in, names
from napari_stemprior.structure.prior import HAADF_EXPONENT, Column, StructurePrior
from napari_stemprior.structure.projection import project

__all__ = ["HAADF_EXPONENT", "Column", "StructurePrior", "built_in", "names", "project"]
