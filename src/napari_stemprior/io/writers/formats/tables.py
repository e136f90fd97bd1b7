"""Atoms as tables: CSV and Parquet (there and back), and the points CSV of napari."""

from __future__ import annotations

import csv
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from napari_stemprior.atoms.table import COLUMNS, STATUSES, AtomTable
from napari_stemprior.errors import ExportError
from napari_stemprior.io.json_values import plain, printable
from napari_stemprior.io.writers.formats.subject import ExportSubject
from napari_stemprior.regular_files import refuse_pipe

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
#: Further columns, by the field of ``provenance["edits"]`` that they hold: a person's last edit of an atom.
_EDITS = {"edited_by": "by", "edited_at": "at", "edit": "what"}
#: Further columns on the whole table, of one value each.
_ABOUT = ("pixel_size_from", "prior_fit")
#: What each `prior_fit` of a CSV or Parquet file means.
PRIOR_FITS = ("clean", "reservation", "none")
#: What a spreadsheet would take for a formula, and what stands before it once it is none.
_LIVE = re.compile(r"'*[=+\-@\t\r]")
#: Pixels from the origin beyond which no atom lies.
_FARTHEST = 1e12
_METADATA_KEY = b"napari_stemprior"
_ARROW_TYPES = {"int64": pa.int64(), "float64": pa.float64(), "object": pa.string()}


def write_csv(subject: ExportSubject, path: Path) -> None:
    """Write every row with the columns of `FILE_COLUMNS`; a missing number is an empty field.

    Where the provenance says them, ``pixel_size_from`` (file, given or lattice) and ``prior_fit`` (clean,
    reservation or none) follow, and of edited atoms ``edited_by``, ``edited_at`` and ``edit``.
    """
    inert(_with_edits(subject.table)).to_csv(path, index=False, lineterminator="\n")


def write_parquet(subject: ExportSubject, path: Path) -> None:
    """Write every row; provenance and pixel size stand in the schema metadata.

    Raises
    ------
    ExportError
        If the provenance holds what JSON cannot.
    """
    table = subject.table
    frame = _with_edits(table)
    types = {
        **dict.fromkeys(FILE_COLUMNS, "float64"),
        **dict.fromkeys((*_EDITS, *_ABOUT), "object"),
        **COLUMNS,
    }
    fields = [pa.field(name, _ARROW_TYPES[types[name]]) for name in map(str, frame)]
    about = {
        "version": 1,
        "pixel_size_angstrom": float(table.pixel_size),
        "provenance": plain(table.provenance),
    }
    schema = pa.schema(fields, metadata={_METADATA_KEY: json.dumps(about).encode()})
    arrays = [pa.array(frame[field.name].to_numpy(), type=field.type) for field in fields]
    with path.open("wb") as file:  # Arrow knows only paths that are text
        pq.write_table(pa.Table.from_arrays(arrays, schema=schema), file)


def write_points(subject: ExportSubject, path: Path) -> None:
    """Write the CSV that napari opens as points: ``axis-0`` is y, ``axis-1`` x in px, the rest properties."""
    table = subject.table
    points = pd.DataFrame(
        {"index": np.arange(len(table)), "axis-0": table.yx[:, 0], "axis-1": table.yx[:, 1]}
    )
    others = inert(to_frame(table)[[name for name in COLUMNS if name not in ("y_px", "x_px")]])
    # napari reads a column as numbers only if every field is one
    pd.concat([points, others], axis=1).to_csv(path, index=False, lineterminator="\n", na_rep="nan")


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
        If the file is missing or is no such table, or a value is none that an atom can have.
    """
    path = Path(path)
    readers = {".csv": _read_csv, ".parquet": _read_parquet}
    if path.suffix.lower() not in readers:
        raise ExportError(f"{path.name}: atoms are read from .csv and .parquet files only.")
    try:
        refuse_pipe(path)
        return checked_table(readers[path.suffix.lower()](path, pixel_size))
    except FileNotFoundError as error:
        raise ExportError(f"{path}: there is no such file; check the path.") from error
    except (
        OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError, csv.Error,
        pa.ArrowException,
    ) as error:  # fmt: skip
        raise ExportError(f"{path.name}: this is no atom table ({_one_line(error)}).") from error


def to_frame(table: AtomTable) -> pd.DataFrame:
    """Return the table with the columns of `FILE_COLUMNS`."""
    frame = table.rows.copy()
    frame["y_angstrom"], frame["x_angstrom"] = table.yx_angstrom.T
    frame["pixel_size_angstrom"] = float(table.pixel_size)
    for name, dtype in COLUMNS.items():
        if dtype == "object":
            values = ["" if pd.isna(value) else printable(str(value)) for value in frame[name]]
            frame[name] = pd.Series(values, index=frame.index, dtype=object)
    return frame[list(FILE_COLUMNS)]


def _with_edits(table: AtomTable) -> pd.DataFrame:
    frame = to_frame(table)
    about = (table.provenance.get("pixel_size_from"), prior_fit(table.provenance))
    for column, text in zip(_ABOUT, about, strict=True):
        if text:
            frame[column] = pd.Series([str(text)] * len(frame), index=frame.index, dtype=object)
    told = table.provenance.get("edits")
    edits = {
        edit["atom_id"]: edit
        for edit in (told if isinstance(told, list | tuple) else ())
        if isinstance(edit, Mapping) and isinstance(edit.get("atom_id"), int)
    }
    if edits:
        for column, field in _EDITS.items():
            texts = [printable(str(edits.get(int(i), {}).get(field, ""))) for i in frame["atom_id"]]
            frame[column] = pd.Series(texts, index=frame.index, dtype=object)
    return frame


def prior_fit(provenance: dict[str, Any]) -> str:
    """Say in a word how the prior fits; empty where there was none."""
    clean, doubted, refused = PRIOR_FITS
    if provenance.get("prior_fits") is None:
        return ""
    return refused if not provenance["prior_fits"] else doubted if provenance.get("reservations") else clean


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
            columns[name] = _numbers(text[name], dtype) if dtype != "object" else _texts(text[name])
    sizes = {float(value) for value in text.get("pixel_size_angstrom", ()) if value}
    if pixel_size is None and len(sizes) != 1:
        raise ValueError("it does not give one pixel size; give it yourself")
    yx = np.stack([_numbers(text[name], "float64") for name in ("y_px", "x_px")], axis=-1)
    return AtomTable.from_positions(yx, sizes.pop() if pixel_size is None else pixel_size, **columns)


def inert(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a table whose texts are no formulas to a spreadsheet; `read_atoms` takes the mark off again.

    A text that begins with ``=``, ``+``, ``-`` or ``@`` gets an apostrophe before it. Numbers stay numbers.
    """
    frame = frame.copy()
    for name in frame:
        if not pd.api.types.is_numeric_dtype(frame[name].dtype):  # objects, or the texts of pandas 3
            texts = [f"'{text}" if _LIVE.match(str(text)) else text for text in frame[name]]
            frame[name] = pd.Series(texts, index=frame.index, dtype=object)
    return frame


def _taken_off(text: str) -> str:
    return text[1:] if text.startswith("'") and _LIVE.match(text) else text


def checked_table(table: AtomTable) -> AtomTable:
    """Return a table that was read, with the words of `STATUSES`.

    Raises
    ------
    ValueError
        If a value is none that an atom can have.
    """
    size = table.pixel_size
    if not (np.isfinite(size) and size > 0):
        raise ValueError(f"the pixel size is {size} Å/px, which is not a positive number")
    if not np.isfinite(table.yx_angstrom).all() or np.abs(table.yx).max(initial=0) > _FARTHEST:
        raise ValueError("a position lies beyond every image")
    rows = table.rows.copy()
    wrong = rows["confidence"][~(rows["confidence"].between(0, 1) | rows["confidence"].isna())]
    if len(wrong):
        raise ValueError(f"the confidence {wrong.iloc[0]:g} lies outside 0 to 1")
    if np.isinf(rows["evidence"]).any():
        raise ValueError("an evidence is infinite")
    if (rows["layer"] < 0).any():
        raise ValueError("a layer is negative; they count from 0")
    rows["status"] = [str(status).strip().casefold() for status in rows["status"]]
    if unknown := set(rows["status"]) - set(STATUSES):
        raise ValueError(f"the status {min(unknown)!r} is none of {', '.join(STATUSES)}")
    return AtomTable(rows, size, dict(table.provenance))


def _texts(values: list[str]) -> np.ndarray:
    return np.array([_taken_off(value) for value in values], object)


def _numbers(values: list[str], dtype: str) -> np.ndarray:
    if dtype == "int64":
        return np.array([int(value) for value in values], dtype=np.int64)
    return np.array([float(value) if value else np.nan for value in values], dtype=np.float64)


def _read_parquet(path: Path, pixel_size: float | None) -> AtomTable:
    with path.open("rb") as file:
        found = pq.read_table(file)
    about = json.loads((found.schema.metadata or {}).get(_METADATA_KEY, b"{}"))
    size = pixel_size if pixel_size is not None else about["pixel_size_angstrom"]
    rows = pd.DataFrame({name: found.column(name).to_numpy(zero_copy_only=False) for name in COLUMNS})
    return AtomTable(rows, float(size), about.get("provenance", {}))


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()).rstrip(".")
