"""Which crystal is it? The priors that match the lattice of the image are laid on it, and compared.

Where the image shows no lattice by itself, or one that none of them has at any scale, all are laid on it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

from napari_stemprior.errors import PixelSizeError
from napari_stemprior.progress import Progress, drain, told_as
from napari_stemprior.recording import PreparedImage
from napari_stemprior.registration.decision.fit_quality import FitQuality
from napari_stemprior.registration.decision.pose_candidate import to_pose
from napari_stemprior.registration.fit import place_lattice, register_features
from napari_stemprior.registration.fourier.features import FourierFeatures, fourier_features
from napari_stemprior.registration.fourier.normalized_image import (
    check_pixel_size,
    corner_of,
    prepared_image,
    preprocess,
)
from napari_stemprior.registration.pixel_size import (
    Scaled,
    make_bands,
    matched_candidates,
    scaled_candidates,
    searched,
)
from napari_stemprior.registration.pose import Pose
from napari_stemprior.registration.shortlist import is_like_any, seen_amplitudes, shortlist
from napari_stemprior.registration.unit_cell.structure_match import MOST_CELLS, StructureMatch
from napari_stemprior.structure import StructurePrior

#: A stated pixel size is believed where a crystal fits within this (relative).
SCALE_TRUST = 0.04
#: Where none does, it is a nominal one, as files often hold, and says nothing within this.
NOMINAL = 0.10
#: Likenesses that differ by less do not tell two crystals apart: of layers, and of thick crystals, whose
#: intensities depend on thickness and tilt, which nobody has told.
TIE_LAYERS, TIE_CRYSTALS = 0.02, 0.07
#: Where the pixel size is believed, scales that differ by less (relative) are one.
SAME_SCALE = 0.008
#: Pixel sizes that are registered in full for each prior where none is stated.
_TRIALS = 4
#: Scales that are asked of the lattice where a pixel size is stated, those of `register`, and the times that
#: the cell of a prior may hold the lattice where none is: any larger cell fits a lattice of any scale.
_STATED_SCALES, _MOST_CELLS = (0.825, 1.21), 4
#: Priors that are laid on an image first where it shows no lattice, of those that agree with it best, and the
#: merit with which the best of them is believed. Of 390 images of the library's 65 crystals, perfect and of
#: two grains at 300 to 3,000 e/Å², 384 show one of the first twenty. Where such images show no lattice, right
#: ones fit with a merit of 0.99; the best of twenty wrong ones had 0.69.
_LIKELIEST, _ENOUGH = 20, 0.9
#: Columns with less than this share of the strongest one's weight do not show.
_VISIBLE = 0.1
#: Half the side in Å of the square in which columns are compared.
_WINDOW = 15.0


#: How well each prior agrees with an image at a pixel size in Å/px, before any is laid on it; None where that
#: cannot be told.
Likeness: TypeAlias = Callable[[PreparedImage, float, Sequence[StructurePrior]], NDArray[np.float64] | None]


@dataclass(frozen=True)
class Suggestion:
    """A prior and how it lies on the image.

    Parameters
    ----------
    name : str
        Of the prior.
    pose : Pose
    pixel_size : float
        Å per pixel that the lattice of the prior says.
    score : float
        As that of `Pose`: above 0.5 the lattice fits.
    merit : float
        What the ranking goes by, from 0 to 1: how much of the image's periodic part the prior
        explains, intensities included, and how near the pixel size is to the stated one.
    tie : int
        Suggestions with the same number put columns of like brightness on the same places: the image
        alone does not tell them apart.
    """

    name: str
    pose: Pose
    pixel_size: float
    score: float
    merit: float = 0.0
    tie: int = 0

    @property
    def is_fit(self) -> bool:
        """Whether the lattice fits at all."""
        return self.pose.is_fit


def rank_priors(
    image: ArrayLike | PreparedImage,
    pixel_size: float | None,
    priors: Sequence[StructurePrior],
    likeness: Likeness | None = None,
) -> Generator[Progress, None, list[Suggestion]]:
    """Rank priors by how well they explain an image.

    With a pixel size the lattice constant takes part in the decision. Where no prior fits within 4 % of it,
    it is taken for a nominal one, which may be off by a tenth; without any, only the geometry and the
    brightness of the columns decide. Crystals that look alike share a `Suggestion.tie`; where no pixel size
    decides, they stand in the order in which they were given.

    Parameters
    ----------
    image : (H, W) array-like, or PreparedImage
        Atom columns bright. An array is prepared first, see `recording.prepare`.
    pixel_size : float or None
        Å per pixel.
    priors : sequence of StructurePrior
    likeness : callable, optional
        How well each agrees with an image (`inference.structure_likeness`); asked where the image shows no
        lattice and the pixel size is stated: the likeliest are laid on it first, and the others unless one
        of these fits well.

    Yields
    ------
    Progress
        One for each prior; closing the generator cancels.

    Returns
    -------
    list of Suggestion
        Best first. A prior of which too few cells would be in view is left out, and where the image shows a
        lattice, those whose cells are not like it: then the list may be empty.

    Raises
    ------
    MicrographError
        If the image is not 2-D, not of real numbers, or constant.
    RegistrationError
        If it is too small.
    PixelSizeError
        If the pixel size is not positive.
    """
    array = prepared_image(image)
    low, high = searched(pixel_size)
    ranked: list[Suggestion] = []
    if pixel_size is not None:
        ranked = yield from _ranked_at_stated_size(array, pixel_size, priors, likeness)
    if not ranked:
        ranked = yield from _ranked_at_any_size(array, pixel_size, priors, low, high)
    return [replace(one, pose=one.pose.moved(corner_of(image))) for one in ranked]


def _ranked_at_stated_size(
    array: PreparedImage,
    pixel_size: float,
    priors: Sequence[StructurePrior],
    likeness: Likeness | None,
) -> Generator[Progress, None, list[Suggestion]]:
    """Rank by a pixel size that a crystal confirms; empty where none does."""
    transforming = Progress(0, len(priors), "transforming the image")
    yield transforming
    features = yield from told_as(transforming, fourier_features(preprocess(array, pixel_size)))
    seen = yield from seen_amplitudes([features], len(priors))
    matches: list[StructureMatch] = []
    if seen is not None:
        matches = yield from shortlist(seen[1], priors, _STATED_SCALES, _trust_in_stated)
    found: list[_Found] = []
    for chosen, enough in _in_turn(array, pixel_size, priors, matches, likeness):
        for number, (prior, linear) in enumerate(chosen):
            yield Progress(number * len(priors) // len(chosen), len(priors), prior.name)
            found += _at_stated_size(features, array.shape, pixel_size, prior, linear)
        if any(f.pose.is_clean and abs(f.off) <= SCALE_TRUST for f in found):
            ranked = _ranked(found, array.shape, believed=True)
            if ranked[0].merit >= enough:
                return ranked
        if enough:
            continue
        if any(f.pose.is_fit for f in found):  # at another pixel size
            break
        if seen is not None and (yield from is_like_any(seen[1], priors, _MOST_CELLS)):
            break
        found = []
    return []


#: Priors to be laid on an image, each along a lattice where one is known.
_Chosen: TypeAlias = list[tuple[StructurePrior, NDArray[np.float64] | None]]


def _in_turn(
    array: PreparedImage,
    pixel_size: float,
    priors: Sequence[StructurePrior],
    matches: Sequence[StructureMatch],
    likeness: Likeness | None,
) -> Iterator[tuple[_Chosen, float]]:
    """Yield the priors that are laid on an image one after the other, until some fit.

    Those that match its lattice, then those that it is most like, then all others; with the merit that the
    best one must have to be believed before the others are tried.
    """
    if matches:
        yield [(match.prior, match.linear) for match in matches], 0.0
    order = list(range(len(priors)))
    agreement = None
    if likeness is not None and len(priors) > _LIKELIEST:
        agreement = likeness(array, pixel_size, priors)
    if agreement is not None:
        order = np.argsort(-agreement, kind="stable").tolist()
        yield [(priors[one], None) for one in sorted(order[:_LIKELIEST])], _ENOUGH
        order = sorted(order[_LIKELIEST:])
    yield [(priors[one], None) for one in order], 0.0


def _ranked_at_any_size(
    array: PreparedImage, pixel_size: float | None, priors: Sequence[StructurePrior], low: float, high: float
) -> Generator[Progress, None, list[Suggestion]]:
    """Rank without a pixel size, or with one that is nominal."""
    yield Progress(0, len(priors), "transforming the image for several pixel sizes")
    bands = make_bands(array, low, high)
    seen = yield from seen_amplitudes([band.features for band in bands], len(priors))
    found: list[_Found] = []
    if seen is not None:
        number, amplitudes = seen
        middle = bands[number].middle
        trust = partial(_trust_in_nominal, pixel_size, middle)
        most = _MOST_CELLS if pixel_size is None else MOST_CELLS
        matches = yield from shortlist(amplitudes, priors, (middle / high, middle / low), trust, most)
        for number, match in enumerate(matches):
            yield Progress(number * len(priors) // len(matches), len(priors), match.prior.name)
            placed = matched_candidates(bands, array.shape, match.prior, match.linear, middle)
            found += _best(placed, pixel_size, match.prior)
        known = any(f.pose.is_fit for f in found)
        if known or (yield from is_like_any(amplitudes, priors, _MOST_CELLS)):
            return _ranked(found, array.shape, believed=False)
        found = []
    for number, prior in enumerate(priors):
        yield Progress(number, len(priors), prior.name)
        found += _best(scaled_candidates(bands, array.shape, prior, trials=_TRIALS), pixel_size, prior)
    return _ranked(found, array.shape, believed=False)


def _trust_in_stated(scale: float) -> float:
    """Return what a lattice counts that looks larger than the prior by a factor."""
    # heavy tails: a magnification may be off by a tenth, and then says little
    return 0.4 + 0.6 / (1 + (float(np.log(scale)) / SCALE_TRUST) ** 2)


def _trust_in_nominal(stated: float | None, middle: float, scale: float) -> float:
    """Return the same at pixels of `middle` Å where the stated ones are nominal, or none are."""
    if stated is None:
        return 1.0
    beyond = max(0.0, abs(float(np.log(middle / scale / stated))) - NOMINAL)
    return 0.4 + 0.6 / (1 + (beyond / SCALE_TRUST) ** 2)


@dataclass(frozen=True)
class _Found:
    """A prior as it lies on the image; `off` is the logarithm of its pixel size over the stated one."""

    prior: StructurePrior
    pose: Pose
    quality: FitQuality
    off: float
    merit: float

    @property
    def level(self) -> int:
        """2 for a clean fit, 1 for one with a reservation, 0 for none."""
        return int(self.pose.is_fit) + int(self.pose.is_clean)


def _at_stated_size(
    features: FourierFeatures,
    shape: tuple[int, ...],
    pixel_size: float,
    prior: StructurePrior,
    linear: NDArray[np.float64] | None = None,
) -> list[_Found]:
    """Lay a prior on the image, along a lattice where one is known; empty where the image is too small."""
    try:
        check_pixel_size(shape, pixel_size, prior)
    except PixelSizeError:
        return []
    steps = register_features(features, prior) if linear is None else place_lattice(features, prior, linear)
    placed = []
    for candidate in drain(steps):
        pose = to_pose(candidate, features.normalized, prior)
        off = float(np.log(pose.pixel_size / pixel_size))
        trust = _trust_in_stated(pose.pixel_size / pixel_size)
        placed.append(_Found(prior, pose, candidate.quality, off, trust * _shape_merit(candidate.quality)))
    return [max(placed, key=lambda f: (f.level, f.merit))]


def _best(candidates: Sequence[Scaled], pixel_size: float | None, prior: StructurePrior) -> list[_Found]:
    """Return the best of some candidates at other pixel sizes; empty for none."""
    placed = []
    for scaled in candidates:
        quality = scaled.candidate.quality
        off = 0.0 if pixel_size is None else float(np.log(scaled.pixel_size / pixel_size))
        trust = _trust_in_nominal(pixel_size, scaled.pixel_size, 1.0)
        placed.append(_Found(prior, scaled.pose, quality, off, trust * _shape_merit(quality)))
    return [max(placed, key=lambda f: (f.level, f.merit))] if placed else []


def _shape_merit(quality: FitQuality) -> float:
    """Return the share of the periodic part of the image that a candidate explains, 0 to 1."""
    explained = 1.0 if np.isnan(quality.explained_power) else quality.explained_power
    return _likeness(quality) * (0.5 + 0.5 * explained)


def _likeness(quality: FitQuality) -> float:
    """Return how alike image and lattice are where the lattice is, intensities included, 0 to 1."""
    return max(0.0, quality.likeness) * (1 - quality.superlattice) ** 2


def _ranked(found: list[_Found], shape: tuple[int, ...], *, believed: bool) -> list[Suggestion]:
    """Sort by merit, fits first, and number what cannot be told apart.

    Where the pixel size is not believed, those in a tie keep the order in which they were given.
    """
    rest = sorted(found, key=lambda f: (-f.level, -f.merit))
    given = {id(f): place for place, f in enumerate(found)}
    ranked: list[Suggestion] = []
    tie = 0
    while rest:
        leader = rest[0]
        group = [f for f in rest if f is leader or _tied(leader, f, shape, believed=believed)]
        if not believed:
            group.sort(key=lambda f: given[id(f)])
        ranked += [
            Suggestion(f.prior.name, f.pose, f.pose.pixel_size, f.pose.score, f.merit, tie) for f in group
        ]
        rest = [f for f in rest if not any(f is other for other in group)]
        tie += 1
    return ranked


def _tied(leader: _Found, other: _Found, shape: tuple[int, ...], *, believed: bool) -> bool:
    """Tell whether the image cannot decide between two fits."""
    if not (leader.pose.is_fit and leader.level == other.level):
        return False
    if believed and abs(leader.off - other.off) > SAME_SCALE:
        return False
    if not believed and abs(other.off) > NOMINAL:
        return False
    thick = bool(leader.prior.period and other.prior.period)
    gap = abs(_likeness(leader.quality) - _likeness(other.quality))
    return gap <= (TIE_CRYSTALS if thick else TIE_LAYERS) and _coincide(leader, other, shape)


def _coincide(first: _Found, second: _Found, shape: tuple[int, ...]) -> bool:
    """Tell whether two lattices put their visible columns on the same places of the image."""
    gate = 0.3 * min(f.prior.neighbour_distance / f.pose.pixel_size for f in (first, second))
    half = min(_WINDOW / first.pose.pixel_size, min(shape) / 2)
    middle = np.array(shape[:2]) / 2
    for own, other in ((first, second), (second, first)):
        shown, _ = _columns(own, shape)
        _, all_of_other = _columns(other, shape)
        near = shown[(np.abs(shown - middle) < half).all(axis=1)]
        if not len(near) or not len(all_of_other):
            return False
        if float(np.mean(cKDTree(all_of_other).query(near)[0] < gate)) < 0.95:
            return False
    return True


def _columns(found: _Found, shape: tuple[int, ...]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the pixels of the columns that show and of all, on the image and somewhat around it."""
    weights = found.prior.z_weights
    places, index = found.pose.columns(found.prior, (shape[0], shape[1]), 5.0 / found.pose.pixel_size)
    return places[(weights >= _VISIBLE * weights.max())[index]], places
