"""The same atom in every frame of a stack: a number that stays with it while the specimen drifts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_stemprior.atoms import AtomTable
from napari_stemprior.atoms.matching import gate_for, match
from napari_stemprior.errors import MeasurementError
from napari_stemprior.measurement.frame_drift import Step, frame_step

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class FrameTracks:
    """The atoms of one frame with their numbers.

    Parameters
    ----------
    track : (N,) array of int
        Of each atom; the same number is the same atom in every frame.
    drift : (2,) array
        Pixels (y, x) by which the specimen lies away from where it was in the first frame.
    decided_by : str
        ``"image"``, ``"continuity"`` or ``"atoms"``, see `Step`; ``"first"`` for the first frame, ``"lost"``
        where too few atoms lie on those of the frame before: the drift is then taken as it was expected.
    """

    track: NDArray[np.int64]
    drift: Floats
    decided_by: str


class AtomTracker:
    """Numbers the atoms of frames that follow each other.

    An atom is known again within the gate of the metrics, min(0.3 x neighbour distance, 0.75 Å), of where it
    was seen last, drift taken off; one that vanished and comes back has its old number. Layers are told
    apart, elements are not: a column that changes its element stays the same column.

    Between two frames the specimen may drift by any distance over which at least a quarter of the image
    stays, if the images show something that is not periodic, over ten squares of two neighbour distances a
    side that are common to the shifts compared. In a perfect crystal, vectors of the lattice
    cannot be seen: the drift then is taken to change by less than half a lattice constant from one step to
    the next, and the first step to be shorter than that.
    """

    def __init__(self) -> None:
        self._before: tuple[AtomTable, NDArray[np.float32] | None] | None = None
        self._velocity = np.zeros(2)
        self._drift = np.zeros(2)
        self._seen = np.empty((0, 2))
        self._layers = np.empty(0, np.int64)

    @property
    def count(self) -> int:
        """How many atoms were seen so far."""
        return len(self._seen)

    def add(self, atoms: AtomTable, image: NDArray[np.float32] | None = None) -> FrameTracks:
        """Take the next frame and number its atoms.

        Parameters
        ----------
        atoms : AtomTable
            Atoms alone, neither rejected ones nor vacancies.
        image : (H, W) array, optional
            Without it the drift is taken to go on evenly.

        Raises
        ------
        MeasurementError
            If the frame has another pixel size than the one before.
        """
        decided_by = "first"
        if self._before is not None:
            before, old = self._before
            if not np.isclose(before.pixel_size, atoms.pixel_size, rtol=1e-3):
                raise MeasurementError(
                    f"The frames have pixels of {before.pixel_size:.4g} and {atoms.pixel_size:.4g} Å; atoms "
                    "are followed over frames of one pixel size."
                )
            images = None
            if old is not None and image is not None and old.shape == image.shape:
                images = (old, image)
            step = frame_step(before, atoms, self._velocity, images)
            if step is None:
                step = Step(self._velocity, 0.0, "lost")
            self._velocity, decided_by = step.shift, step.decided_by
            self._drift = self._drift + step.shift
        if len(atoms) or self._before is None:
            self._before = (atoms, image)
        return FrameTracks(self._numbered(atoms), self._drift.copy(), decided_by)

    def _numbered(self, atoms: AtomTable) -> NDArray[np.int64]:
        still = atoms.yx - self._drift
        layers = atoms.rows["layer"].to_numpy(np.int64)
        track = np.full(len(atoms), -1, np.int64)
        gate = gate_for(atoms.yx, atoms.pixel_size)
        for layer in np.unique(layers):
            mine, theirs = np.flatnonzero(layers == layer), np.flatnonzero(self._layers == layer)
            pairs = match(still[mine], self._seen[theirs], atoms.pixel_size, gate=gate)
            track[mine[pairs.predicted]] = theirs[pairs.truth]
        known = track >= 0
        self._seen[track[known]] = still[known]
        track[~known] = np.arange(self.count, self.count + int((~known).sum()))
        self._seen = np.concatenate([self._seen, still[~known]])
        self._layers = np.concatenate([self._layers, layers[~known]])
        return track


def track_table(frames: Sequence[tuple[AtomTable, FrameTracks]]) -> pd.DataFrame:
    """Return one row for each atom of each frame.

    Parameters
    ----------
    frames : sequence of (AtomTable, FrameTracks)
        The tables that were given to `AtomTracker.add`, and what came back.

    Returns
    -------
    pandas.DataFrame
        ``frame, track, atom_id, element, site, layer, x_px, y_px, x_angstrom, y_angstrom, still_x_angstrom,
        still_y_angstrom``; the last two have the drift taken off.
    """
    parts = []
    for number, (atoms, tracks) in enumerate(frames):
        rows = atoms.rows
        still = (atoms.yx - tracks.drift) * atoms.pixel_size
        place = atoms.yx_angstrom
        part = rows[["atom_id", "element", "site", "layer", "x_px", "y_px"]].reset_index(drop=True)
        part.insert(0, "track", tracks.track)
        part.insert(0, "frame", number)
        part["x_angstrom"], part["y_angstrom"] = place[:, 1], place[:, 0]
        part["still_x_angstrom"], part["still_y_angstrom"] = still[:, 1], still[:, 0]
        parts.append(part)
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=["frame", "track"])
