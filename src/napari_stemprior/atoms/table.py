"""The atom table: one row per atom column, the result that every other room speaks of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

#: Columns, in order, with their dtypes. Strings are plain ``object``: napari's features want them so.
COLUMNS: dict[str, str] = {
    "atom_id": "int64",
    "y_px": "float64",
    "x_px": "float64",
    "element": "object",
    "site": "object",
    "layer": "int64",
    "confidence": "float64",
    "evidence": "float64",
    "source": "object",
    "status": "object",
}
#: Who says that there is an atom: the network with support from the image, a person,
#: or the prior alone.
SOURCES = ("model", "manual", "lattice")
#: The judgement of a person.
STATUSES = ("ok", "review", "accepted", "rejected", "vacancy")
#: Statuses of rows that are no atoms: thrown out, or a lattice site that a person found empty.
ABSENT = ("rejected", "vacancy")
#: Element of an atom whose species nobody knows.
UNKNOWN_ELEMENT = "X"

_DEFAULTS: dict[str, Any] = {
    "element": UNKNOWN_ELEMENT,
    "site": "",
    "layer": 0,
    "confidence": 1.0,
    "evidence": 1.0,
    "source": "model",
    "status": "ok",
}


@dataclass(frozen=True, eq=False)
class AtomTable:
    """Atom columns found on one micrograph.

    Parameters
    ----------
    rows : pandas.DataFrame
        One row an atom column, with the columns of `COLUMNS`: ``y_px``, ``x_px`` in pixels, centres on
        integers; ``layer`` 0 is the entrance side; ``confidence`` and ``evidence`` from 0 to 1, with and
        without the prior; ``source`` one of `SOURCES`, ``status`` one of `STATUSES`.
    pixel_size : float
        Å per pixel of the micrograph.
    provenance : dict
        Network, prior, pose and settings that made it; plain values only.

    Raises
    ------
    ValueError
        If a column is missing, a position is not finite or an `atom_id` stands twice.
    """

    rows: pd.DataFrame
    pixel_size: float
    provenance: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        missing = [name for name in COLUMNS if name not in self.rows]
        if missing:
            raise ValueError(f"the atom table lacks the columns {', '.join(missing)}")
        rows = with_dtypes(self.rows)
        if not np.isfinite(rows[["y_px", "x_px"]].to_numpy(float)).all():
            raise ValueError("the atom table holds a position that is not finite")
        if rows["atom_id"].duplicated().any():
            raise ValueError("the atom table holds an atom_id twice")
        object.__setattr__(self, "rows", rows)

    def __len__(self) -> int:
        return len(self.rows)

    @classmethod
    def from_positions(
        cls,
        yx: ArrayLike,
        pixel_size: float,
        *,
        provenance: dict[str, Any] | None = None,
        **columns: ArrayLike,
    ) -> Self:
        """Build a table from (N, 2) pixel positions (y, x); other columns have defaults.

        Parameters
        ----------
        yx : (N, 2) array-like
        pixel_size : float
        provenance : dict, optional
        **columns
            Any of `COLUMNS`, scalars or of length N.
        """
        positions = np.asarray(yx, dtype=np.float64).reshape(-1, 2)
        n = len(positions)
        unknown = set(columns) - set(COLUMNS)
        if unknown:
            raise ValueError(f"no such column of an atom table: {', '.join(sorted(unknown))}")
        data: dict[str, ArrayLike] = {
            "atom_id": np.arange(n),
            "y_px": positions[:, 0],
            "x_px": positions[:, 1],
        }
        data |= _DEFAULTS | columns
        return cls(
            frame_of({name: _filled(data[name], n, name) for name in COLUMNS}), pixel_size, provenance or {}
        )

    @classmethod
    def empty(cls, pixel_size: float) -> Self:
        """Return a table without atoms."""
        return cls.from_positions(np.empty((0, 2)), pixel_size)

    @property
    def yx(self) -> NDArray[np.float64]:
        """(N, 2) positions in pixels (y, x)."""
        return self.rows[["y_px", "x_px"]].to_numpy(dtype=np.float64)

    @property
    def yx_angstrom(self) -> NDArray[np.float64]:
        """(N, 2) positions in Å (y, x)."""
        return self.yx * self.pixel_size

    @property
    def atoms(self) -> Self:
        """The rows that are atoms: neither rejected nor a vacancy."""
        return self.where(~self.rows["status"].isin(ABSENT))

    @property
    def vacancies(self) -> Self:
        """The lattice sites that a person found empty; ``element`` says what is missing there."""
        return self.where(self.rows["status"] == "vacancy")

    def where(self, keep: ArrayLike) -> Self:
        """Return the rows where the (N,) boolean `keep` is true; ids stay as they are."""
        return type(self)(self.rows[np.asarray(keep, bool)], self.pixel_size, dict(self.provenance))


def with_dtypes(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the columns of `COLUMNS` with their dtypes, rows numbered from 0; only others are copied."""
    ordered = rows if list(rows.columns) == list(COLUMNS) else rows[list(COLUMNS)]
    dtypes = zip(COLUMNS.items(), ordered.dtypes, strict=True)
    other = {name: dtype for (name, dtype), present in dtypes if present != dtype}
    return (ordered.astype(other) if other else ordered).reset_index(drop=True)


def frame_of(columns: Mapping[str, NDArray[np.generic]]) -> pd.DataFrame:
    """Put arrays of the dtypes of `COLUMNS` into a frame without copying them; strings stay plain objects."""
    series = {name: pd.Series(values, dtype=COLUMNS[name], copy=False) for name, values in columns.items()}
    return pd.DataFrame(series, copy=False)


def _filled(value: ArrayLike, count: int, name: str) -> NDArray[np.generic]:
    """Return one value for each of so many rows of a column."""
    dtype = COLUMNS[name]
    if np.isscalar(value):
        return np.full(count, value, dtype)
    values = np.array(value).astype(dtype)
    if values.shape != (count,):
        raise ValueError(f"the column {name} has the shape {values.shape}, and there are {count} positions")
    return values
