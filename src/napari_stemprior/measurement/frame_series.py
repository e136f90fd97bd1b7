"""What changes from frame to frame: the mean lattice, intensities of sites, defects, drift."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.linalg import polar

from napari_stemprior.atoms import AtomTable
from napari_stemprior.measurement.measurements import Measurements
from napari_stemprior.measurement.tracking import FrameTracks

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class FrameRecord:
    """What is kept of one frame of a series.

    Parameters
    ----------
    image : str
        Name of the file.
    frame : int
        Of the file, counted from 0.
    reason : str
        Why it could not be measured; empty where it was.
    numbers : dict of str to float
        Of the frame alone, by the names of the columns of `FrameSeries.table`.
    cell : (2, 2) array, optional
        Rows are the vectors (x, y) of the mean lattice, Å.
    relative_error : (2,) array, optional
        Standard errors of a displacement gradient along x and along y.
    atoms : AtomTable, optional
    tracks : FrameTracks, optional
        The atoms' numbers over all frames, and the drift.
    """

    image: str
    frame: int
    reason: str = ""
    numbers: dict[str, float] = field(default_factory=dict)
    cell: Floats | None = None
    relative_error: Floats | None = None
    atoms: AtomTable | None = None
    tracks: FrameTracks | None = None


@dataclass(frozen=True, eq=False)
class FrameSeries:
    """A series of frames.

    Parameters
    ----------
    table : pandas.DataFrame
        One row a frame: ``image, frame, status, reason``, the numbers of the frame (``cell_a_angstrom``,
        ``cell_b_angstrom``, ``cell_angle_degrees``, ``position_error_angstrom``,
        ``displacement_rms_angstrom``, ``intensity_<site>`` and its error, counts of defects), the
        ``lattice_strain`` and ``lattice_rotation`` of the mean lattice against the first measured frame and
        their errors, and the drift against it, Å. What is not known is NaN.
    atoms : pandas.DataFrame
        One row an atom of a frame: ``series_row, track, atom_id, x_angstrom, y_angstrom, dx_angstrom,
        dy_angstrom``. The same `track` is the same atom; `dx_angstrom` and `dy_angstrom` are its move since
        it was seen first, drift taken off.
    """

    table: pd.DataFrame
    atoms: pd.DataFrame


def frame_record(
    found: Measurements, image: str, frame: int, tracks: FrameTracks | None = None
) -> FrameRecord:
    """Keep of a frame what a series needs.

    The errors of the mean lattice are those of a straight line through N points that scatter by the root
    mean square displacement: σ / (√N s), where s is the standard deviation of their places along an axis.
    Drift during a scan shears the lattice and is not in them.

    Parameters
    ----------
    found : Measurements
    image : str
    frame : int
    tracks : FrameTracks, optional

    Returns
    -------
    FrameRecord
    """
    cell = found.indices.priors[0].cell @ np.asarray(found.reference.matrix[0], float).T
    numbers: dict[str, float] = {
        "atoms": len(found.atoms),
        "atoms_on_sites": int(found.indices.known.sum()),
        "pixel_size_angstrom": float(found.atoms.pixel_size),
        "position_error_angstrom": _median(found.displacements.position_error),
        "displacement_rms_angstrom": _root_mean_square(found.displacements.xy),
    }
    if found.cells is not None:
        for site in sorted(set(map(str, found.indices.site[found.indices.known]))):
            values = found.cells.value[(found.indices.site == site) & np.isfinite(found.cells.value)]
            if len(values) > 1:
                numbers[f"intensity_{site}"] = float(values.mean())
                numbers[f"intensity_{site}_error"] = float(values.std(ddof=1) / np.sqrt(len(values)))
    if found.defects is not None:
        for kind, number in found.defects.table["kind"].value_counts().items():
            numbers[f"defects_{str(kind).replace(' ', '_')}"] = int(number)
        numbers.setdefault("defects_vacancy", 0)
    if found.polarisation is not None:
        x, y = np.asarray(found.polarisation.mean, float)
        error = float(np.max(found.polarisation.mean_error))
        numbers |= {
            "polarisation_x_angstrom": float(x),
            "polarisation_y_angstrom": float(y),
            "polarisation_error_angstrom": error,
        }
    used = found.reference.used
    places = found.atoms.yx_angstrom[used, ::-1]
    spread = np.maximum(places.std(axis=0), 1e-9)
    along = numbers["displacement_rms_angstrom"] / np.sqrt(max(int(used.sum()), 1)) / spread
    return FrameRecord(image, frame, "", numbers, cell, along, found.atoms, tracks)


def frame_series(records: Sequence[FrameRecord]) -> FrameSeries:
    """Put the frames of a series together.

    Parameters
    ----------
    records : sequence of FrameRecord
        In order, also of frames that could not be measured.

    Returns
    -------
    FrameSeries
    """
    rows = [_row(record) for record in records]
    measured = [number for number, record in enumerate(records) if record.cell is not None]
    for number in measured:
        rows[number] |= _against(records[number], records[measured[0]])
        tracks, atoms = records[number].tracks, records[number].atoms
        if tracks is not None and atoms is not None and tracks.decided_by != "lost":
            drift = tracks.drift * atoms.pixel_size
            rows[number] |= {"drift_x_angstrom": float(drift[1]), "drift_y_angstrom": float(drift[0])}
    return FrameSeries(_ordered(pd.DataFrame(rows)), _followed(records))


def _followed(records: Sequence[FrameRecord]) -> pd.DataFrame:
    """Return the atoms of all frames with their moves."""
    parts = []
    for number, record in enumerate(records):
        if record.atoms is None or record.tracks is None:
            continue
        xy = record.atoms.yx_angstrom[:, ::-1]
        still = xy - record.tracks.drift[::-1] * record.atoms.pixel_size
        parts.append(
            pd.DataFrame(
                {
                    "series_row": number, "track": record.tracks.track,
                    "atom_id": record.atoms.rows["atom_id"].to_numpy(), "x_angstrom": xy[:, 0],
                    "y_angstrom": xy[:, 1], "dx_angstrom": still[:, 0], "dy_angstrom": still[:, 1],
                }
            )
        )  # fmt: skip
    if not parts:
        return pd.DataFrame()
    table = pd.concat(parts, ignore_index=True)
    for name in ("dx_angstrom", "dy_angstrom"):
        table[name] -= table.groupby("track")[name].transform("first")
    return table


def _ordered(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with counts of defects that a frame lacks as 0, where its defects were sought."""
    counted = [name for name in table if str(name).startswith("defects_")]
    if counted:
        sought = table["defects_vacancy"].notna()
        table.loc[sought, counted] = table.loc[sought, counted].fillna(0)
    return table


def _row(record: FrameRecord) -> dict[str, Any]:
    status = "failed" if record.reason else "measured"
    about = {"image": record.image, "frame": record.frame, "status": status, "reason": record.reason}
    return about | record.numbers


def _against(record: FrameRecord, first: FrameRecord) -> dict[str, float]:
    """Return the cell, and its strain and rotation against that of the first frame (polar decomposition).

    A fit may name the vectors of a symmetric lattice in another order or turned; those are taken that lie
    nearest to the cell of the first frame.
    """
    assert record.cell is not None
    assert record.relative_error is not None
    assert first.cell is not None
    assert first.relative_error is not None
    choices = np.array([np.reshape(c, (2, 2)) for c in product((-1, 0, 1), repeat=4)], float)
    choices = choices[np.abs(np.linalg.det(choices)).round() == 1]
    cells = choices @ record.cell
    cell = cells[np.argmin(((cells - first.cell) ** 2).sum((1, 2)))]
    turn, stretch = polar(np.linalg.solve(first.cell, cell).T, side="left")
    x, y = np.zeros(2) if record is first else np.hypot(record.relative_error, first.relative_error)
    shear = float(np.hypot(x, y) / 2)
    (a, b), cosine = np.linalg.norm(cell, axis=1), float(cell[0] @ cell[1])
    return {
        "cell_a_angstrom": float(a),
        "cell_b_angstrom": float(b),
        "cell_angle_degrees": float(np.rad2deg(np.arccos(np.clip(cosine / (a * b), -1, 1)))),
        "lattice_strain_xx": float(stretch[0, 0] - 1),
        "lattice_strain_xx_error": float(x),
        "lattice_strain_yy": float(stretch[1, 1] - 1),
        "lattice_strain_yy_error": float(y),
        "lattice_strain_xy": float(stretch[0, 1]),
        "lattice_strain_xy_error": shear,
        "lattice_rotation_degrees": float(np.rad2deg(np.arctan2(turn[1, 0], turn[0, 0]))),
        "lattice_rotation_error_degrees": float(np.rad2deg(shear)),
    }


def _median(values: Floats) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else float("nan")


def _root_mean_square(values: Floats) -> float:
    known = values[np.isfinite(values)]
    return float(np.sqrt((known**2).mean())) if len(known) else float("nan")
