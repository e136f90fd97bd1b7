"""Bring the fringes of a lattice in phase over the image, through strain and over a grain of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_stemprior.registration.demodulation import Demodulator, Fringes, match_origin
from napari_stemprior.registration.displacement import (
    Displacement,
    coherent_affine,
    field_affine,
    templated,
    track,
)
from napari_stemprior.registration.reciprocal import Nodes, lattice_symmetries
from napari_stemprior.registration.score import coherence
from napari_stemprior.structure import StructurePrior

#: Gaussian in Å of the demodulation.
WIDTH = 6.0
#: Further Gaussian in Å when the displacement is followed for good.
_SMOOTH = 6.0
#: Below this coherence the phases are followed from place to place as well.
_LOOSE = 0.95
_FOLLOW_ROUNDS = 5
#: A lattice that is seen over less of the image than this is a grain, or surrounds a hole.
_COVERED = 0.7
#: Nodes that take part in locking the phases.
_COHERENT_NODES = 16


@dataclass(frozen=True, eq=False)
class Straight:
    """Fringes on an affine map with the displacement from it taken out.

    Parameters
    ----------
    linear, origin : (2, 2), (2,) array
        Å (y, x) on the image.
    fringes : Fringes
        As measured.
    values : (n, gy, gx) complex array
        With the displacement taken out.
    displacement : Displacement
    together : float
    """

    linear: NDArray[np.float64]
    origin: NDArray[np.float64]
    fringes: Fringes
    values: NDArray[np.complex128]
    displacement: Displacement
    together: float

    def strength(self, noise: NDArray[np.float64]) -> float:
        """Power of all fringes summed in phase, over the noise."""
        return float((np.abs(self.values.sum((1, 2))) ** 2 / noise).sum())


def refine_phases(
    demodulator: Demodulator,
    found: Nodes,
    noise: NDArray[np.float64],
    prior: StructurePrior,
    linear: NDArray[np.float64],
) -> Straight:
    """Refine a lattice from the power by the phases, and take its displacement out of the fringes.

    Parameters
    ----------
    demodulator : Demodulator
    found : Nodes
    noise : (n,) array
        Background power of each node.
    prior : StructurePrior
    linear : (2, 2) array
        From (x, y) in Å of the prior to (y, x) in Å of the image, good to a percent or so.
    """
    fringes = demodulator.fringes(found, linear, WIDTH)
    middle = _strongest(fringes)
    window = np.exp(-((fringes.places - middle) ** 2).sum(-1) / (2 * 25.0**2))
    local = (fringes.values * window).sum((1, 2))
    start = _best_basis(found, local / noise, prior, linear)
    best = _grown(demodulator, found, noise, middle, start)
    if best.together < _LOOSE:
        # a bend as long as the window looks like strain to it; following the phases tells the two apart
        best = max(best, _followed(demodulator, found, noise, middle, start), key=lambda s: s.strength(noise))
    return _on_its_grain(demodulator, found, noise, middle, best)


def _taken_out(
    demodulator: Demodulator,
    found: Nodes,
    noise: NDArray[np.float64],
    linear: NDArray[np.float64],
    origin: NDArray[np.float64],
    smooth: float,
) -> Straight:
    """Follow the displacement from an affine map and take it out."""
    fringes = demodulator.fringes(found, linear, WIDTH)
    field = track(fringes, templated(fringes, origin, noise), noise, smooth=smooth)
    waves = np.exp(2j * np.pi * (np.einsum("na,yxa->nyx", fringes.k, field.shift + origin)))
    values = fringes.values * waves
    together = coherence(values, values.sum((1, 2)), noise * fringes.effective)
    return Straight(linear, origin, fringes, values, field, together)


def _grown(
    demodulator: Demodulator,
    found: Nodes,
    noise: NDArray[np.float64],
    middle: NDArray[np.float64],
    start: tuple[NDArray[np.float64], NDArray[np.float64]],
) -> Straight:
    """Bring the phases of a growing window in line: exact, and good at little signal."""
    linear, origin = start
    fringes = demodulator.fringes(found, linear, WIDTH)
    # grow the window: each round must only bear the phase that the last has left
    reach = float(np.linalg.norm(demodulator.flat.extent))
    radius: float | None = 25.0
    while True:
        # the strongest nodes hold nearly all that is known of the affine map
        matched = templated(fringes, origin, noise)[:_COHERENT_NODES]
        change, shift = coherent_affine(fringes, matched, middle, radius)
        linear, origin = _moved(linear, origin, change, shift, middle)
        if radius is None:
            break
        # demodulate anew: waves must not drift within the Gaussian
        fringes = demodulator.fringes(found, linear, float(np.clip(radius / 12, WIDTH, 10.0)))
        radius = radius * 1.8 if radius * 1.8 < reach else None
    return _taken_out(demodulator, found, noise, linear, origin, smooth=_SMOOTH)


def _on_its_grain(
    demodulator: Demodulator,
    found: Nodes,
    noise: NDArray[np.float64],
    middle: NDArray[np.float64],
    best: Straight,
) -> Straight:
    """Bring the phases in line anew where the lattice is seen, if it covers a part of the image only."""
    match = best.displacement.match
    weight = np.clip(match / max(float(np.percentile(match, 90)), 1e-12), 0, 1) ** 2
    if float(weight.mean()) > _COVERED or best.together < _LOOSE:
        return best
    matched = templated(best.fringes, best.origin, noise)[:_COHERENT_NODES] * weight
    change, shift = coherent_affine(best.fringes, matched, middle, None)
    linear, origin = _moved(best.linear, best.origin, change, shift, middle)
    return _taken_out(demodulator, found, noise, linear, origin, smooth=_SMOOTH)


def _followed(
    demodulator: Demodulator,
    found: Nodes,
    noise: NDArray[np.float64],
    middle: NDArray[np.float64],
    start: tuple[NDArray[np.float64], NDArray[np.float64]],
) -> Straight:
    """Follow the phases from place to place and take the affine part of the displacement into the map."""
    # a bend pulls the strain of the spectrum's peaks about; its rotation and scale are better known
    left, stretch, right = np.linalg.svd(start[0])
    linear = float(np.sqrt(stretch.prod())) * (left @ right)
    origin = linear @ np.linalg.inv(start[0]) @ (start[1] - middle) + middle
    for _ in range(_FOLLOW_ROUNDS):
        # sharp, since strain that is not yet known blurs the fringes
        straight = _taken_out(demodulator, found, noise, linear, origin, smooth=0.0)
        change, shift = field_affine(straight.fringes, straight.displacement, middle)
        linear, origin = _moved(linear, origin, change, shift, middle)
    return _taken_out(demodulator, found, noise, linear, origin, smooth=_SMOOTH)


def _moved(
    linear: NDArray[np.float64],
    origin: NDArray[np.float64],
    change: NDArray[np.float64],
    shift: NDArray[np.float64],
    centre: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Apply a small affine change about a centre."""
    stretch = np.eye(2) + change
    return stretch @ linear, stretch @ (origin - centre) + centre + shift


def _strongest(fringes: Fringes) -> NDArray[np.float64]:
    """Return the place (Å) where the lattice is strongest."""
    weight = np.abs(fringes.nodes.factor)
    energy = np.einsum("n,nyx->yx", weight, np.abs(fringes.values) ** 2)
    i, j = np.unravel_index(int(energy.argmax()), energy.shape)
    return np.asarray(fringes.places[i, j])


def rotated(
    found: Nodes, prior: StructurePrior, measured: NDArray[np.complex128], symmetry: NDArray[np.float64]
) -> NDArray[np.complex128]:
    """Amplitudes at the nodes of the prior turned by a symmetry of its lattice.

    The nodes g of the turned prior lie on the image where the nodes g @ inv(symmetry) of the first lay.
    """
    hk = np.round((found.g @ np.linalg.inv(symmetry)) @ prior.cell.T).astype(int)
    table = {tuple(i): value for i, value in zip(found.hk.tolist(), measured, strict=True)}
    result = np.zeros(len(hk), dtype=complex)
    for index, (h, k) in enumerate(hk.tolist()):
        if (h, k) in table:
            result[index] = table[(h, k)]
        elif (-h, -k) in table:
            result[index] = np.conj(table[(-h, -k)])
    return result


def _best_basis(
    found: Nodes, amplitude: NDArray[np.complex128], prior: StructurePrior, linear: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Choose the symmetry of the lattice under which the basis agrees best; return map and origin."""
    best: tuple[float, NDArray[np.float64], NDArray[np.float64]] | None = None
    for symmetry in lattice_symmetries(prior):
        fraction, value = match_origin(found, rotated(found, prior, amplitude, symmetry), prior.cell)
        inner = linear @ symmetry
        if best is None or value > best[0] * (1 + 1e-6):
            best = (value, inner, inner @ (fraction @ prior.cell))
    assert best is not None  # the identity is always a symmetry
    return best[1], best[2]
