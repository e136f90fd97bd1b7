"""Edits of an atom table: each is recorded in the history of its frame, and can be undone and redone."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from psygnal import Signal

from napari_stemprior.atoms import ABSENT, UNKNOWN_ELEMENT, AtomHistory, AtomTable
from napari_stemprior.atoms.history import Change
from napari_stemprior.atoms.inferred import inferred
from napari_stemprior.workflow.count_doubts import DOUBTS
from napari_stemprior.workflow.merge_edits import Merged, matching_gate, merge

Frame = tuple[int, ...]
Rows = NDArray[np.int64]


class AtomEdits:
    """The atom tables of one image, with a history for every frame of a stack.

    Deleting an atom marks it as rejected: it vanishes from view and from exports, but a later
    segmentation leaves its place empty, and undo brings it back.

    Parameters
    ----------
    pixel_size : float
        Å/px.
    """

    #: The atoms, their status or the history have changed.
    changed = Signal()
    #: A frame began anew with a segmentation, or its history went on; for the journal.
    began = Signal(tuple)
    recorded = Signal(tuple, object)
    went = Signal(tuple, int)

    def __init__(self, pixel_size: float) -> None:
        self.pixel_size = pixel_size
        #: Species of atoms that are added by hand.
        self.new_element = UNKNOWN_ELEMENT
        self.threshold = 0.0
        #: Whether atoms that stand on the prior alone are hidden.
        self.hide_inferred = False
        self.frame: Frame = ()
        self._histories: dict[Frame, AtomHistory] = {(): AtomHistory(no_rows())}
        self._provenance: dict[Frame, dict[str, Any]] = {}

    # --- what is there ------------------------------------------------------------------------
    @property
    def history(self) -> AtomHistory:
        """The edits of the present frame."""
        return self._histories[self.frame]

    @property
    def histories(self) -> dict[Frame, AtomHistory]:
        """The edits of every frame that has atoms or had them."""
        return dict(self._histories)

    @property
    def rows(self) -> pd.DataFrame:
        """Every row of the present frame, the rejected ones included. Do not change it."""
        return self.history.rows

    @property
    def provenance(self) -> dict[str, Any]:
        """What made the atoms of the present frame."""
        return self.provenance_of(self.frame)

    def note(self, key: str, value: Any) -> None:
        """Keep a plain value in the provenance of the present frame; that is no edit."""
        self._provenance.setdefault(self.frame, {})[key] = value

    def provenance_of(self, frame: Frame) -> dict[str, Any]:
        """What made the atoms of a frame."""
        return dict(self._provenance.get(frame, {}))

    @property
    def frames(self) -> list[Frame]:
        """The frames of a stack that have atoms."""
        return sorted(f for f, h in self._histories.items() if len(h))

    @property
    def undo_label(self) -> str:
        """What undo would take back; empty if there is nothing."""
        return self.history.undo_label

    @property
    def redo_label(self) -> str:
        """What redo would do again; empty if there is nothing."""
        return self.history.redo_label

    @property
    def hidden(self) -> NDArray[np.bool_]:
        """(N,) which atoms do not count, by the threshold or as inferred; never one that is vouched for."""
        return self._hidden(self.history)

    @property
    def below(self) -> NDArray[np.bool_]:
        """(N,) which atoms lie below the threshold; never one that is vouched for."""
        return self._below(self.history)

    def _hidden(self, history: AtomHistory) -> NDArray[np.bool_]:
        below = self._below(history)
        return below | inferred(history.rows) if self.hide_inferred else below

    def _below(self, history: AtomHistory) -> NDArray[np.bool_]:
        column = history.column
        vouched = np.isin(column("status"), ("accepted", "vacancy")) | (column("source") == "manual")
        below: NDArray[np.bool_] = (np.asarray(column("confidence"), np.float64) < self.threshold) & ~vouched
        return below

    @property
    def yx(self) -> NDArray[np.float64]:
        """(N, 2) positions of the rows in px."""
        return np.stack([self.history.column("y_px"), self.history.column("x_px")], axis=-1)

    def table(
        self, *, shown_only: bool = False, vacancies: bool = False, frame: Frame | None = None
    ) -> AtomTable:
        """Return the atoms; never the rejected ones.

        Parameters
        ----------
        shown_only : bool
            Leave out what the confidence threshold hides, which holds for every frame.
        vacancies : bool
            Whether the lattice sites that a person found empty are among the rows.
        frame : tuple of int, optional
            Of a stack; the present one by default.
        """
        frame = self.frame if frame is None else frame
        history = self._histories[frame]
        status = history.column("status")
        keep = status != "rejected" if vacancies else ~np.isin(status, ABSENT)
        if shown_only:
            keep = keep & ~self._hidden(history)
        provenance = self._provenance.get(frame, {}) | {"edits": history.edited()}
        return AtomTable(history.rows[keep], self.pixel_size, provenance)

    def vacancies(self) -> AtomTable:
        """Return the lattice sites that a person found empty."""
        return self.table(vacancies=True).vacancies

    # --- edits --------------------------------------------------------------------------------
    def take_prediction(self, table: AtomTable, *, frame: Frame | None = None, inside: Any = None) -> Merged:
        """Replace the untouched atoms by a new segmentation; edits stay (see `workflow.merge_edits`).

        Parameters
        ----------
        table : AtomTable
        frame : tuple of int, optional
            The frame that was segmented; the present one by default.
        inside : callable, optional
            Tells for (N, 2) pixels which of them lie in the part that was segmented; all by default.
        """
        frame = self.frame if frame is None else frame
        history = self._histories.setdefault(frame, AtomHistory(no_rows()))
        gate = matching_gate(table.yx, table.pixel_size)
        merged = merge(history.rows, table.rows, gate, history.next_id, inside)
        if inside is None or frame not in self._provenance:
            self._provenance[frame] = {k: v for k, v in table.provenance.items() if k != "edits"}
        else:
            known = self._provenance[frame]
            self._provenance[frame] = known | {"parts": [*known.get("parts", []), dict(table.provenance)]}
        if not len(history) and not history.steps:
            history.begin(merged.rows)  # the first segmentation is where the history begins
            self.began.emit(frame)
            self._show(frame, Change(False))
        else:
            old, new = history.rows, merged.rows
            gone = old[~old["atom_id"].isin(new["atom_id"])]
            come = new[~new["atom_id"].isin(old["atom_id"])]
            self.record("segmentation", gone, come, frame=frame, who="")
        return merged

    def begin(self, frame: Frame, history: AtomHistory, provenance: dict[str, Any]) -> None:
        """Take over a history, such as one that a journal has kept."""
        self._histories[frame] = history
        self._provenance[frame] = dict(provenance)
        self.began.emit(frame)
        self._show(frame, Change(False))

    def add(self, yx: ArrayLike, label: str | None = None, **columns: Any) -> Rows:
        """Add atoms, or vacancies, and return their rows.

        Parameters
        ----------
        yx : (N, 2) array-like
            Pixels.
        label : str, optional
            What the history calls it.
        **columns
            Of the new rows; by default they are accepted atoms of the species `new_element`.
        """
        positions = np.asarray(yx, float).reshape(-1, 2)
        given = {"element": self.new_element, "source": "manual", "status": "accepted"} | columns
        first = self.history.next_id
        new = AtomTable.from_positions(
            positions, self.pixel_size, atom_id=np.arange(first, first + len(positions)), **given
        ).rows
        words = f"add {given['element']}" if isinstance(given["element"], str) else "add"
        self.record(_counted(label or words, len(new)), no_rows(), new)
        return np.arange(len(self.history) - len(new), len(self.history))

    def move(self, rows: Iterable[int], yx: ArrayLike) -> None:
        """Put the atoms at these rows elsewhere; that also accepts them."""
        chosen = np.array(list(rows), int)
        to = np.asarray(yx, float).reshape(-1, 2)
        before = self.rows.iloc[chosen]
        after = before.assign(y_px=to[:, 0], x_px=to[:, 1], source="manual", status="accepted")
        self.record(_counted("move", len(chosen)), before, after)

    def delete(self, rows: Iterable[int]) -> None:
        """Reject the atoms at these rows; a mark of a vacancy goes away, so that its site is open again."""
        chosen = np.array(sorted({int(i) for i in rows}), int)
        status = self.history.column("status")[chosen]
        if not (status == "vacancy").any():
            self._assign(chosen, "delete", status="rejected")
            return
        before = self.rows.iloc[chosen]
        after = before[status != "vacancy"].assign(status="rejected")
        self.record(_counted("delete", len(before)), before, after)

    def set_status(self, rows: Iterable[int], status: str) -> None:
        """Give the atoms at these rows a status."""
        self._assign(rows, f"mark {status}", status=status)

    def set_element(self, rows: Iterable[int], element: str) -> None:
        """Give the atoms at these rows a species; that also accepts them."""
        self._assign(rows, f"set {element}", element=element, source="manual", status="accepted")

    def copy_to_frame(self, frame: Frame) -> int:
        """Copy the atoms of the present frame into another one and return their number.

        What the other frame has is kept; only atoms within the gate of none of its atoms are added.
        """
        table = self.table(vacancies=True)
        history = self._histories.setdefault(frame, AtomHistory(no_rows()))
        gate = matching_gate(table.yx, self.pixel_size)
        there = history.rows[history.rows["status"] != "rejected"]
        merged = merge(there.assign(status="accepted"), table.rows, gate, history.next_id)
        new = merged.rows[merged.rows["atom_id"] >= history.next_id]
        if len(new):
            known = {key: value for key, value in self.provenance.items() if key != DOUBTS}
            self._provenance.setdefault(frame, known | {"copied_from_frame": list(self.frame)})
            if not history.steps and not len(history):
                self.began.emit(frame)
            self.record(f"copy from frame {_number(self.frame)}", no_rows(), new, frame=frame)
        return len(new)

    def undo(self) -> str:
        """Take the last edit back and return its label; empty if there was none."""
        label = self.history.undo_label
        if label:
            self.go_to(self.history.position - 1)
        return label

    def redo(self) -> str:
        """Do the edit again that was undone last and return its label; empty if there was none."""
        label = self.history.redo_label
        if label:
            self.go_to(self.history.position + 1)
        return label

    def go_to(self, position: int) -> None:
        """Go to the state after that many edits of the present frame."""
        change = self.history.go_to(position)
        self.went.emit(self.frame, position)
        self._show(self.frame, change)

    @property
    def untouched(self) -> bool:
        """Whether nobody has looked for atoms in the present frame: neither the network nor a person."""
        return not len(self.history) and not self.history.steps

    def set_frame(self, frame: Frame) -> None:
        """Go to another frame of a stack."""
        if frame != self.frame:
            self.frame = frame
            self._histories.setdefault(frame, AtomHistory(no_rows()))
            self._show(frame, Change(False))

    def record(
        self,
        label: str,
        before: pd.DataFrame,
        after: pd.DataFrame,
        *,
        frame: Frame | None = None,
        who: str | None = None,
    ) -> None:
        """Do an edit and remember it; for what this class and the events of a layer have prepared.

        Parameters
        ----------
        label : str
            What the history calls it.
        before, after : pandas.DataFrame
            The touched rows, before and after it.
        frame : tuple of int, optional
            The present one by default.
        who : str, optional
            This user by default; an empty one is the network.
        """
        frame = self.frame if frame is None else frame
        history = self._histories[frame]
        change = history.record(label, before, after, who=who)
        self.recorded.emit(frame, history.steps[-1])
        self._show(frame, change)

    # --- inside -------------------------------------------------------------------------------
    def _assign(self, rows: Iterable[int], label: str, **values: Any) -> None:
        chosen = sorted({int(i) for i in rows})
        before = self.rows.iloc[chosen]
        after = before.assign(**values)
        if len(before) and not after.equals(before):
            self.record(_counted(label, len(before)), before, after)

    def _show(self, frame: Frame, change: Change) -> None:
        """Tell that an edit changed the atoms of a frame."""
        self.changed.emit()


@lru_cache(maxsize=1)
def no_rows() -> pd.DataFrame:
    """Return an atom table without rows. Do not change it."""
    return AtomTable.empty(1.0).rows


def _counted(label: str, n: int) -> str:
    return label if n == 1 else f"{label} ({n})"


def _number(frame: Frame) -> str:
    return ", ".join(str(i + 1) for i in frame) or "1"
