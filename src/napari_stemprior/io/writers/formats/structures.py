"""Atoms as a structure: extended XYZ and CIF.

The one place where axes turn over. Rows run down an image, and structure viewers draw y upwards, so x points
right as on the image and y *up*: the model looks like the micrograph. z points to the electron source, which
makes the frame right-handed. An image tells no heights; z is nominal, `LAYER_SPACING` for each layer, and the
last layer lies at 0.
"""

from __future__ import annotations

import json
from pathlib import Path

import ase
import ase.io
import numpy as np
from ase.data import atomic_numbers
from numpy.typing import NDArray

from napari_stemprior.atoms.table import COLUMNS, UNKNOWN_ELEMENT, AtomTable
from napari_stemprior.errors import ExportError
from napari_stemprior.io.json_values import plain
from napari_stemprior.io.writers.formats.subject import REJECTED, VACANCY, ExportSubject

#: Nominal distance in Å between two layers, about that of van der Waals crystals.
LAYER_SPACING = 6.5
#: Empty space in Å above and below the layers in the cell of a CIF.
_VACUUM = 10.0


def write_extxyz(subject: ExportSubject, path: Path) -> None:
    """Write extended XYZ in Å, for ASE and OVITO.

    With the shape of the image its lower left pixel is the origin and the image the cell; without it y is
    ``-y_angstrom``. Rejected atoms are left out. A vacancy is a dummy atom ``X`` with status ``vacancy``; the
    missing element stands in its column ``missing``.
    """
    table = _placed(subject)
    positions = _positions(table, subject.shape)
    gone = (table.rows["status"] == VACANCY).to_numpy()
    elements = np.array([str(symbol) for symbol in table.rows["element"]], dtype=object)
    symbols = [_symbol(e) if not empty else UNKNOWN_ELEMENT for e, empty in zip(elements, gone, strict=True)]
    atoms = ase.Atoms(symbols, positions=positions, pbc=False)
    if subject.shape:
        height, width = subject.shape
        atoms.set_cell([width * table.pixel_size, height * table.pixel_size, 0.0])
    for name, dtype in COLUMNS.items():
        if name != "element":
            values = table.rows[name]
            atoms.set_array(
                name, np.array([_word(v) for v in values]) if dtype == "object" else values.to_numpy()
            )
    if gone.any():
        atoms.set_array("missing", np.where(gone, elements, "-").astype(str))
    atoms.info["pixel_size_angstrom"] = float(table.pixel_size)
    atoms.info["provenance"] = json.dumps(plain(table.provenance))
    ase.io.write(path, atoms, format="extxyz")


def write_cif(subject: ExportSubject, path: Path) -> None:
    """Write a CIF of space group P 1 whose cell is the image, for VESTA, ASE and pymatgen.

    Atoms stand in the usual ``_atom_site`` loop. A vacancy is no atom, and programs disagree about sites of
    occupancy 0, so vacancies stand in a loop of their own, ``_stemprior_vacancy``, which readers pass over.
    """
    height, width = subject.known_shape("A CIF")
    table, size = _placed(subject), subject.table.pixel_size
    positions = _positions(table, subject.shape)
    lengths = np.array([width * size, height * size, np.ptp(positions[:, 2]) + 2 * _VACUUM])
    # half a pixel in, so that the cell has its walls where the outermost pixels end
    fractional = (positions + np.array([0.5 * size, 0.5 * size, _VACUUM])) / lengths
    gone = (table.rows["status"] == VACANCY).to_numpy()
    lines = [
        "data_stemprior",
        f"_chemical_name_common {_quoted(subject.name)}",
        *(f"_cell_length_{axis} {value:.6f}" for axis, value in zip("abc", lengths, strict=True)),
        *(f"_cell_angle_{angle} 90" for angle in ("alpha", "beta", "gamma")),
        "_symmetry_space_group_name_H-M 'P 1'",
        "_symmetry_Int_Tables_number 1",
        "loop_",
        "_symmetry_equiv_pos_as_xyz",
        "'x, y, z'",
    ]
    if (~gone).any():
        lines += _loop("_atom_site_", table.where(~gone), fractional[~gone], occupancy=True)
    if gone.any():
        lines += _loop("_stemprior_vacancy_", table.where(gone), fractional[gone], occupancy=False)
    path.write_text("\n".join(lines) + "\n", encoding="ascii", errors="replace")


def _loop(prefix: str, table: AtomTable, fractional: NDArray[np.float64], *, occupancy: bool) -> list[str]:
    names = ["label", "type_symbol", "fract_x", "fract_y", "fract_z", *(["occupancy"] if occupancy else [])]
    lines = ["loop_", *(prefix + name for name in names)]
    for element, atom_id, place in zip(table.rows["element"], table.rows["atom_id"], fractional, strict=True):
        symbol = _symbol(str(element))
        numbers = " ".join(f"{value:.8f}" for value in place)
        lines.append(f"{symbol}{atom_id} {symbol} {numbers}" + (" 1.0" if occupancy else ""))
    return lines


def _placed(subject: ExportSubject) -> AtomTable:
    """Return atoms and vacancies without the rejected.

    Raises
    ------
    ExportError
        If none is left.
    """
    table = subject.table.where(subject.table.rows["status"] != REJECTED)
    if len(table) == 0:
        raise ExportError("The table has no atom to write as a structure; segment the micrograph first.")
    return table


def _positions(table: AtomTable, shape: tuple[int, int] | None) -> NDArray[np.float64]:
    """(N, 3) Å, x right, y up, z to the source."""
    y, x = table.yx_angstrom.T
    bottom = (shape[0] - 1) * table.pixel_size if shape else 0.0
    layer = table.rows["layer"].to_numpy()
    return np.stack([x, bottom - y, LAYER_SPACING * (layer.max() - layer)], axis=-1)


def _symbol(element: str) -> str:
    return element if element in atomic_numbers else UNKNOWN_ELEMENT


def _word(value: object) -> str:
    """Return text that can stand in a column of a blank-separated file."""
    return "_".join(str(value).split()) or "-"


def _quoted(text: str) -> str:
    return "'" + " ".join(text.replace("'", " ").split()) + "'"
