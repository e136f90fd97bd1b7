"""Atoms followed over the frames of a recording, each known by its place in the lattice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_stemprior.atoms import AtomTable
from napari_stemprior.errors import MeasurementError
from napari_stemprior.measurement.lattice_indices import LatticeIndices

Floats = NDArray[np.float64]

#: Atoms that two frames share at least.
_LEAST = 6


@dataclass(frozen=True, eq=False)
class TimeSeries:
    """Atoms over F frames.

    Parameters
    ----------
    track : pandas.DataFrame
        One row an atom of a frame: ``frame, site_id, h, k, lattice, lattice_site, atom_id, x_angstrom,
        y_angstrom, dx_angstrom, dy_angstrom``; the last two are the move since the site's first frame,
        drift taken off.
    sites : pandas.DataFrame
        One row a site: ``site_id, h, k, lattice, lattice_site, frames, first, last, appeared, vanished,
        mean_square_move_angstrom2``. `appeared` counts the frames at which an atom came, `vanished` those
        after which one had gone.
    drift : (F, 2) array
        Å (x, y) of each frame against the first, the median over the atoms that both show.
    drift_error : (F,) array
        Standard error of a component, Å.
    """

    track: pd.DataFrame
    sites: pd.DataFrame
    drift: Floats
    drift_error: Floats


def follow_atoms(frames: Sequence[tuple[AtomTable, LatticeIndices]]) -> TimeSeries:
    """Follow atoms by their lattice indices.

    Each frame has its own lattice fit, whose first cell is any of the lattice: the cells of a frame are
    shifted by the whole number of cells that brings its atoms nearest to those of the frame before.
    Between two frames the specimen therefore may drift by up to half a cell; a whole cell more cannot be
    seen in a perfect crystal.

    Parameters
    ----------
    frames : sequence of (AtomTable, LatticeIndices)
        Of the same prior, in order.

    Returns
    -------
    TimeSeries

    Raises
    ------
    MeasurementError
        If there are fewer than two frames, they have other priors or pixel sizes, or two share too few atoms.
    """
    if len(frames) < 2:
        raise MeasurementError("A time series has two frames or more.")
    names = {indices.priors[0].name for _, indices in frames}
    if len(names) > 1:
        raise MeasurementError(
            f"The frames have different priors ({', '.join(sorted(names))}); take one for all."
        )
    tables = [_rows(number, atoms, indices) for number, (atoms, indices) in enumerate(frames)]
    keys = ["lattice", "h", "k", "column"]
    drift, error = np.zeros((len(frames), 2)), np.zeros(len(frames))
    for number in range(1, len(tables)):
        before, now = tables[number - 1], tables[number]
        now[["h", "k"]] += _cells_between(before, now, frames[0][1])
        both = before.merge(now, on=keys, suffixes=("_0", "_1"))
        if len(both) < _LEAST:
            raise MeasurementError(
                f"Frames {number - 1} and {number} share {len(both)} atoms of the lattice, which are too few "
                "to follow; take frames that follow each other more closely."
            )
        step = both[["x_1", "y_1"]].to_numpy() - both[["x_0", "y_0"]].to_numpy()
        drift[number] = drift[number - 1] + np.median(step, axis=0)
        # a median scatters by the root of π/2 more than a mean
        off = np.median(np.abs(step - np.median(step, axis=0)), axis=0).mean() / 0.6745
        error[number] = np.hypot(error[number - 1], off * np.sqrt(np.pi / 2 / len(both)))
    track = pd.concat(tables, ignore_index=True)
    track["site_id"] = track.groupby(keys, sort=True).ngroup()
    still = track[["x", "y"]].to_numpy() - drift[track["frame"].to_numpy()]
    track["dx_angstrom"], track["dy_angstrom"] = still.T
    begin = track.sort_values("frame").groupby("site_id")[["dx_angstrom", "dy_angstrom"]].first()
    moved = track[["dx_angstrom", "dy_angstrom"]].to_numpy() - begin.loc[track["site_id"]].to_numpy()
    track["dx_angstrom"], track["dy_angstrom"] = moved.T
    track = track.rename(columns={"x": "x_angstrom", "y": "y_angstrom"})
    order = ["frame", "site_id", "h", "k", "lattice", "lattice_site", "atom_id", "x_angstrom", "y_angstrom",
             "dx_angstrom", "dy_angstrom"]  # fmt: skip
    sites = _sites(track, len(frames))
    return TimeSeries(track[order].sort_values(["frame", "site_id"], ignore_index=True), sites, drift, error)


def _rows(number: int, atoms: AtomTable, indices: LatticeIndices) -> pd.DataFrame:
    known = np.flatnonzero(indices.known & (indices.part == 0))
    xy = atoms.yx_angstrom[known, ::-1]
    return pd.DataFrame(
        {
            "frame": number, "h": indices.h[known], "k": indices.k[known], "lattice": indices.lattice[known],
            "column": indices.column[known], "lattice_site": indices.site[known],
            "atom_id": atoms.rows["atom_id"].to_numpy()[known], "x": xy[:, 0], "y": xy[:, 1],
        }
    )  # fmt: skip


def _cells_between(before: pd.DataFrame, now: pd.DataFrame, indices: LatticeIndices) -> NDArray[np.int64]:
    """Return how many cells are added to a frame's indices, so that its atoms lie nearest to those before."""
    fits = []
    for table in (before, now):
        ideal = table[["h", "k"]].to_numpy(float)
        design = np.concatenate([np.ones((len(table), 1)), ideal], axis=1)
        basis = indices.priors[0].fractional[(table["column"] - indices.first[0]).clip(lower=0).to_numpy()]
        design[:, 1:] += basis
        if np.linalg.matrix_rank(design) < 3:
            raise MeasurementError("The atoms of a frame lie on one line; its lattice is not known.")
        fits.append(np.linalg.lstsq(design, table[["x", "y"]].to_numpy(), rcond=None)[0])
    middle = now[["x", "y"]].to_numpy().mean(0)
    cells = [(middle - fit[0]) @ np.linalg.inv(fit[1:]) for fit in fits]
    return np.asarray(np.rint(cells[0] - cells[1]), np.int64)


def _sites(track: pd.DataFrame, count: int) -> pd.DataFrame:
    rows = []
    for site, part in track.groupby("site_id", sort=True):
        there = np.zeros(count, bool)
        there[part["frame"].to_numpy()] = True
        change = np.diff(there.astype(int))
        one = part.iloc[0]
        moved = part[["dx_angstrom", "dy_angstrom"]].to_numpy()[1:]
        rows.append(
            {
                "site_id": site, "h": one["h"], "k": one["k"], "lattice": one["lattice"],
                "lattice_site": one["lattice_site"], "frames": int(there.sum()),
                "first": int(np.flatnonzero(there)[0]), "last": int(np.flatnonzero(there)[-1]),
                "appeared": int((change == 1).sum()), "vanished": int((change == -1).sum()),
                "mean_square_move_angstrom2": float((moved**2).sum(1).mean()) if len(moved) else np.nan,
            }
        )  # fmt: skip
    return pd.DataFrame(rows)
