"""Crystals whose numbers are known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_stemprior.atoms import AtomTable
from napari_stemprior.registration import LatticeFit, Pose
from napari_stemprior.structure import built_in

PIXEL_SIZE = 0.1


@dataclass(eq=False)
class Crystal:
    """Atoms on the sites of a prior, deformed about their middle, with noise."""

    fit: LatticeFit
    atoms: AtomTable
    column: np.ndarray
    perfect: np.ndarray

    @property
    def shape(self) -> tuple[int, int]:
        rows, columns = np.ceil(self.atoms.yx.max(0)).astype(int) + 2
        return int(rows), int(columns)


def crystal(
    name="SrTiO3 [001]",
    side=80.0,
    noise=0.02,
    deformation=None,
    angle=10.0,
    seed=0,
    mirrored=False,
    move=None,
    margin=-12.0,
) -> Crystal:
    """Lengths in Å; `move` gets the (N,) columns and (N, 2) places (x, y) in Å and returns displacements."""
    prior = built_in(name)
    pose = Pose.from_angle(angle, PIXEL_SIZE, (3.0, 4.0), mirrored=mirrored, score=0.9)
    pixels = int(side / PIXEL_SIZE)
    yx, column = pose.columns(prior, (pixels, pixels), margin)
    rng = np.random.default_rng(seed)
    xy = yx[:, ::-1] * PIXEL_SIZE
    if deformation is not None:
        middle = xy.mean(0)
        xy = (xy - middle) @ np.asarray(deformation).T + middle
    if move is not None:
        xy = xy + move(column, xy)
    xy = xy + rng.normal(size=xy.shape) * noise
    elements = [prior.columns[i].element for i in column]
    table = AtomTable.from_positions(xy[:, ::-1] / PIXEL_SIZE, PIXEL_SIZE, element=elements)
    return Crystal(LatticeFit(prior, (pose,)), table, column, yx)


def coverage(found, truth, error) -> float:
    """Return the share of the values whose 95 % interval holds the truth."""
    known = np.isfinite(found)
    return float((np.abs(found - truth)[known] < 1.96 * np.broadcast_to(error, found.shape)[known]).mean())
