"""The history of an atom table: every edit as the rows that it touched, before and after.

A step knows its rows by their ids, so undoing and redoing cost what was touched and not what is
there, and give back exactly the table that was, order included (rows are sorted by id).
"""

from __future__ import annotations

import getpass
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_stemprior.atoms.table import COLUMNS, AtomTable, frame_of, with_dtypes

Columns = dict[str, NDArray[np.generic]]
Rows = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Step:
    """One edit.

    Parameters
    ----------
    label : str
        What was done, for a person.
    before, after : pandas.DataFrame
        The touched rows before and after it, sorted by `atom_id`. An id that stands in one of them only
        was taken away or came anew.
    who, when : str
        User name, and time in UTC (ISO 8601).
    """

    label: str
    before: pd.DataFrame
    after: pd.DataFrame
    who: str = ""
    when: str = ""

    @property
    def ids(self) -> Rows:
        """The ids that it touched."""
        return np.union1d(self.before["atom_id"].to_numpy(), self.after["atom_id"].to_numpy())


@dataclass(frozen=True, eq=False)
class Change:
    """What going from one state to another did to the table.

    Parameters
    ----------
    same_rows : bool
        Whether the same ids are there in the same places.
    rows : (K,) array of int
        Where rows differ now; with other ids there, the rows that are new or differ.
    """

    same_rows: bool
    rows: Rows = field(default_factory=lambda: np.empty(0, np.int64))


class AtomHistory:
    """Rows of an atom table, and every edit that led to them.

    Parameters
    ----------
    rows : pandas.DataFrame
        The columns of `COLUMNS`, where the history begins.
    who : str, optional
        Who edits; the name of the user by default.
    """

    def __init__(self, rows: pd.DataFrame, who: str | None = None) -> None:
        self.who = user_name() if who is None else who
        self._steps: list[Step] = []
        self._at = 0
        self._begun = 0
        self._next_id = 0
        self._columns: Columns = {}
        self._frame: pd.DataFrame | None = None
        self._take(rows)

    # --- what is there ------------------------------------------------------------------------
    @property
    def rows(self) -> pd.DataFrame:
        """Every row, sorted by id. A later edit makes another frame: it never changes this one."""
        if self._frame is None:
            self._frame = frame_of(self._columns)
        return self._frame

    def copy(self) -> AtomHistory:
        """Return a history that goes its own way from here; what both have is shared."""
        other = AtomHistory(self.rows, self.who)
        other._steps, other._at, other._next_id = list(self._steps), self._at, self._next_id
        return other

    def __len__(self) -> int:
        return len(self._columns["atom_id"])

    def column(self, name: str) -> NDArray[np.generic]:
        """Return one column without building the frame. Do not change it."""
        return self._columns[name]

    @property
    def ids(self) -> Rows:
        """The ids, ascending."""
        return self._columns["atom_id"].astype(np.int64, copy=False)

    @property
    def next_id(self) -> int:
        """An id that no row has or ever had."""
        return self._next_id

    @property
    def steps(self) -> Sequence[Step]:
        """Every step, those included that were taken back."""
        return self._steps

    @property
    def position(self) -> int:
        """How many of the steps are done; those behind it can be done again."""
        return self._at

    @property
    def undo_label(self) -> str:
        """What undo would take back; empty if there is nothing."""
        return self._steps[self._at - 1].label if self._at else ""

    @property
    def redo_label(self) -> str:
        """What redo would do again; empty if there is nothing."""
        return self._steps[self._at].label if self._at < len(self._steps) else ""

    @property
    def generation(self) -> tuple[int, int]:
        """Tells one segmentation from another: how often it began, and network steps that are done."""
        return self._begun, sum(not step.who for step in self._steps[: self._at])

    def rows_of(self, ids: Rows) -> Rows:
        """Return where ids stand; all of them must be there."""
        return np.searchsorted(self.ids, ids).astype(np.int64)

    def edited(self) -> list[dict[str, object]]:
        """Say who touched which atom last and when, for every atom that a step touched.

        Returns
        -------
        list of dict
            `atom_id`, `by`, `at` and `what`, in the order of the ids; steps of the network are left out.
        """
        last: dict[int, Step] = {}
        for step in self._steps[: self._at]:
            if step.who:
                last.update(dict.fromkeys(step.ids.tolist(), step))
            else:
                for atom in step.ids.tolist():
                    last.pop(atom, None)
        there = set(self.ids.tolist())
        return [
            {"atom_id": atom, "by": step.who, "at": step.when, "what": step.label}
            for atom, step in sorted(last.items())
            if atom in there
        ]

    # --- edits --------------------------------------------------------------------------------
    def begin(self, rows: pd.DataFrame) -> None:
        """Start anew from these rows; what was before is forgotten."""
        self._steps.clear()
        self._at = 0
        self._begun += 1
        self._take(rows)

    def record(
        self,
        label: str,
        before: pd.DataFrame,
        after: pd.DataFrame,
        *,
        who: str | None = None,
        when: str | None = None,
    ) -> Change:
        """Do an edit and remember it; steps that were taken back are forgotten.

        Parameters
        ----------
        label : str
        before : pandas.DataFrame
            Rows that are there now.
        after : pandas.DataFrame
            What takes their place.
        who, when : str, optional
            This user and this moment by default; an empty `who` is the network.
        """
        step = Step(
            label,
            _sorted(before),
            _sorted(after),
            self.who if who is None else who,
            now() if when is None else when,
        )
        del self._steps[self._at :]
        self._steps.append(step)
        self._at += 1
        return self._apply(step.before, step.after)

    def undo(self) -> Change | None:
        """Take the last step back; None if there is none."""
        return self.go_to(self._at - 1) if self._at else None

    def redo(self) -> Change | None:
        """Do the step again that was taken back last; None if there is none."""
        return self.go_to(self._at + 1) if self._at < len(self._steps) else None

    def go_to(self, position: int) -> Change:
        """Go to the state after that many steps.

        Raises
        ------
        IndexError
            If there are not so many steps.
        """
        if not 0 <= position <= len(self._steps):
            raise IndexError(f"the history has {len(self._steps)} steps, so there is no state {position}")
        changes = []
        while self._at > position:
            self._at -= 1
            step = self._steps[self._at]
            changes.append(self._apply(step.after, step.before))
        while self._at < position:
            step = self._steps[self._at]
            self._at += 1
            changes.append(self._apply(step.before, step.after))
        if len(changes) == 1:
            return changes[0]
        if all(c.same_rows for c in changes):
            return Change(
                True, np.unique(np.concatenate([np.empty(0, np.int64), *(c.rows for c in changes)]))
            )
        return Change(False, np.arange(len(self)))

    # --- inside -------------------------------------------------------------------------------
    def _take(self, rows: pd.DataFrame) -> None:
        self._columns = _arrays(_sorted(rows))
        self._frame = None
        self._see_ids(self.ids)

    def _see_ids(self, ids: Rows) -> None:
        if len(ids):
            self._next_id = max(self._next_id, int(ids[-1]) + 1)

    def _apply(self, old: pd.DataFrame, new: pd.DataFrame) -> Change:
        gone, come = old["atom_id"].to_numpy(np.int64), new["atom_id"].to_numpy(np.int64)
        self._frame = None
        self._see_ids(come)
        if np.array_equal(gone, come):
            return self._overwrite(come, new)
        if len(gone):
            at = self.rows_of(gone)
            self._columns = {name: np.delete(values, at) for name, values in self._columns.items()}
        if len(come):
            at = np.searchsorted(self.ids, come)
            arrays = _arrays(new)
            self._columns = {
                name: np.insert(values, at, arrays[name]) for name, values in self._columns.items()
            }
        return Change(False, self.rows_of(come))

    def _overwrite(self, ids: Rows, new: pd.DataFrame) -> Change:
        """Change rows in place; only the columns that differ are copied, so that old frames stay."""
        at = self.rows_of(ids)
        for name, values in _arrays(new).items():
            column = self._columns[name]
            if not np.array_equal(column[at], values):
                column = column.copy()
                column[at] = values
                self._columns[name] = column
        return Change(True, at)


def user_name() -> str:
    """Return the name of the user, or "somebody" where the system does not tell."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return "somebody"


def now() -> str:
    """Return the time in UTC to the millisecond, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _sorted(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of a table in the order of their ids, with the right dtypes."""
    ids = rows["atom_id"].to_numpy()
    if (ids[1:] > ids[:-1]).all():
        return with_dtypes(rows)
    return with_dtypes(AtomTable(rows, 1.0).rows.sort_values("atom_id"))


def _arrays(rows: pd.DataFrame) -> Columns:
    return {name: rows[name].to_numpy(dtype) for name, dtype in COLUMNS.items()}
