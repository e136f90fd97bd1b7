"""A new segmentation meets atoms that a person has edited: the person is always right."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from napari_stemprior.atoms import ABSENT
from napari_stemprior.atoms.matching import GATE_FRACTION, GATE_MAX, median_spacing


@dataclass(frozen=True, eq=False)
class Merged:
    """Rows after a merge, and how many atoms a person's edits kept or held empty.

    Parameters
    ----------
    rows : pandas.DataFrame
    kept : int
        Atoms that a person placed, moved or accepted.
    held_empty : int
        Places where a person had rejected an atom or confirmed a vacancy.
    new : int
        Predicted atoms taken over.
    """

    rows: pd.DataFrame
    kept: int
    held_empty: int
    new: int


def edited(rows: pd.DataFrame) -> NDArray[np.bool_]:
    """Tell which rows a person has touched: placed, moved, accepted, rejected or found empty."""
    return ((rows["source"] == "manual") | rows["status"].isin(("accepted", *ABSENT))).to_numpy(bool)


def matching_gate(yx: NDArray[np.float64], pixel_size: float) -> float:
    """Return the distance in px within which two atoms are the same one.

    It is the gate of the metrics: min(0.3 x median neighbour distance, 0.75 Å).
    """
    spacing = median_spacing(yx)
    largest = GATE_MAX / pixel_size
    return largest if spacing is None else min(GATE_FRACTION * spacing, largest)


def merge(
    current: pd.DataFrame,
    predicted: pd.DataFrame,
    gate: float,
    next_id: int,
    inside: Callable[[NDArray[np.float64]], NDArray[np.bool_]] | None = None,
) -> Merged:
    """Replace untouched atoms by the predicted ones and keep every edit.

    A predicted atom within `gate` pixels of an edited one is dropped: an accepted atom stays as it
    is, and a rejected one keeps its place empty. Predicted atoms get ids from `next_id` on.

    Parameters
    ----------
    current, predicted : pandas.DataFrame
        Rows of atom tables.
    gate : float
        px.
    next_id : int
    inside : callable, optional
        Tells for (N, 2) pixels which lie in the part that was predicted; what lies outside stays as it
        is, and a prediction there or within the gate of what stays is dropped. All by default.
    """
    stays = edited(current)
    counted = stays
    if inside is not None:
        yx = ["y_px", "x_px"]
        counted = stays & inside(current[yx].to_numpy(float)) if len(current) else stays
        stays = stays | ~inside(current[yx].to_numpy(float)) if len(current) else stays
        predicted = predicted.loc[inside(predicted[yx].to_numpy(float))] if len(predicted) else predicted
    keep = current[stays]
    if len(keep) and len(predicted):
        distance = cKDTree(keep[["y_px", "x_px"]]).query(predicted[["y_px", "x_px"]])[0]
        predicted = pd.DataFrame(predicted[distance > gate])
    predicted = predicted.assign(atom_id=np.arange(next_id, next_id + len(predicted), dtype=np.int64))
    rows = pd.concat([keep, predicted], ignore_index=True) if len(keep) else predicted.reset_index(drop=True)
    empty = int(current["status"][counted].isin(ABSENT).sum())
    return Merged(rows, int(counted.sum()) - empty, empty, len(predicted))
