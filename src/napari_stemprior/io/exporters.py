"""The doors out for atoms: CSV and Parquet (there and back), extended XYZ, napari points, masks."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ase
import ase.io
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from ase.data import atomic_numbers

from napari_stemprior.atoms.table import COLUMNS, UNKNOWN_ELEMENT, AtomTable
from napari_stemprior.errors import ExportError
from napari_stemprior.io.atomic_write import replaced
from napari_stemprior.io.label_mask import label_mask, write_mask
from napari_stemprior.io.plain_values import plain

__all__ = [
    "FILE_COLUMNS",
    "export_atoms",
    "label_mask",
    "read_atoms",
    "to_frame",
    "write_mask",
    "write_napari_points",
]

#: Columns of a CSV or Parquet file, in this order. x runs along the columns of the image, y along its rows.
FILE_COLUMNS: tuple[str, ...] = (
    "atom_id",
    "x_px",
    "y_px",
    "x_angstrom",
    "y_angstrom",
    "element",
    "site",
    "layer",
    "confidence",
    "evidence",
    "source",
    "status",
    "pixel_size_angstrom",
)
_METADATA_KEY = b"napari_stemprior"
_ARROW_TYPES = {"int64": pa.int64(), "float64": pa.float64(), "object": pa.string()}


def export_atoms(
    table: AtomTable, path: str | os.PathLike[str], *, shape: tuple[int, int] | None = None
) -> Path:
    """Write atoms in the format that the suffix names.

    ``.csv``
        The columns of `FILE_COLUMNS`, every row of the table. A missing number is an empty field.
    ``.parquet``
        The same columns; provenance and pixel size also in the schema metadata.
    ``.extxyz``, ``.xyz``
        Extended XYZ in Å for ASE or OVITO. x points right as on the image and y *up*, so the model looks
        like the micrograph in any viewer; z points to the electron source and is 0, since an image has no
        heights. With `shape` the image's lower left pixel is the origin and the image the cell; without it
        y is ``-y_angstrom``. Rejected atoms are left out.

    Parameters
    ----------
    table : AtomTable
    path : path-like
    shape : (int, int), optional
        Rows and columns of the image.

    Returns
    -------
    pathlib.Path
        The file.

    Raises
    ------
    ExportError
        If the suffix is none of these or the file cannot be written.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    writers: dict[str, Callable[[Path], None]] = {
        ".csv": lambda p: _write_csv(table, p),
        ".parquet": lambda p: _write_parquet(table, p),
        ".extxyz": lambda p: _write_extxyz(table, p, shape),
        ".xyz": lambda p: _write_extxyz(table, p, shape),
    }
    if suffix not in writers:
        raise ExportError(
            f"{path.name}: atoms cannot be written as {suffix or 'a file without a suffix'}; "
            f"give one of {', '.join(writers)}."
        )
    try:
        plain(table.provenance)
    except TypeError as error:
        raise ExportError(f"{path.name}: the provenance cannot be stored, {error}.") from error
    with replaced(path) as beside:
        writers[suffix](beside)
    return path


def read_atoms(path: str | os.PathLike[str], pixel_size: float | None = None) -> AtomTable:
    """Read back what `export_atoms` wrote as CSV or Parquet.

    Parameters
    ----------
    path : path-like
        A CSV needs the columns ``x_px`` and ``y_px``; others have defaults. Its provenance is empty.
    pixel_size : float, optional
        Å/px for a CSV without ``pixel_size_angstrom`` or without rows.

    Raises
    ------
    ExportError
        If the file is missing or is no such table.
    """
    path = Path(path)
    readers = {".csv": _read_csv, ".parquet": _read_parquet}
    if path.suffix.lower() not in readers:
        raise ExportError(f"{path.name}: atoms are read from .csv and .parquet files only.")
    try:
        return readers[path.suffix.lower()](path, pixel_size)
    except FileNotFoundError as error:
        raise ExportError(f"{path}: there is no such file; check the path.") from error
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
        raise ExportError(f"{path.name}: this is no atom table ({_one_line(error)}).") from error


def write_napari_points(table: AtomTable, path: str | os.PathLike[str]) -> Path:
    """Write the points CSV that napari opens by itself.

    Parameters
    ----------
    table : AtomTable
        ``axis-0`` is y and ``axis-1`` is x in pixels; the other columns become the layer's properties.
    path : path-like
        Ends in ``.csv``.

    Raises
    ------
    ExportError
        If the suffix is another or the file cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() != ".csv":
        raise ExportError(f"{path.name}: napari reads points from .csv files; give that suffix.")
    points = pd.DataFrame(
        {"index": np.arange(len(table)), "axis-0": table.yx[:, 0], "axis-1": table.yx[:, 1]}
    )
    others = table.rows.drop(columns=["y_px", "x_px"])
    with replaced(path) as beside:
        # napari reads a column as numbers only if every field is one
        pd.concat([points, others], axis=1).to_csv(beside, index=False, lineterminator="\n", na_rep="nan")
    return path


def to_frame(table: AtomTable) -> pd.DataFrame:
    """Return the table with the columns of `FILE_COLUMNS`."""
    frame = table.rows.copy()
    frame["y_angstrom"], frame["x_angstrom"] = table.yx_angstrom.T
    frame["pixel_size_angstrom"] = float(table.pixel_size)
    for name, dtype in COLUMNS.items():
        if dtype == "object":
            values = ["" if pd.isna(value) else str(value) for value in frame[name]]
            frame[name] = pd.Series(values, index=frame.index, dtype=object)
    return frame[list(FILE_COLUMNS)]


def _write_csv(table: AtomTable, path: Path) -> None:
    to_frame(table).to_csv(path, index=False, lineterminator="\n")


def _read_csv(path: Path, pixel_size: float | None) -> AtomTable:
    with path.open(encoding="utf-8-sig", newline="") as file:
        header, *lines = [line for line in csv.reader(file) if line] or [[]]
    if any(len(line) != len(header) for line in lines):
        raise ValueError("a line has more or fewer fields than the first")
    text = {name: [line[i] for line in lines] for i, name in enumerate(header)}
    if missing := [name for name in ("x_px", "y_px") if name not in text]:
        raise ValueError(f"it lacks the column {missing[0]}")
    columns: dict[str, Any] = {}
    for name, dtype in COLUMNS.items():
        if name in text and name not in ("x_px", "y_px"):
            columns[name] = _numbers(text[name], dtype) if dtype != "object" else np.array(text[name], object)
    sizes = {float(value) for value in text.get("pixel_size_angstrom", ()) if value}
    if pixel_size is None and len(sizes) != 1:
        raise ValueError("it does not give one pixel size; give it yourself")
    yx = np.stack([_numbers(text[name], "float64") for name in ("y_px", "x_px")], axis=-1)
    return AtomTable.from_positions(yx, sizes.pop() if pixel_size is None else pixel_size, **columns)


def _numbers(values: list[str], dtype: str) -> np.ndarray:
    if dtype == "int64":
        return np.array([int(value) for value in values], dtype=np.int64)
    return np.array([float(value) if value else np.nan for value in values], dtype=np.float64)


def _write_parquet(table: AtomTable, path: Path) -> None:
    frame = to_frame(table)
    fields = [pa.field(name, _ARROW_TYPES[COLUMNS.get(name, "float64")]) for name in FILE_COLUMNS]
    about = {
        "version": 1,
        "pixel_size_angstrom": float(table.pixel_size),
        "provenance": plain(table.provenance),
    }
    schema = pa.schema(fields, metadata={_METADATA_KEY: json.dumps(about).encode()})
    arrays = [pa.array(frame[field.name].to_numpy(), type=field.type) for field in fields]
    pq.write_table(pa.Table.from_arrays(arrays, schema=schema), path)


def _read_parquet(path: Path, pixel_size: float | None) -> AtomTable:
    with path.open("rb") as file:
        found = pq.read_table(file)
    about = json.loads((found.schema.metadata or {}).get(_METADATA_KEY, b"{}"))
    size = pixel_size if pixel_size is not None else about["pixel_size_angstrom"]
    rows = pd.DataFrame({name: found.column(name).to_numpy(zero_copy_only=False) for name in COLUMNS})
    return AtomTable(rows, float(size), about.get("provenance", {}))


def _write_extxyz(table: AtomTable, path: Path, shape: tuple[int, int] | None) -> None:
    kept = table.where(table.rows["status"] != "rejected")
    if len(kept) == 0:
        raise ExportError("The table has no atom to write as a structure; segment the micrograph first.")
    y, x = kept.yx_angstrom.T
    bottom = (shape[0] - 1) * table.pixel_size if shape else 0.0
    # the one place where y turns over: rows run down the image, structure viewers draw y upwards
    positions = np.stack([x, bottom - y, np.zeros_like(x)], axis=-1)
    elements = [str(symbol) for symbol in kept.rows["element"]]
    symbols = [symbol if symbol in atomic_numbers else UNKNOWN_ELEMENT for symbol in elements]
    atoms = ase.Atoms(symbols, positions=positions, pbc=False)
    if shape:
        atoms.set_cell([shape[1] * table.pixel_size, shape[0] * table.pixel_size, 0.0])
    for name, dtype in COLUMNS.items():
        if name != "element":
            values = kept.rows[name]
            atoms.set_array(
                name, np.array([_word(v) for v in values]) if dtype == "object" else values.to_numpy()
            )
    atoms.info["pixel_size_angstrom"] = float(table.pixel_size)
    atoms.info["provenance"] = json.dumps(plain(table.provenance))
    ase.io.write(path, atoms, format="extxyz")


def _word(value: object) -> str:
    """Return text that can stand in a column of a blank-separated file."""
    return "_".join(str(value).split()) or "-"


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()).rstrip(".")
