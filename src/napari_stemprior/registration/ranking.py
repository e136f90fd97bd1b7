"""Which crystal is it? Every prior is placed on the image, and the placements are compared."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

from napari_stemprior.errors import PixelSizeError
from napari_stemprior.progress import Progress
from napari_stemprior.registration.pixel_size import Band, make_bands, scaled_placements, searched
from napari_stemprior.registration.placement import register_view, to_pose
from napari_stemprior.registration.pose import Pose
from napari_stemprior.registration.score import Evidence
from napari_stemprior.registration.spectrum import check_pixel_size, checked_image, flatten
from napari_stemprior.registration.view import View, view
from napari_stemprior.structure import StructurePrior

#: A stated pixel size is usually right within this (relative), and sometimes wrong by much more.
SCALE_TRUST = 0.04
#: Merits (relative) that differ by less do not tell two crystals apart: intensities depend on thickness,
#: tilt and detector, which nobody has told.
TIE = 0.02
#: Pixel sizes that are registered in full for each prior where none is stated.
_TRIALS = 4
#: Columns with less than this share of the strongest one's weight do not show.
_VISIBLE = 0.15
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
    image: ArrayLike, pixel_size: float | None, priors: Sequence[StructurePrior]
) -> Generator[Progress, None, list[Suggestion]]:
    """Rank priors by how well they explain an image.

    With a pixel size the lattice constant takes part in the decision. Without one, or where no prior fits
    at the stated one, only the geometry and the brightness of the columns do; crystals that look alike
    then share a `Suggestion.tie`, in the order in which they were given.

    Parameters
    ----------
    image : (H, W) array-like
        Atom columns bright.
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
    RegistrationError
        If the image is not 2-D, too small, constant, or holds NaN.
    PixelSizeError
        If the pixel size is not positive.
    """
    array = checked_image(image)
    low, high = searched(pixel_size)
    found: list[tuple[Suggestion, StructurePrior]] = []
    if pixel_size is not None:
        yield Progress(0, len(priors), "transforming the image")
        seen = view(flatten(array, pixel_size))
        for number, prior in enumerate(priors):
            yield Progress(number, len(priors), prior.name)
            suggestion = _at_stated_size(seen, array.shape, pixel_size, prior)
            if suggestion is not None:
                found.append((suggestion, prior))
        if any(suggestion.is_fit for suggestion, _ in found):
            return _ranked(found, array.shape, by_order=False)
        found = []
    yield Progress(0, len(priors), "transforming the image for several pixel sizes")
    bands = make_bands(array, low, high)
    for number, prior in enumerate(priors):
        yield Progress(number, len(priors), prior.name)
        suggestion = _at_any_size(bands, array.shape, prior)
        if suggestion is not None:
            found.append((suggestion, prior))
    return _ranked(found, array.shape, by_order=True)


def _at_stated_size(
    seen: View, shape: tuple[int, ...], pixel_size: float, prior: StructurePrior
) -> Suggestion | None:
    try:
        check_pixel_size(shape, pixel_size, prior)
    except PixelSizeError:
        return None
    best = max(register_view(seen, prior), key=lambda p: (p.evidence.score > 0.5, _merit(p.evidence)))
    pose = to_pose(best, seen.flat)
    return Suggestion(prior.name, pose, pose.pixel_size, pose.score, _merit(best.evidence))


def _at_any_size(bands: list[Band], shape: tuple[int, ...], prior: StructurePrior) -> Suggestion | None:
    placed = scaled_placements(bands, shape, prior, trials=_TRIALS)
    if not placed:
        return None
    best = max(placed, key=lambda s: (s.pose.is_fit, _merit(s.placement.evidence)))
    return Suggestion(
        prior.name, best.pose, best.pixel_size, best.pose.score, _merit(best.placement.evidence)
    )


def _merit(proof: Evidence) -> float:
    """Return the share of the periodic part of the image that a placement explains, 0 to 1."""
    explained = 1.0 if np.isnan(proof.explained) else proof.explained
    shape = float(np.clip(proof.agreement, 0, 1)) ** 2 * (1 - proof.beyond) ** 2
    # heavy tails: a magnification may be off by a tenth, and then says little
    scale = 1 / (1 + (proof.scale / SCALE_TRUST) ** 2)
    return shape * (0.5 + 0.5 * explained) * (0.4 + 0.6 * scale)


def _ranked(
    found: list[tuple[Suggestion, StructurePrior]], shape: tuple[int, ...], *, by_order: bool
) -> list[Suggestion]:
    """Sort by merit, fits first, and number what cannot be told apart."""
    rest = sorted(found, key=lambda item: (not item[0].is_fit, -item[0].merit))
    given = {id(prior): place for place, (_, prior) in enumerate(found)}
    ranked: list[Suggestion] = []
    tie = 0
    while rest:
        leader = rest[0]
        group = [leader]
        if leader[0].is_fit:
            group += [
                other
                for other in rest[1:]
                if other[0].is_fit
                and other[0].merit >= leader[0].merit * (1 - TIE)
                and _coincide(leader, other, shape)
            ]
        if by_order:
            group.sort(key=lambda item: given[id(item[1])])
        ranked += [replace(suggestion, tie=tie) for suggestion, _ in group]
        taken = {id(prior) for _, prior in group}
        rest = [item for item in rest if id(item[1]) not in taken]
        tie += 1
    return ranked


def _coincide(
    first: tuple[Suggestion, StructurePrior],
    second: tuple[Suggestion, StructurePrior],
    shape: tuple[int, ...],
) -> bool:
    """Tell whether two suggestions put their visible columns on the same places of the image."""
    gate = 0.3 * min(p.neighbour_distance / s.pixel_size for s, p in (first, second))
    half = min(_WINDOW / first[0].pixel_size, min(shape) / 2)
    middle = np.array(shape[:2]) / 2
    places = [_visible(suggestion.pose, prior, shape) for suggestion, prior in (first, second)]
    for own, other in (places, places[::-1]):
        near = own[(np.abs(own - middle) < half).all(axis=1)]
        if not len(near) or not len(other):
            return False
        if float(np.mean(cKDTree(other).query(near)[0] < gate)) < 0.95:
            return False
    return True


def _visible(pose: Pose, prior: StructurePrior, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return the pixels of the columns that show, on the image and somewhat around it."""
    places, index = pose.columns(prior, (shape[0], shape[1]), 5.0 / pose.pixel_size)
    shows = prior.z_weights >= _VISIBLE * prior.z_weights.max()
    return np.asarray(places[shows[index]], dtype=float)
