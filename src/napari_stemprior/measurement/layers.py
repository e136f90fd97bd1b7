"""How the layers of a stack lie on each other: twist, shift, strain, moiré, stacking."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_stemprior.errors import MeasurementError
from napari_stemprior.measurement.lattice_indices import LatticeIndices
from napari_stemprior.measurement.reference_lattice import ReferenceLattice
from napari_stemprior.structure.periodic import minimum_image, rotational_symmetry

Floats = NDArray[np.float64]

#: Lattice vectors up to so many cells are compared.
_CELLS = 3
#: Draws from which errors of derived lengths are taken.
_DRAWS = 400
#: Å: a moiré longer than this cannot be told from none.
_LONGEST = 1e5


@dataclass(frozen=True, eq=False)
class LayerPair:
    """A layer relative to the first. Errors are standard errors; NaN with a reason where not defined.

    Parameters
    ----------
    layer : int
    twist, twist_error : float
        Degrees from the image's x towards its y, the smallest that is the same for the lattice.
    shift : (2,) array
        Å (x, y) on the image of the layer's origin from that of the first layer, in the middle of the atoms,
        within one cell of the first layer; NaN where the two lattices differ.
    shift_error : float
        Å.
    strain : (3,) array
        Relative elongations xx, yy, xy of this layer against the cell of its prior, in the axes of the image.
        A wrong pixel size adds the same to xx and yy of all layers.
    strain_error : (3,) array
    mismatch : (3,) array
        The same, less that of the first layer, which a wrong pixel size does not change.
    moire, moire_error : (2,) arrays
        Å, lengths of the two vectors of the moiré lattice; NaN where there is none.
    reason : str
        Why a number is missing.
    """

    layer: int
    twist: float
    twist_error: float
    shift: Floats
    shift_error: float
    strain: Floats
    strain_error: Floats
    mismatch: Floats
    moire: Floats
    moire_error: Floats
    reason: str


def measure_layers(
    indices: LatticeIndices, reference: ReferenceLattice, position_error: Floats
) -> list[LayerPair]:
    """Measure every layer of a stack against the first.

    From the mean lattice of each layer, which is fitted to its atoms. The moiré lattice is the reciprocal of
    the differences of reciprocal lattice vectors (Hermann, J. Phys.: Condens. Matter 24 (2012) 314210).

    Parameters
    ----------
    indices : LatticeIndices
    reference : ReferenceLattice
        Without a region, or with one that holds all layers.
    position_error : (N,) array
        Å.

    Returns
    -------
    list of LayerPair
        The first layer itself stands first, with twist and shift 0.

    Raises
    ------
    MeasurementError
        If there is only one lattice.
    """
    count = len(indices.priors)
    layers = [int(prior.layer_numbers[0]) for prior in indices.priors]
    if count < 2 or len(set(layers)) < 2:
        raise MeasurementError("There is one lattice only; twist and shift are measured between two or more.")
    rng = np.random.default_rng(0)
    drawn = [_draws(reference, indices, position_error, number, rng) for number in range(count)]
    first = _Layer(indices, reference, 0)
    middle = np.nanmean(reference.positions(indices), axis=0)
    pairs = []
    for number in range(count):
        own = _Layer(indices, reference, number)
        best = _pair(first, own, middle)
        spread = [
            _pair(_Layer(indices, reference, 0, *a), _Layer(indices, reference, number, *b), middle)
            for a, b in zip(drawn[0], drawn[number], strict=True)
        ]
        moire = np.array([one.moire for one in spread])
        turned = np.array([one.twist for one in spread]) - best.twist
        turned = (turned + own.symmetry / 2) % own.symmetry - own.symmetry / 2
        moved = np.array([one.raw_shift for one in spread]) - best.raw_shift
        strains = np.array([one.strain for one in spread])
        is_first = number == 0
        pairs.append(
            LayerPair(
                layers[number],
                0.0 if is_first else best.twist,
                0.0 if is_first else float(turned.std()),
                np.zeros(2) if is_first else best.shift,
                0.0 if is_first else float(moved.std()),
                best.strain,
                strains.std(0),
                best.strain - first.strain,
                best.moire,
                np.where(np.isfinite(best.moire), np.nanstd(moire, axis=0), np.nan)
                if np.isfinite(moire).any()
                else np.full(2, np.nan),
                "" if is_first else best.reason,
            )
        )
    return pairs


@dataclass(frozen=True, eq=False)
class _Numbers:
    """What two lattices measure against each other; `raw_shift` is not yet brought into one cell."""

    twist: float
    shift: Floats
    raw_shift: Floats
    strain: Floats
    moire: Floats
    reason: str


class _Layer:
    """The mean lattice of a layer on the image."""

    def __init__(
        self,
        indices: LatticeIndices,
        reference: ReferenceLattice,
        number: int,
        matrix: Floats | None = None,
        origin: Floats | None = None,
    ) -> None:
        prior = indices.priors[number]
        self.matrix = reference.matrix[number] if matrix is None else matrix
        self.origin = reference.origin[number] if origin is None else origin
        if not np.isfinite(self.matrix).all():
            raise MeasurementError(
                f"Layer {int(prior.layer_numbers[0])} has too few atoms for a lattice of its own."
            )
        flip = np.diag([1.0, np.sign(np.linalg.det(self.matrix))])
        full = self.matrix @ flip
        u, s, v = np.linalg.svd(full)
        turn = u @ v
        self.angle = float(np.rad2deg(np.arctan2(turn[1, 0], turn[0, 0])))
        stretch = u @ np.diag(s) @ u.T - np.eye(2)
        self.strain = np.array([stretch[0, 0], stretch[1, 1], stretch[0, 1]])
        self.vectors = prior.cell @ self.matrix.T
        self.ideal = prior.cell
        self.symmetry = rotational_symmetry(prior.cell)


def _draws(
    reference: ReferenceLattice,
    indices: LatticeIndices,
    position_error: Floats,
    number: int,
    rng: np.random.Generator,
) -> list[tuple[Floats, Floats]]:
    """Draw lattices that the atoms of a layer might as well have given."""
    own = (indices.lattice == number) & reference.used
    variance = float(np.nanmedian(position_error[own] ** 2)) if own.any() else float("nan")
    if not np.isfinite(variance):
        variance = 0.0
    root = np.linalg.cholesky(reference.covariance[number] * variance + 1e-30 * np.eye(3))
    drawn = []
    for _ in range(_DRAWS):
        change = root @ rng.normal(size=(3, 2))
        matrix = reference.matrix[number] + change[1:].T
        offset = reference.matrix[number] @ reference.middle[number] + reference.origin[number] + change[0]
        drawn.append((matrix, offset - matrix @ reference.middle[number]))
    return drawn


def _pair(first: _Layer, second: _Layer, middle: Floats) -> _Numbers:
    symmetry = max(first.symmetry, second.symmetry)
    twist = (second.angle - first.angle + symmetry / 2) % symmetry - symmetry / 2
    reciprocal = [np.linalg.inv(layer.vectors).T for layer in (first, second)]
    cells = np.array([(i, j) for i in range(-_CELLS, _CELLS + 1) for j in range(-_CELLS, _CELLS + 1)])
    candidates = cells @ reciprocal[1]
    nearest = [candidates[np.argmin(np.linalg.norm(candidates - g, axis=1))] for g in reciprocal[0]]
    difference = np.array(nearest) - reciprocal[0]
    moire, reason = np.full(2, np.nan), ""
    if abs(np.linalg.det(difference)) > _LONGEST**-2:
        moire = np.sort(np.linalg.norm(np.linalg.inv(difference).T, axis=1))
    else:
        reason = "the lattices are the same, so there is no moiré"
    # the registry in the middle of the atoms: origins nearest to it, within a cell of the first layer
    ends = []
    for layer in (first, second):
        inverse = np.linalg.inv(layer.vectors)
        cell = np.rint((middle - layer.origin) @ inverse)
        ends.append(layer.origin + cell @ layer.vectors)
    raw = ends[1] - ends[0]
    fraction = raw @ np.linalg.inv(first.vectors)
    shift = minimum_image(fraction) @ first.vectors
    if np.isfinite(moire).all() and moire.min() < 100 * np.linalg.norm(first.vectors, axis=1).min():
        reason = reason or "the shift changes from place to place within the moiré and is that in the middle"
    return _Numbers(float(twist), shift, raw, second.strain, moire, reason)
