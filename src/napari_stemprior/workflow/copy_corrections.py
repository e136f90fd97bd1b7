"""What a person corrected in one frame of a stack, said of the next one: where that has the same atoms."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from napari_stemprior.atoms import ABSENT, AtomTable
from napari_stemprior.measurement.tracking import AtomTracker
from napari_stemprior.progress import Progress
from napari_stemprior.workflow.merge_edits import edited, matching_gate


@dataclass(frozen=True, eq=False)
class CopiedCorrections:
    """Corrections that fit the next frame.

    Parameters
    ----------
    before, after : pandas.DataFrame
        The rows of the next frame that they change, before and after it. A vacancy is a row of its own, whose
        id is to be given.
    decided, unfit : int
        How many were left out since a person has judged the place there already, and since the next frame
        has no such atom, or one where a vacancy was marked.
    """

    before: pd.DataFrame
    after: pd.DataFrame
    decided: int
    unfit: int

    @property
    def sentence(self) -> str:
        """Say how many were copied and how many were not."""
        count = len(self.after)
        said = f"{count} correction{' was' if count == 1 else 's were'} copied"
        if self.unfit:
            said += f"; {self.unfit} did not fit, as the next frame shows no such atom there"
        if self.decided:
            said += f"; {self.decided} stayed as you have judged the place there already"
        return said + "."


def copy_corrections(
    here: AtomTable,
    there: AtomTable,
    images: tuple[NDArray[np.float32], NDArray[np.float32]],
    next_id: int,
) -> Generator[Progress, None, CopiedCorrections]:
    """Find the atoms of the next frame that corrections are about, after the drift between the frames.

    The drift is that of `AtomTracker`. An edit goes to the atom within the gate of the metrics of where its
    atom has drifted to: that is rejected, or accepted with the element; it stays where it is. A vacancy is
    marked where the next frame has no atom.

    Parameters
    ----------
    here, there : AtomTable
        All rows of both frames, the rejected ones and vacancies included.
    images : ((H, W) array, (H, W) array)
        Of both frames.
    next_id : int
        From here on ids are free in the next frame.

    Raises
    ------
    MeasurementError
        If the frames have different pixel sizes.
    """
    yield Progress(0, 0, "Finding the drift between the frames")
    tracker = AtomTracker()
    tracker.add(here.where(~here.rows["status"].isin(ABSENT).to_numpy(bool)), images[0])
    drift = tracker.add(there.where(~there.rows["status"].isin(ABSENT).to_numpy(bool)), images[1]).drift
    edits = here.rows[edited(here.rows)].reset_index(drop=True)
    places = edits[["y_px", "x_px"]].to_numpy(float) + drift
    judged = edited(there.rows)
    shape, gate = np.array(images[1].shape), matching_gate(there.yx, there.pixel_size)
    inside = ((places >= -0.5) & (places <= shape - 0.5)).all(axis=1)
    distance, nearest = np.full(len(edits), np.inf), np.zeros(len(edits), np.int64)
    if len(there) and len(edits):
        to_nearest, number = cKDTree(there.yx).query(places)
        distance, nearest = np.asarray(to_nearest), np.asarray(number, np.int64)
    found = distance <= gate
    decided = found & judged[nearest] if len(there) else found
    vacancy = (edits["status"] == "vacancy").to_numpy(bool)
    alike = found & ~decided & ~vacancy
    _, first = np.unique(nearest[alike], return_index=True)  # two edits of one atom: the first counts
    chosen = np.flatnonzero(alike)[first]
    before = there.rows.iloc[nearest[chosen]]
    is_rejected = (edits["status"] == "rejected").to_numpy(bool)[chosen]
    after = before.assign(
        status=np.where(is_rejected, "rejected", "accepted").astype(object),
        element=np.where(is_rejected, before["element"], edits["element"].iloc[chosen]).astype(object),
    )
    empty = np.flatnonzero(vacancy & inside & ~found)
    marks = edits.iloc[empty].assign(
        y_px=places[empty, 0],
        x_px=places[empty, 1],
        atom_id=np.arange(next_id, next_id + len(empty), dtype=np.int64),
    )
    after = pd.concat([after, marks], ignore_index=True) if len(marks) else after
    copied = len(chosen) + len(empty)
    return CopiedCorrections(before, after, int(decided.sum()), len(edits) - copied - int(decided.sum()))
