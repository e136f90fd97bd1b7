"""Distances and angles between atoms that a person picked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_stemprior.atoms import AtomTable
from napari_stemprior.errors import MeasurementError
from napari_stemprior.measurement.column_fit import ColumnFit
from napari_stemprior.measurement.octahedra import angles_at

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class PickedAtoms:
    """What two or three atoms measure.

    Parameters
    ----------
    atom_id : tuple of int
    distance, distance_error : tuple of float
        Å, of each atom to the next.
    direction : tuple of float
        Degrees from the image's x towards its y, from each atom to the next, in [0, 360).
    direction_error : tuple of float
        Degrees.
    angle, angle_error : float
        Degrees at the second of three atoms, 0 to 180; NaN for two.
    """

    atom_id: tuple[int, ...]
    distance: tuple[float, ...]
    distance_error: tuple[float, ...]
    direction: tuple[float, ...]
    direction_error: tuple[float, ...]
    angle: float
    angle_error: float


def measure_picked(
    atoms: AtomTable, position_error: Floats, atom_id: Sequence[int], columns: ColumnFit | None = None
) -> PickedAtoms:
    """Measure the distance of two atoms, or two distances and the angle of three.

    A component of the error of a difference is that of both positions, which are taken for independent but
    for what `columns` says that a distance has less.

    Parameters
    ----------
    atoms : AtomTable
    position_error : (N,) array
        Å along one axis.
    atom_id : sequence of int
        Two or three of the table.
    columns : ColumnFit, optional
        Says what overlapping columns have in common of their errors.

    Returns
    -------
    PickedAtoms

    Raises
    ------
    MeasurementError
        If there are not two or three, one is not in the table, or two are the same.
    """
    if len(atom_id) not in (2, 3) or len(set(atom_id)) != len(atom_id):
        raise MeasurementError(
            "Pick two different atoms for a distance, or three for an angle at the second."
        )
    ids = atoms.rows["atom_id"].to_numpy()
    rows: list[int] = []
    for one in atom_id:
        place = np.flatnonzero(ids == one)
        if not len(place):
            raise MeasurementError(
                f"There is no atom {one} in the table; take numbers of its column atom_id."
            )
        rows.append(int(place[0]))
    xy = atoms.yx_angstrom[rows, ::-1]
    error = np.asarray(position_error, float)[rows]
    step = np.diff(xy, axis=0)
    distance = np.linalg.norm(step, axis=1)
    doubt = apart = np.hypot(error[1:], error[:-1])
    if columns is not None:
        near = columns.shared_variance(np.array(rows[:-1]), np.array(rows[1:]), distance)
        apart = np.sqrt(np.maximum(doubt**2 - near, 0))
    direction = np.rad2deg(np.arctan2(step[:, 1], step[:, 0])) % 360
    angle, angle_error = float("nan"), float("nan")
    if len(rows) == 3:
        wide, wide_error = angles_at(xy, error, np.array([1]), np.array([[0, 2]]))
        angle, angle_error = float(min(wide[0], 360 - wide[0])), float(wide_error[0])
    return PickedAtoms(
        tuple(int(one) for one in atom_id), tuple(distance.tolist()), tuple(apart.tolist()),
        tuple(direction.tolist()), tuple(np.rad2deg(doubt / distance).tolist()), angle, angle_error,
    )  # fmt: skip
