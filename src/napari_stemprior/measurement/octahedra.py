"""Octahedra of perovskites in projection: their rotation, and the angles of bonds through oxygen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import breadth_first_order, connected_components
from scipy.stats import norm

from napari_stemprior.atoms import AtomTable
from napari_stemprior.errors import MeasurementError
from napari_stemprior.measurement.lattice_indices import LatticeIndices
from napari_stemprior.measurement.neighbours import around, centres_and_others, shell_of
from napari_stemprior.measurement.polarisation import CHANCE

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

#: Corners of a projected octahedron along a cube axis.
_CORNERS = 4
_LEAST = 3


@dataclass(frozen=True, eq=False)
class OctahedralTilts:
    """Rotation about the beam of M octahedra against the lattice of their centres.

    Parameters
    ----------
    atom : (M,) array of int
        Row of each centre in the atom table.
    angle, error : (M,) arrays
        Degrees from the image's x towards its y, and the standard error.
    amplitude, amplitude_error : float
        Degrees: mean of the angles, every second octahedron taken with the opposite sign (the pattern of
        corner-sharing octahedra). Its sign has no meaning.
    chance : float
        How often noise alone makes such an amplitude.
    state : str
        ``"tilted"``, or ``"not tilted beyond the error"``.
    centre, corner : str
    """

    atom: Integers
    angle: Floats
    error: Floats
    amplitude: float
    amplitude_error: float
    chance: float
    state: str
    centre: str
    corner: str


@dataclass(frozen=True, eq=False)
class BondAngles:
    """Projected angles of M bonds end - middle - end.

    Parameters
    ----------
    atom : (M,) array of int
        Row of each middle atom in the atom table.
    ends : (M, 2) array of int
    angle, error : (M,) arrays
        Degrees from the first end to the second, from the image's x towards its y, in [0, 360): 180 is
        straight, and a bond that bends to the other side has 360 less its angle. Noise does not bias it.
    bend, bend_error : float
        Degrees: root mean square of 180 - angle less what the errors explain, 0 where they explain all.
    middle, end : str
    """

    atom: Integers
    ends: Integers
    angle: Floats
    error: Floats
    bend: float
    bend_error: float
    middle: str
    end: str


def octahedral_tilts(
    atoms: AtomTable, indices: LatticeIndices, position_error: Floats, *, centre: str, corner: str = "O"
) -> OctahedralTilts:
    """Measure how octahedra are turned about the beam.

    The angle is that of the rotation which carries the ideal corners onto those that were found (least
    squares; Kabsch, Acta Cryst. A 32 (1976) 922), less that of the neighbouring centres, so that a turned
    crystal is not tilted. In projection along a cube axis only rotations in phase along the beam (Glazer,
    Acta Cryst. B 28 (1972) 3384: +) turn the projected octahedra; rotations out of phase split the corners.

    Parameters
    ----------
    atoms : AtomTable
    indices : LatticeIndices
    position_error : (N,) array
        Standard error of a position along one axis, Å.
    centre, corner : str
        Site labels or elements, such as ``"Ti"`` and ``"O"``.

    Returns
    -------
    OctahedralTilts

    Raises
    ------
    MeasurementError
        If the prior has no such site, or fewer than three octahedra are whole.
    """
    xy = atoms.yx_angstrom[:, ::-1]
    found, angles, errors, frames = [], [], [], []
    for number, column, cages, centres in centres_and_others(indices, centre, corner):
        prior, first = indices.priors[number], indices.first[number]
        own = np.flatnonzero((indices.lattice == number) & (indices.column == first + column))
        shell, frame = shell_of(prior, column, cages), shell_of(prior, column, centres)
        if len(shell) != _CORNERS or len(own) < _LEAST:
            continue
        corners, lattice = around(indices, own, shell), around(indices, own, frame)
        whole = (corners >= 0).all(1) & (lattice >= 0).all(1)
        own, corners, lattice = own[whole], corners[whole], lattice[whole]
        turned, variance = _rotation(xy, position_error, own, corners, shell.vector)
        with_lattice, more = _rotation(xy, position_error, own, lattice, frame.vector)
        found.append(own)
        angles.append((turned - with_lattice + 180) % 360 - 180)
        errors.append(np.sqrt(variance + more))
        frames.append(lattice)
    if sum(map(len, found)) < _LEAST:
        raise MeasurementError(
            f"Fewer than three {centre} columns have their four {corner} neighbours, so no tilt can be "
            "measured; oxygen needs ABF, or a detector that shows it."
        )
    atom, angle, error = (np.concatenate(parts) for parts in (found, angles, errors))
    known = np.isfinite(error) & (error > 0)
    sign = _alternating(len(atoms), np.concatenate([np.repeat(a, f.shape[1]) for a, f in zip(found, frames,
    strict=True)]),
                        np.concatenate([f.ravel() for f in frames]), atom)  # fmt: skip
    atom, angle, error, sign = atom[known], angle[known], error[known], sign[known]
    if len(atom) < _LEAST or not sign.any():
        raise MeasurementError(
            f"The positions of the {corner} columns have no errors, so no tilt can be measured."
        )
    weight = sign**2 / error**2
    amplitude = float((weight * sign * angle).sum() / weight.sum())
    # corners are shared: the same noise is in two octahedra with opposite sign, so the scatter decides
    spread = float(np.sqrt((weight * (sign * angle - amplitude) ** 2).sum() / weight.sum() / len(atom)))
    amplitude_error = max(float(weight.sum() ** -0.5) * np.sqrt(2), spread)
    chance = float(2 * norm.sf(abs(amplitude) / amplitude_error))
    state = "tilted" if chance < CHANCE else "not tilted beyond the error"
    return OctahedralTilts(atom, angle, error, amplitude, amplitude_error, chance, state, centre, corner)


def bond_angles(
    atoms: AtomTable, indices: LatticeIndices, position_error: Floats, *, end: str, middle: str = "O"
) -> BondAngles:
    """Measure projected bond angles, such as Ti - O - Ti.

    Parameters
    ----------
    atoms : AtomTable
    indices : LatticeIndices
    position_error : (N,) array
        Å along one axis.
    end, middle : str
        Site labels or elements; only middles with two nearest ends count.

    Returns
    -------
    BondAngles

    Raises
    ------
    MeasurementError
        If the prior has no such site, or fewer than three bonds are whole.
    """
    xy = atoms.yx_angstrom[:, ::-1]
    found, both = [], []
    for number, column, ends, _ in centres_and_others(indices, middle, end):
        first = indices.first[number]
        own = np.flatnonzero((indices.lattice == number) & (indices.column == first + column))
        shell = shell_of(indices.priors[number], column, ends)
        if len(shell) != 2 or not len(own):
            continue
        other = around(indices, own, shell)
        whole = (other >= 0).all(1)
        found.append(own[whole])
        both.append(other[whole])
    if sum(map(len, found)) < _LEAST:
        raise MeasurementError(
            f"Fewer than three {middle} columns have two {end} neighbours, so no bond angle can be measured."
        )
    atom, other = np.concatenate(found), np.concatenate(both)
    angle, error = angles_at(xy, position_error, atom, other)
    known = np.isfinite(error)
    atom, other, angle, error = atom[known], other[known], angle[known], error[known]
    if len(atom) < _LEAST:
        raise MeasurementError(
            f"The {middle} columns have no position errors, so no bond angle can be measured."
        )
    square = float(((180 - angle) ** 2).mean() - (error**2).mean())
    doubt = float(np.sqrt(np.var((180 - angle) ** 2) / len(atom)))
    bend = float(np.sqrt(max(square, 0.0)))
    return BondAngles(
        atom, other, angle, error, bend, doubt / (2 * max(bend, np.sqrt(doubt / 2), 1e-9)), middle, end
    )


def angles_at(xy: Floats, position_error: Floats, atom: Integers, ends: Integers) -> tuple[Floats, Floats]:
    """Return (M,) angles at atoms between two others, and their standard errors, degrees.

    From the first end to the second, from x towards y, in [0, 360).

    Parameters
    ----------
    xy : (N, 2) array
        Å.
    position_error : (N,) array
        Å along one axis.
    atom : (M,) array of int
    ends : (M, 2) array of int
    """
    u, v = (xy[ends[:, i]] - xy[atom] for i in (0, 1))
    angle = np.rad2deg(np.arctan2(u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0], (u * v).sum(1))) % 360
    # each end turns its arm, the middle turns both
    across = [np.stack([-w[:, 1], w[:, 0]], axis=1) / (w**2).sum(1)[:, None] for w in (u, v)]
    variance = sum(
        (position_error[ends[:, i]] ** 2) * (across[i] ** 2).sum(1) for i in (0, 1)
    ) + position_error[atom] ** 2 * ((across[1] - across[0]) ** 2).sum(1)
    return angle, np.asarray(np.rad2deg(np.sqrt(variance)))


def _laid(xy: Floats, own: Integers, other: Integers, vector: Floats) -> Floats:
    """Return (M, 2, 2) the maps from ideal vectors to those on the image."""
    seen = xy[other] - xy[own][:, None]
    return np.asarray(np.einsum("mka,kb->mab", seen, vector @ np.linalg.inv(vector.T @ vector)))


def _rotation(
    xy: Floats, position_error: Floats, own: Integers, other: Integers, vector: Floats
) -> tuple[Floats, Floats]:
    """Return (M,) the angle in degrees by which neighbours are turned from the prior's, and its variance.

    Where the prior lies mirrored on the image, it is mirrored back first.
    """
    laid = _laid(xy, own, other, vector)
    mirrored = np.linalg.det(laid) < 0
    flip = np.where(mirrored, -1.0, 1.0)[:, None]
    seen = xy[other] - xy[other].mean(1)[:, None]
    ideal = (vector - vector.mean(0))[None] * np.stack([np.ones_like(flip), flip], axis=-1)
    cross = (ideal[..., 0] * seen[..., 1] - ideal[..., 1] * seen[..., 0]).sum(1)
    dot = (ideal * seen).sum((1, 2))
    length = (ideal**2).sum(2)
    variance = (length * position_error[other] ** 2).sum(1) / length.sum(1) ** 2
    return np.rad2deg(np.arctan2(cross, dot)), np.rad2deg(np.sqrt(variance)) ** 2


def _alternating(count: int, a: Integers, b: Integers, atom: Integers) -> Floats:
    """Return (M,) +1 and -1 in turn from neighbour to neighbour, 0 outside of the largest connected part."""
    graph = coo_matrix((np.ones(len(a)), (a, b)), (count, count)).tocsr()
    _, part = connected_components(graph, directed=False)
    largest = np.bincount(part[atom]).argmax()
    start = int(atom[part[atom] == largest][0])
    order, before = breadth_first_order(graph, start, directed=False)
    sign = np.zeros(count)
    sign[start] = 1.0
    for one in order[1:]:
        sign[one] = -sign[before[one]]
    return np.asarray(sign[atom])
