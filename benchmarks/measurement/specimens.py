"""Crystals whose strain, off-centring and missing atoms are known, imaged by the fast engine."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from napari_stemprior.optics import Instrument
from napari_stemprior.optics.reference import reference_image
from napari_stemprior.registration import Pose
from napari_stemprior.structure import StructurePrior, built_in

Floats = NDArray[np.float64]

PIXEL_SIZE = 0.1
#: Pixels of a side.
SIDE = 900
#: Share of the S2 columns that hold one S.
SINGLE = 0.05
#: Å: off-centring of Ti on either side of the wall.
OFF_CENTRE = (0.08, 0.04)
#: Displacement gradients on the right of the interface: du_x/dx and du_y/dx.
STEP = (0.01, 0.005)
_INSTRUMENT = Instrument()


@dataclass(frozen=True, eq=False)
class Specimen:
    """A specimen and its perfect image.

    Parameters
    ----------
    name : str
    prior : StructurePrior
    pose : Pose
        Of the undistorted lattice.
    yx : (N, 2) array
        True places, pixels.
    column : (N,) array of int
        Of the prior.
    single : (N,) array of bool
        Columns that lack one of their atoms.
    image : (H, W) array
        Fraction of the beam.
    """

    name: str
    prior: StructurePrior
    pose: Pose
    yx: Floats
    column: NDArray[np.int64]
    single: NDArray[np.bool_]
    image: NDArray[np.float32]

    def recorded(self, dose: float, rng: np.random.Generator) -> Floats:
        """Return counted electrons over those of the beam; `dose` in electrons per Å²."""
        per_pixel = dose * PIXEL_SIZE**2
        return np.asarray(rng.poisson(self.image.astype(float) * per_pixel) / per_pixel)


@dataclass(frozen=True, eq=False)
class _Places:
    """Columns at given places, for the engine."""

    yx: Floats
    column: NDArray[np.int64]

    def columns(
        self, prior: StructurePrior, shape: tuple[int, int], margin: float = 0.0
    ) -> tuple[Floats, NDArray[np.int64]]:
        """Return those on the image."""
        high = np.array(shape) - 0.5 + margin
        inside = ((self.yx >= -0.5 - margin) & (self.yx < high)).all(1)
        return self.yx[inside], self.column[inside]


def displacement(name: str, column: NDArray[np.int64], xy: Floats) -> Floats:
    """Return (N, 2) true displacements in Å (x, y) of columns at (N, 2) places in Å (x, y)."""
    moved = np.zeros_like(xy)
    right = xy[:, 0] - SIDE * PIXEL_SIZE / 2
    if name == "strain":
        moved[:, 0], moved[:, 1] = STEP[0] * np.maximum(right, 0), STEP[1] * np.maximum(right, 0)
    if name == "polar":
        titanium = column == 1
        moved[titanium, 0] = np.where(right[titanium] > 0, OFF_CENTRE[0], -OFF_CENTRE[0])
        moved[titanium, 1] = OFF_CENTRE[1]
    return moved


def specimen(name: str, seed: int = 0) -> Specimen:
    """Make a specimen: ``perfect``, ``strain`` or ``polar`` SrTiO3 [001], or ``vacancies`` in MoS2."""
    rng = np.random.default_rng(seed)
    prior = built_in("MoS2" if name == "vacancies" else "SrTiO3 [001]")
    pose = Pose.from_angle(float(rng.uniform(0, 30)), PIXEL_SIZE, rng.uniform(0, 30, 2), score=0.9)
    shape = (SIDE, SIDE)
    yx, column = pose.columns(prior, shape, 120)
    yx = yx + displacement(name, column, yx[:, ::-1] * PIXEL_SIZE)[:, ::-1] / PIXEL_SIZE
    single = np.zeros(len(yx), bool)
    drawn = prior
    kinds = column.copy()
    if name == "vacancies":
        single = (column == 1) & (rng.random(len(yx)) < SINGLE)
        one = replace(prior.columns[1], composition=(("S", 1.0),), site="S2")
        drawn = replace(prior, columns=(*prior.columns, one), unit_cell=None)
        kinds[single] = 2
    image = reference_image(drawn, _INSTRUMENT, PIXEL_SIZE, shape, _Places(yx, kinds), thickness=50.0)
    on = ((yx > -3) & (yx < SIDE + 2)).all(1)
    return Specimen(name, prior, pose, yx[on], column[on], single[on], image)
