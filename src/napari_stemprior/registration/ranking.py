"""Which crystal is it? Every prior is placed on the image, and the candidates are compared."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

from napari_stemprior.errors import PixelSizeError
from napari_stemprior.progress import Progress, drain, told_as
from napari_stemprior.recording import PreparedImage
from napari_stemprior.registration.decision.fit_quality import FitQuality
from napari_stemprior.registration.decision.pose_candidate import to_pose
from napari_stemprior.registration.fit import register_features
from napari_stemprior.registration.fourier.features import FourierFeatures, fourier_features
from napari_stemprior.registration.fourier.normalized_image import (
    check_pixel_size,
    corner_of,
    prepared_image,
    preprocess,
)
from napari_stemprior.registration.pixel_size import Band, make_bands, scaled_candidates, searched
from napari_stemprior.registration.pose import Pose
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
#: Columns with less than this share of the strongest one's weight do not show.
_VISIBLE = 0.1
#: Half the side in Å of the square in which columns are compared.
_WINDOW = 15.0


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
    image: ArrayLike | PreparedImage, pixel_size: float | None, priors: Sequence[StructurePrior]
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

    Yields
    ------
    Progress
        One for each prior; closing the generator cancels.

    Returns
    -------
    list of Suggestion
        Best first; a prior of which too few cells would be in view is left out.

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
    found: list[_Found] = []
    if pixel_size is not None:
        transforming = Progress(0, len(priors), "transforming the image")
        yield transforming
        features = yield from told_as(transforming, fourier_features(preprocess(array, pixel_size)))
        for number, prior in enumerate(priors):
            yield Progress(number, len(priors), prior.name)
            found += _at_stated_size(features, array.shape, pixel_size, prior)
        if any(f.pose.is_clean and abs(f.off) <= SCALE_TRUST for f in found):
            return _moved(_ranked(found, array.shape, believed=True), corner_of(image))
    yield Progress(0, len(priors), "transforming the image for several pixel sizes")
    bands = make_bands(array, low, high)
    found = []
    for number, prior in enumerate(priors):
        yield Progress(number, len(priors), prior.name)
        found += _at_any_size(bands, array.shape, pixel_size, prior)
    return _moved(_ranked(found, array.shape, believed=False), corner_of(image))


def _moved(found: list[Suggestion], corner: NDArray[np.float64]) -> list[Suggestion]:
    return [replace(one, pose=one.pose.moved(corner)) for one in found]


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
    features: FourierFeatures, shape: tuple[int, ...], pixel_size: float, prior: StructurePrior
) -> list[_Found]:
    try:
        check_pixel_size(shape, pixel_size, prior)
    except PixelSizeError:
        return []
    placed = []
    for candidate in drain(register_features(features, prior)):
        pose = to_pose(candidate, features.normalized, prior)
        off = float(np.log(pose.pixel_size / pixel_size))
        # heavy tails: a magnification may be off by a tenth, and then says little
        trust = 0.4 + 0.6 / (1 + (off / SCALE_TRUST) ** 2)
        placed.append(_Found(prior, pose, candidate.quality, off, trust * _shape_merit(candidate.quality)))
    return [max(placed, key=lambda f: (f.level, f.merit))]


def _at_any_size(
    bands: list[Band], shape: tuple[int, ...], pixel_size: float | None, prior: StructurePrior
) -> list[_Found]:
    placed = []
    for scaled in scaled_candidates(bands, shape, prior, trials=_TRIALS):
        quality = scaled.candidate.quality
        off = 0.0 if pixel_size is None else float(np.log(scaled.pixel_size / pixel_size))
        beyond = max(0.0, abs(off) - NOMINAL)
        trust = 0.4 + 0.6 / (1 + (beyond / SCALE_TRUST) ** 2)
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
