"""What the cell of a CIF holds, and small CIFs to read."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from napari_stemprior.structure.cif import read_cif
from napari_stemprior.structure.elements import SYMBOLS
from napari_stemprior.structure.projection import site_contents


def contents(path: Path, block: str | None = None) -> dict[str, float]:
    """Atoms of each element in a cell, as `read_cif` reads it."""
    counts: Counter[str] = Counter()
    for site in site_contents(read_cif(path, block).atoms):
        for z, part in site:
            counts[SYMBOLS[z]] += part
    return dict(counts)


def cif_text(
    cell: str, head: str, rows: str, columns: str = "label fract_x fract_y fract_z", name: str = "x"
) -> str:
    """Write a CIF: six numbers, lines of symmetry and formula, and the atom table."""
    tags = ("length_a", "length_b", "length_c", "angle_alpha", "angle_beta", "angle_gamma")
    lines = [f"data_{name}"]
    lines += [f"_cell_{tag} {value}" for tag, value in zip(tags, cell.split(), strict=True)]
    lines += [
        head.strip(),
        "loop_",
        *(f"_atom_site_{column}" for column in columns.split()),
        rows.strip(),
        "",
    ]
    return "\n".join(lines)
