"""Geometric phase analysis of a lattice: its fringes brought in phase, through strain and over a grain."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_stemprior.progress import Progress
from napari_stemprior.registration.fourier.lattice_symmetries import lattice_symmetries
from napari_stemprior.registration.fourier.padded_transform import PaddedTransform
from napari_stemprior.registration.fourier.reflections import Reflections
from napari_stemprior.registration.gpa.coherence import coherence
from napari_stemprior.registration.gpa.demodulation import Fringes, demodulate
from napari_stemprior.registration.gpa.displacement_field import (
    DisplacementField,
    coherent_affine,
    field_affine,
    templated,
    track,
)
from napari_stemprior.registration.gpa.origin import match_origin, rotated
from napari_stemprior.registration.stage import FITTING
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
#: Å: standard deviation of the window in which the phases are first brought in line.
_WINDOW = 25.0
#: Reflections that take part in locking the phases.
_COHERENT_REFLECTIONS = 16


@dataclass(frozen=True, eq=False)
class RefinedPhases:
    """Fringes on an affine map, with the displacement from it taken out.

    Parameters
    ----------
    linear, origin : (2, 2), (2,) array
        Å (y, x) on the image.
    fringes : Fringes
        As measured.
    values : (n, gy, gx) complex array
        With the displacement taken out.
    displacement : DisplacementField
    coherence : float
        Whether the fringes are strong in the same places, 0 to 1; see `coherence.coherence`.
    """

    linear: NDArray[np.float64]
    origin: NDArray[np.float64]
    fringes: Fringes
    values: NDArray[np.complex128]
    displacement: DisplacementField
    coherence: float

    def strength(self, noise: NDArray[np.float64]) -> float:
        """Power of all fringes summed in phase, over the noise."""
        return float((np.abs(self.values.sum((1, 2))) ** 2 / noise).sum())


def refine_phases(
    transform: PaddedTransform,
    reflections: Reflections,
    noise: NDArray[np.float64],
    prior: StructurePrior,
    linear: NDArray[np.float64],
) -> Generator[Progress, None, RefinedPhases]:
    """Refine a lattice from the power by the phases and take its displacement out, step by step.

    Parameters
    ----------
    transform : PaddedTransform
    reflections : Reflections
    noise : (n,) array
        Background power of each reflection.
    prior : StructurePrior
    linear : (2, 2) array
        From (x, y) in Å of the prior to (y, x) in Å of the image, good to a percent or so.
    """
    fringes = demodulate(transform, reflections, linear, WIDTH)
    middle = strongest_place(fringes)
    start = _best_basis(reflections, local_amplitudes(fringes, middle) / noise, prior, linear)
    yield FITTING
    return (yield from refine_phases_from(transform, reflections, noise, middle, start))


def local_amplitudes(fringes: Fringes, middle: NDArray[np.float64]) -> NDArray[np.complex128]:
    """Sum each of the n fringes in a window of some 25 Å around a place (y, x) in Å; (n,) complex."""
    window = np.exp(-((fringes.places - middle) ** 2).sum(-1) / (2 * _WINDOW**2))
    summed: NDArray[np.complex128] = (fringes.values * window).sum((1, 2))
    return summed


def refine_phases_from(
    transform: PaddedTransform,
    reflections: Reflections,
    noise: NDArray[np.float64],
    middle: NDArray[np.float64],
    start: tuple[NDArray[np.float64], NDArray[np.float64]],
) -> Generator[Progress, None, RefinedPhases]:
    """Refine a lattice whose place is known in one window, step by step; see `refine_phases`.

    Parameters
    ----------
    transform : PaddedTransform
    reflections : Reflections
        Their factors are the template.
    noise : (n,) array
    middle : (2,) array
        Å (y, x) of the window.
    start : (2, 2) and (2,) array
        The linear map and the origin there, Å.
    """
    best = yield from _grown(transform, reflections, noise, middle, start)
    if best.coherence < _LOOSE:
        # a bend as long as the window looks like strain to it; following the phases tells the two apart
        followed = yield from _followed(transform, reflections, noise, middle, start)
        best = max(best, followed, key=lambda s: s.strength(noise))
    return (yield from _on_its_grain(transform, reflections, noise, middle, best))


def _taken_out(
    transform: PaddedTransform,
    reflections: Reflections,
    noise: NDArray[np.float64],
    linear: NDArray[np.float64],
    origin: NDArray[np.float64],
    smooth: float,
) -> Generator[Progress, None, RefinedPhases]:
    """Follow the displacement from an affine map and take it out."""
    yield FITTING
    fringes = demodulate(transform, reflections, linear, WIDTH)
    yield FITTING
    field = track(fringes, templated(fringes, origin, noise), noise, smooth=smooth)
    yield FITTING
    waves = np.exp(2j * np.pi * (np.einsum("na,yxa->nyx", fringes.k, field.shift + origin)))
    values = fringes.values * waves
    common = coherence(values, values.sum((1, 2)), noise * fringes.effective)
    return RefinedPhases(linear, origin, fringes, values, field, common)


def _grown(
    transform: PaddedTransform,
    reflections: Reflections,
    noise: NDArray[np.float64],
    middle: NDArray[np.float64],
    start: tuple[NDArray[np.float64], NDArray[np.float64]],
) -> Generator[Progress, None, RefinedPhases]:
    """Bring the phases of a growing window in line: exact, and good at little signal."""
    linear, origin = start
    fringes = demodulate(transform, reflections, linear, WIDTH)
    # grow the window: each round must only bear the phase that the last has left
    reach = float(np.linalg.norm(transform.normalized.extent))
    radius: float | None = _WINDOW
    while True:
        yield FITTING
        # the strongest reflections hold nearly all that is known of the affine map
        matched = templated(fringes, origin, noise)[:_COHERENT_REFLECTIONS]
        change, shift = coherent_affine(fringes, matched, middle, radius)
        linear, origin = _moved(linear, origin, change, shift, middle)
        if radius is None:
            break
        yield FITTING
        # demodulate anew: waves must not drift within the Gaussian
        fringes = demodulate(transform, reflections, linear, float(np.clip(radius / 12, WIDTH, 10.0)))
        radius = radius * 1.8 if radius * 1.8 < reach else None
    return (yield from _taken_out(transform, reflections, noise, linear, origin, smooth=_SMOOTH))


def _on_its_grain(
    transform: PaddedTransform,
    reflections: Reflections,
    noise: NDArray[np.float64],
    middle: NDArray[np.float64],
    best: RefinedPhases,
) -> Generator[Progress, None, RefinedPhases]:
    """Bring the phases in line anew where the lattice is seen, if it covers a part of the image only."""
    match = best.displacement.match
    weight = np.clip(match / max(float(np.percentile(match, 90)), 1e-12), 0, 1) ** 2
    if float(weight.mean()) > _COVERED or best.coherence < _LOOSE:
        return best
    matched = templated(best.fringes, best.origin, noise)[:_COHERENT_REFLECTIONS] * weight
    change, shift = coherent_affine(best.fringes, matched, middle, None)
    linear, origin = _moved(best.linear, best.origin, change, shift, middle)
    return (yield from _taken_out(transform, reflections, noise, linear, origin, smooth=_SMOOTH))


def _followed(
    transform: PaddedTransform,
    reflections: Reflections,
    noise: NDArray[np.float64],
    middle: NDArray[np.float64],
    start: tuple[NDArray[np.float64], NDArray[np.float64]],
) -> Generator[Progress, None, RefinedPhases]:
    """Follow the phases from place to place and take the affine part of the displacement into the map."""
    # a bend pulls the strain of the spectrum's peaks about; its rotation and scale are better known
    left, stretch, right = np.linalg.svd(start[0])
    linear = float(np.sqrt(stretch.prod())) * (left @ right)
    origin = linear @ np.linalg.inv(start[0]) @ (start[1] - middle) + middle
    for _ in range(_FOLLOW_ROUNDS):
        # sharp, since strain that is not yet known blurs the fringes
        sharp = yield from _taken_out(transform, reflections, noise, linear, origin, smooth=0.0)
        change, shift = field_affine(sharp.fringes, sharp.displacement, middle)
        linear, origin = _moved(linear, origin, change, shift, middle)
    return (yield from _taken_out(transform, reflections, noise, linear, origin, smooth=_SMOOTH))


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


def strongest_place(fringes: Fringes) -> NDArray[np.float64]:
    """Return the place (Å) where the lattice is strongest."""
    weight = np.abs(fringes.reflections.factor)
    energy = np.einsum("n,nyx->yx", weight, np.abs(fringes.values) ** 2)
    i, j = np.unravel_index(int(energy.argmax()), energy.shape)
    return np.asarray(fringes.places[i, j])


def _best_basis(
    reflections: Reflections,
    amplitude: NDArray[np.complex128],
    prior: StructurePrior,
    linear: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Choose the symmetry of the lattice under which the basis agrees best; return map and origin."""
    best: tuple[float, NDArray[np.float64], NDArray[np.float64]] | None = None
    for symmetry in lattice_symmetries(prior):
        fraction, value = match_origin(
            reflections, rotated(reflections, prior, amplitude, symmetry), prior.cell
        )
        inner = linear @ symmetry
        if best is None or value > best[0] * (1 + 1e-6):
            best = (value, inner, inner @ (fraction @ prior.cell))
    assert best is not None  # the identity is always a symmetry
    return best[1], best[2]
