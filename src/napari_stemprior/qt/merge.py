"""A new segmentation meets atoms that a person has edited: the person is always right."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from napari_stemprior.atoms.metrics import GATE_FRACTION, GATE_MAX, median_spacing


@dataclass(frozen=True)
class Merged:
    """Rows after a merge, and how many atoms a person's edits kept or held empty.

    Parameters
    ----------
    rows : pandas.DataFrame
    kept : int
        Atoms that a person placed, moved or accepted.
    held_empty : int
        Places where a person had rejected an atom.
    new : int
        Predicted atoms taken over.
    """

    rows: pd.DataFrame
    kept: int
    held_empty: int
    new: int


def edited(rows: pd.DataFrame) -> NDArray[np.bool_]:
    """Tell which rows a person has touched: placed, moved, accepted or rejected."""
    return ((rows["source"] == "manual") | rows["status"].isin(("accepted", "rejected"))).to_numpy(bool)


def matching_gate(yx: NDArray[np.float64], pixel_size: float) -> float:
    """Return the distance in px within which two atoms are the same one.

    It is the gate of the metrics: min(0.3 x median neighbour distance, 0.75 Å).
    """
    spacing = median_spacing(yx)
    largest = GATE_MAX / pixel_size
    return largest if spacing is None else min(GATE_FRACTION * spacing, largest)


def merge(current: pd.DataFrame, predicted: pd.DataFrame, gate: float, next_id: int) -> Merged:
    """Replace untouched atoms by the predicted ones and keep every edit.

    A predicted atom within `gate` pixels of an edited one is dropped: an accepted atom stays as it
    is, and a rejected one keeps its place empty. Predicted atoms get ids from `next_id` on.
    """
    keep = current[edited(current)]
    if len(keep) and len(predicted):
        distance = cKDTree(keep[["y_px", "x_px"]]).query(predicted[["y_px", "x_px"]])[0]
        predicted = predicted[distance > gate]
    predicted = predicted.assign(atom_id=np.arange(next_id, next_id + len(predicted), dtype=np.int64))
    rows = pd.concat([keep, predicted], ignore_index=True) if len(keep) else predicted.reset_index(drop=True)
    rejected = int((keep["status"] == "rejected").sum())
    return Merged(rows, len(keep) - rejected, rejected, len(predicted))
