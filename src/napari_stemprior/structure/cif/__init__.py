"""Crystal structures from CIF: the syntax by gemmi, what it means for a cell of atoms here."""

from napari_stemprior.structure.cif.crystal import CifCrystal, block_names, read_cif

__all__ = ["CifCrystal", "block_names", "read_cif"]
