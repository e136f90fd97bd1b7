"""Which of many priors are worth being laid on an image: those that match the lattice that it shows."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import replace

import numpy as np

from napari_stemprior.progress import Progress, told_as
from napari_stemprior.registration.fourier.features import FourierFeatures
from napari_stemprior.registration.unit_cell.finer_lattices import finer_lattices
from napari_stemprior.registration.unit_cell.mean_cell import follow_basis
from napari_stemprior.registration.unit_cell.reciprocal_basis import find_bases
from napari_stemprior.registration.unit_cell.structure_match import (
    MOST_CELLS,
    SeenAmplitudes,
    StructureMatch,
    match_structure,
)
from napari_stemprior.structure import StructurePrior

#: What the progress says.
STAGE = "comparing cells and structure factors"
#: Priors that are laid on an image at least, where so many match its cell, and the most. Each of the 65
#: crystals of the library, drawn at 3000 e/Å², is among the first three; without a pixel size, seven.
LEAST, MOST = 10, 24
#: How much less than the best one's a likeness may be beyond the first ten: such priors may be twins,
#: whatever the scale says.
_TWINS = 0.03
#: Coherence of the fringes below which a lattice is not that of the image, see `inference.image_lattice`.
_COHERENT = 0.95
#: Likeness below which no prior is that of the lattice. In the same images that of the right one is at least
#: 0.95; at 300 e/Å² it is lower.
_UNLIKE = 0.6
#: Likeness from which on a lattice is that of a prior.
_LIKE = 0.9


def seen_amplitudes(
    choices: Sequence[FourierFeatures], count: int
) -> Generator[Progress, None, tuple[int, SeenAmplitudes] | None]:
    """Find the lattice that an image shows, step by step.

    Parameters
    ----------
    choices : sequence of FourierFeatures
        Of the same image, for several pixel sizes; that one counts in which most is seen.
    count : int
        Of all steps that the progress tells of.

    Returns
    -------
    (int, SeenAmplitudes) or None
        The number of the choice, and the amplitudes; None where the image shows no lattice beyond doubt.
    """
    found = []
    for number, features in enumerate(choices):
        yield Progress(0, count, STAGE)
        bases = find_bases(features)
        if bases:
            found.append((bases[0].value * len(features.peaks.k), number, bases[0]))
    if not found:
        return None
    _, number, basis = max(found, key=lambda one: one[0])
    comparing = Progress(0, count, STAGE)
    yield comparing
    seen = yield from told_as(comparing, follow_basis(choices[number], basis))
    return (number, SeenAmplitudes(seen)) if seen.phases.coherence >= _COHERENT else None


def shortlist(
    amplitudes: SeenAmplitudes,
    priors: Sequence[StructurePrior],
    scales: tuple[float, float],
    trust: Callable[[float], float],
    most: int = MOST_CELLS,
) -> Generator[Progress, None, list[StructureMatch]]:
    """Choose the priors that match a lattice best, step by step.

    Parameters
    ----------
    amplitudes : SeenAmplitudes
    priors : sequence of StructurePrior
    scales : (float, float)
        The least and the largest scale, see `StructureMatch.scale`.
    trust : callable
        What a likeness counts at a scale, 0 to 1.
    most : int
        Times that the cell of a prior may hold the cell that was seen.

    Returns
    -------
    list of StructureMatch
        In the order of `priors`; empty where none is like the lattice.
    """
    found = []
    lattices = finer_lattices(amplitudes)
    for prior in priors:
        yield Progress(0, len(priors), STAGE)
        match = _best_match(lattices, prior, scales, most)
        if match is not None and match.likeness > _UNLIKE:
            found.append((trust(match.scale) * match.likeness, match))
    found.sort(key=lambda one: -one[0])
    enough = max((match.likeness for _, match in found), default=0.0) - _TWINS
    chosen = [match for place, (_, match) in enumerate(found) if place < LEAST or match.likeness > enough]
    order = {id(prior): place for place, prior in enumerate(priors)}
    return sorted(chosen[:MOST], key=lambda match: order[id(match.prior)])


def is_like_any(
    amplitudes: SeenAmplitudes, priors: Sequence[StructurePrior], most: int = MOST_CELLS
) -> Generator[Progress, None, bool]:
    """Tell, step by step, whether a lattice is one of the priors at whatever scale.

    If none is like it, it may be made of two: of grains with common points, or of layers.

    Parameters
    ----------
    amplitudes, priors, most
        As for `shortlist`.
    """
    lattices = finer_lattices(amplitudes)
    for prior in priors:
        yield Progress(0, len(priors), STAGE)
        match = _best_match(lattices, prior, (0.0, np.inf), most)
        if match is not None and match.likeness > _LIKE:
            return True
    return False


def _best_match(
    lattices: Sequence[tuple[SeenAmplitudes, float]],
    prior: StructurePrior,
    scales: tuple[float, float],
    most: int,
) -> StructureMatch | None:
    """Match a prior to `finer_lattices`; a likeness counts for the share that its lattice holds."""
    best: StructureMatch | None = None
    for part, share in lattices:
        match = match_structure(part, prior, *scales, most)
        if match is not None and (best is None or share * match.likeness > best.likeness):
            best = replace(match, likeness=share * match.likeness)
    return best
