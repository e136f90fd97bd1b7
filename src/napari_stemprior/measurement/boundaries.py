"""Where two crystals meet: grain boundaries with their misorientation, and antiphase boundaries."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from napari_stemprior.atoms import AtomTable
from napari_stemprior.errors import MeasurementError
from napari_stemprior.measurement.lattice_indices import LEAST_ATOMS, LatticeIndices
from napari_stemprior.structure import StructurePrior
from napari_stemprior.structure.periodic import rotational_symmetry

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

#: Neighbours, and the share of them that an atom has in common with its crystal at least.
_NEIGHBOURS, _MOSTLY = 8, 0.4
#: Pairs across a boundary are no farther apart than so many distances between columns.
_FARTHEST = 2.5
#: Atoms of a part that has a lattice of its own.
_LEAST_PART = 12
#: Standard errors from which on an angle, or a shift, is none of the other crystal.
_CLEAR = 3.0
#: Degrees and Å below which nobody would call it a boundary, however small the errors.
_SMALLEST_ANGLE, _SMALLEST_SHIFT = 0.5, 0.3


@dataclass(frozen=True, eq=False)
class Boundary:
    """A boundary between two crystals.

    Parameters
    ----------
    kind : str
        ``"grain boundary"``; ``"antiphase boundary"`` where both have the same orientation and are shifted
        by no lattice vector; ``"gap"`` where the lattice goes on as if it were whole.
    parts : (int, int)
        The two parts, as in the table of columns.
    points : (P, 2) array
        Å (x, y): middles of pairs of neighbours across it, along the boundary.
    length : float
        Å, of the line through the points.
    direction, direction_error : float
        Degrees from the image's x towards its y, of the straight line through the points, in [0, 180).
    misorientation, misorientation_error : float
        Degrees, the smallest that is the same for the lattice; positive from x towards y, from the first
        part.
    shift, shift_error : (2,) array and float
        Å (x, y), by which the second lattice misses the first at the boundary, within its cell; NaN at a
        grain boundary.
    """

    kind: str
    parts: tuple[int, int]
    points: Floats
    length: float
    direction: float
    direction_error: float
    misorientation: float
    misorientation_error: float
    shift: Floats
    shift_error: float


def find_boundaries(atoms: AtomTable, indices: LatticeIndices, position_error: Floats) -> list[Boundary]:
    """Find the boundaries between the connected parts of the lattices of one layer.

    The lattice of each part is the affine map that fits its atoms best (least squares). The misorientation
    is the difference of the rotations of the maps (polar decomposition).

    Parameters
    ----------
    atoms : AtomTable
    indices : LatticeIndices
    position_error : (N,) array
        Å along one axis.

    Returns
    -------
    list of Boundary
        The longest first.

    Raises
    ------
    MeasurementError
        If the atoms have no errors, or there is one crystal only.
    """
    xy = atoms.yx_angstrom[:, ::-1]
    grain = _crystals(indices)
    names = [one for one in np.unique(grain[grain >= 0]) if np.count_nonzero(grain == one) >= _LEAST_PART]
    if len(names) < 2:
        raise MeasurementError("There is one crystal only, so there are no boundaries.")
    lattices = {one: _Lattice(indices, xy, position_error, np.flatnonzero(grain == one)) for one in names}
    trees = {one: cKDTree(xy[grain == one]) for one in names}
    nearest = [np.asarray(tree.query(tree.data, k=2)[0])[:, 1] for tree in trees.values()]
    usual = float(np.median(np.concatenate(nearest)))
    rows = {one: _settled(xy, grain, one) for one in names}
    layer_of = {
        one: int(indices.priors[int(indices.lattice[grain == one][0])].layer_numbers[0]) for one in names
    }
    out = []
    for i, one in enumerate(names):
        for other in names[i + 1 :]:
            if layer_of[one] != layer_of[other]:
                continue
            points = _between(xy[rows[one]], xy[rows[other]], _FARTHEST * usual)
            if len(points) >= 2:
                out.append(_boundary(lattices[one], lattices[other], (int(one), int(other)), points, usual))
    if not out:
        raise MeasurementError("The crystals do not touch, so there are no boundaries between them.")
    return sorted(out, key=lambda boundary: -boundary.length)


def _settled(xy: Floats, grain: Integers, one: int) -> Integers:
    """Return the atoms of a crystal with enough of it around them, not lone ones inside of another."""
    known = np.flatnonzero(grain >= 0)
    near = np.asarray(cKDTree(xy[known]).query(xy[grain == one], k=min(_NEIGHBOURS + 1, len(known)))[1])[
        :, 1:
    ]
    mine = (grain[known][near] == one).mean(1)
    return np.asarray(np.flatnonzero(grain == one)[mine > _MOSTLY], np.int64)


def _between(a: Floats, b: Floats, farthest: float) -> Floats:
    """Return (P, 2) the middles between atoms and the nearest of the other crystal."""
    if not len(a) or not len(b):
        return np.empty((0, 2))
    middles = []
    for one, other in ((a, b), (b, a)):
        found = cKDTree(other).query(one, distance_upper_bound=farthest)
        distance, index = np.asarray(found[0]), np.asarray(found[1])
        close = np.isfinite(distance)
        middles.append((one[close] + other[index[close]]) / 2)
    return np.unique(np.concatenate(middles), axis=0)


def _crystals(indices: LatticeIndices) -> Integers:
    """Return (N,) the part of each atom; numbered through, `part` alone repeats for the layers of a stack."""
    first = {int(prior.layer_numbers[0]) for prior in indices.priors}
    if len(first) == 1:
        return np.where(indices.known, indices.part, -1)
    width = int(indices.part.max(initial=0)) + 1
    return np.where(indices.known, indices.lattice * width + indices.part, -1)


class _Lattice:
    """The mean lattice of one part on the image."""

    def __init__(self, indices: LatticeIndices, xy: Floats, position_error: Floats, own: Integers) -> None:
        self.prior: StructurePrior = indices.priors[int(indices.lattice[own[0]])]
        ideal = indices.ideal[own]
        self.middle = ideal.mean(0)
        design = np.concatenate([np.ones((len(own), 1)), ideal - self.middle], axis=1)
        if len(own) < LEAST_ATOMS or np.linalg.matrix_rank(design) < 3:
            raise MeasurementError("The atoms of a crystal lie on one line; its orientation is not known.")
        solution = np.linalg.lstsq(design, xy[own], rcond=None)[0]
        rest = xy[own] - design @ solution
        variance = max(
            float(np.median((rest**2).sum(1))) / 1.386, float(np.nanmedian(position_error[own] ** 2))
        )
        self.covariance = np.linalg.inv(design.T @ design) * variance
        self.matrix, self.origin = solution[1:].T, solution[0]
        mirrored = np.linalg.det(self.matrix) < 0
        u, _, v = np.linalg.svd(self.matrix @ np.diag([1.0, -1.0 if mirrored else 1.0]))
        turn = u @ v
        self.angle = float(np.rad2deg(np.arctan2(turn[1, 0], turn[0, 0])))
        size = float(np.sqrt(abs(np.linalg.det(self.matrix))))
        # half of the sum of the variances of the two slopes that make a rotation
        self.angle_error = float(
            np.rad2deg(np.sqrt((self.covariance[1, 1] + self.covariance[2, 2]) / 2 / 2)) / size
        )

    def phase(self, place: Floats) -> tuple[Floats, float]:
        """Return the nearest point of the lattice of origins to a place, Å, and its error."""
        vectors = self.prior.cell @ self.matrix.T
        zero = self.origin - self.matrix @ self.middle
        cell = np.rint((place - zero) @ np.linalg.inv(vectors))
        ideal = np.linalg.solve(self.matrix, place - self.origin)
        design = np.array([1.0, *ideal])
        return zero + cell @ vectors, float(np.sqrt(design @ self.covariance @ design))


def _boundary(
    first: _Lattice, second: _Lattice, parts: tuple[int, int], points: Floats, spacing: float
) -> Boundary:
    symmetry = rotational_symmetry(first.prior.cell)
    turned = (second.angle - first.angle + symmetry / 2) % symmetry - symmetry / 2
    error = float(np.hypot(first.angle_error, second.angle_error))
    middle = points.mean(0)
    centred = points - middle
    _, lengths, axes = np.linalg.svd(centred, full_matrices=False)
    along = axes[0]
    order = np.argsort(centred @ along)
    points = points[order]
    direction = float(np.rad2deg(np.arctan2(along[1], along[0])) % 180)
    spread = float(lengths[1] / max(np.sqrt(len(points) - 1), 1)) if len(lengths) > 1 else spacing
    doubt = float(np.rad2deg(np.arctan2(max(spread, 0.25 * spacing), max(float(lengths[0]), 1e-9))))
    shift, shift_error = np.full(2, np.nan), float("nan")
    kind = "grain boundary"
    if abs(turned) <= max(_CLEAR * error, _SMALLEST_ANGLE):
        (a, error_a), (b, error_b) = first.phase(middle), second.phase(middle)
        vectors = first.prior.cell @ first.matrix.T
        fraction = (b - a) @ np.linalg.inv(vectors)
        shift = (fraction - np.rint(fraction)) @ vectors
        shift_error = float(np.hypot(error_a, error_b))
        clear = np.linalg.norm(shift) > max(_CLEAR * shift_error, _SMALLEST_SHIFT)
        kind = "antiphase boundary" if clear else "gap"
    return Boundary(
        kind,
        parts,
        points,
        _length(points, along, spacing),
        direction,
        doubt,
        float(turned),
        error,
        shift,
        shift_error,
    )


def _length(points: Floats, along: Floats, spacing: float) -> float:
    """Return Å along the boundary: the sum of the steps between points of its smooth line."""
    place = points @ along
    bins = np.floor((place - place.min()) / (2 * spacing)).astype(int)
    counts = np.bincount(bins)
    used = np.flatnonzero(counts)
    line = np.stack([np.bincount(bins, points[:, i])[used] / counts[used] for i in (0, 1)], axis=1)
    steps = np.linalg.norm(np.diff(line, axis=0), axis=1)
    return float(steps.sum() + 2 * spacing)
