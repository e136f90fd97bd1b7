"""Find the pixel size of an image from the lattice that it should show."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_stemprior.errors import PixelSizeError, RegistrationError
from napari_stemprior.progress import drain
from napari_stemprior.recording import PreparedImage
from napari_stemprior.registration.decision.pose_candidate import PoseCandidate, to_pose
from napari_stemprior.registration.fit import pose_candidates, refined_lattice, register
from napari_stemprior.registration.fourier.features import FourierFeatures, fourier_features
from napari_stemprior.registration.fourier.lattice_search import LatticeCandidate, sweep
from napari_stemprior.registration.fourier.lattice_symmetries import has_mirror
from napari_stemprior.registration.fourier.normalized_image import (
    check_pixel_size,
    corner_of,
    prepared_image,
    preprocess,
)
from napari_stemprior.registration.fourier.peak_search import explained_power
from napari_stemprior.registration.fourier.reflections import list_reflections
from napari_stemprior.registration.pose import Pose
from napari_stemprior.structure import StructurePrior

#: Pixel sizes in Å that are tried where there is no guess.
RANGE = (0.03, 0.5)
#: How far from a guess pixel sizes are tried, as a factor.
GUESS = 1.3
#: Relative step between pixel sizes: less than the scale that registration bears.
_STEP = 0.012
#: Pixel sizes that share one normalised image and spectrum lie within this factor of its own.
_BAND = 1.3
#: How many pixel sizes are registered in full, and from how many lattices.
_TRIALS = 6
#: A lattice that holds less than this share of the fringes is not worth to be placed.
_FEW_FRINGES = 0.2
#: Side in Å of the middle of an image that suffices for the search of the pixel size, and in pixels.
_SIDE = 130.0
_FEWEST = 512


@dataclass(frozen=True, eq=False)
class Band:
    """A range of pixel sizes (Å) and the image, or the middle of it, made ready for one of them.

    Parameters
    ----------
    low, high, middle : float
        Å per pixel.
    corner : (2,) array
        Pixel (y, x) of the image that the features begin at.
    features : FourierFeatures
    """

    low: float
    high: float
    middle: float
    corner: NDArray[np.int64]
    features: FourierFeatures


@dataclass(frozen=True)
class Scaled:
    """A pose whose pixel size came from the lattice."""

    pixel_size: float
    pose: Pose
    candidate: PoseCandidate


def make_bands(image: PreparedImage, low: float, high: float) -> list[Band]:
    """Make an image ready for a range of pixel sizes, once for all priors."""
    count = max(1, int(np.ceil(np.log(high / low) / (2 * np.log(_BAND)))))
    bands = []
    for first, last in pairwise(np.geomspace(low, high, count + 1).tolist()):
        middle = float(np.sqrt(first * last))
        side = np.minimum(image.shape, max(_FEWEST, int(np.ceil(_SIDE / first))))
        corner = (np.array(image.shape) - side) // 2
        part = image.cropped(*(slice(c, c + s) for c, s in zip(corner.tolist(), side.tolist(), strict=True)))
        if not part.valid.any() or np.ptp(part.image[part.valid]) == 0:
            part, corner = image, np.zeros(2, dtype=int)
        features = drain(fourier_features(preprocess(part, middle)))
        bands.append(Band(first, last, middle, corner, features))
    return bands


def scaled_candidates(
    bands: list[Band], shape: tuple[int, ...], prior: StructurePrior, trials: int = _TRIALS
) -> list[Scaled]:
    """Place a prior at whatever pixel size suits it; best first, empty where no size suits at all.

    Parameters
    ----------
    bands : list of Band
    shape : (int, int)
        Of the image.
    prior : StructurePrior
    trials : int
        How many pixel sizes are registered in full.
    """
    mirrors = (False,) if has_mirror(prior) else (False, True)
    starts: list[tuple[LatticeCandidate, Band]] = []
    for band in bands:
        if not _shows(shape, band.middle, prior):
            continue
        reflections = list_reflections(prior, band.features.resolution)
        count = int(np.ceil(np.log(band.high / band.low) / _STEP)) + 1
        # a lattice that looks larger than the prior by s means pixels smaller by s
        scales = band.middle / np.geomspace(band.low, band.high, count)
        lattices = sweep(band.features.blurred, reflections, scales, mirrors=mirrors, keep=8)
        starts += [(lattice, band) for lattice in lattices]
    starts.sort(key=lambda start: -start[0].significance)
    results: list[Scaled] = []
    tried: list[float] = []
    for lattice, band in starts:
        size = _size(lattice.linear, band)
        if len(tried) == trials:
            break
        if any(abs(size / other - 1) < 0.025 for other in tried) or not _shows(shape, size, prior):
            continue
        tried.append(size)
        results += _placed(lattice, band, prior, hopeful=not results)
    return sorted(results, key=lambda s: -merit(s.candidate))


def matched_candidates(
    bands: list[Band],
    shape: tuple[int, ...],
    prior: StructurePrior,
    linear: NDArray[np.float64],
    middle: float,
) -> list[Scaled]:
    """Place a prior where its lattice is known already; best first, empty where the size does not suit it.

    Parameters
    ----------
    bands : list of Band
    shape : (int, int)
        Of the image.
    prior : StructurePrior
    linear : (2, 2) array
        From (x, y) in Å of the prior to (y, x) in Å of the image, with pixels of `middle` Å.
    middle : float
        Å per pixel.
    """
    size = middle / float(np.sqrt(abs(np.linalg.det(linear))))
    if not _shows(shape, size, prior):
        return []
    band = min(bands, key=lambda one: abs(np.log(one.middle / size)))
    start = LatticeCandidate(linear * band.middle / middle, 1.0, 1.0)
    return sorted(_placed(start, band, prior, hopeful=True), key=lambda s: -merit(s.candidate))


def merit(candidate: PoseCandidate) -> float:
    """Rank candidates of unknown scale: one that explains more of the fringes wins over one of a part."""
    explained = candidate.quality.explained_power
    return candidate.quality.score * (0.3 + (1.0 if np.isnan(explained) else explained))


def _placed(start: LatticeCandidate, band: Band, prior: StructurePrior, *, hopeful: bool) -> list[Scaled]:
    """Refine and place a lattice; none if few fringes lie on it, unless it is the `hopeful` first."""
    reflections = list_reflections(prior, band.features.resolution)
    lattice = refined_lattice(band.features, reflections, start)
    if not hopeful and explained_power(band.features.peaks, lattice.linear, prior) < _FEW_FRINGES:
        return []
    results = []
    for candidate in drain(pose_candidates(band.features, reflections, prior, lattice.linear)):
        # no scale speaks against a lattice that is to tell the scale
        free = replace(candidate, quality=replace(candidate.quality, scale=0.0))
        inner = to_pose(free, band.features.normalized, prior)
        pose = replace(inner, origin=inner.origin + band.corner)
        results.append(Scaled(pose.pixel_size, pose, free))
    return results


def _size(linear: NDArray[np.float64], band: Band) -> float:
    return band.middle / float(np.sqrt(abs(np.linalg.det(linear))))


def _shows(shape: tuple[int, ...], size: float, prior: StructurePrior) -> bool:
    try:
        check_pixel_size(shape, size, prior)
    except PixelSizeError:
        return False
    return True


def fit_pixel_size(
    image: ArrayLike | PreparedImage, prior: StructurePrior, *, guess: float | None = None
) -> tuple[float, Pose]:
    """Fit the pixel size so that the lattice of a prior lies on an image.

    Parameters
    ----------
    image : (H, W) array-like, or PreparedImage
        Atom columns bright. An array is prepared first, see `recording.prepare`.
    prior : StructurePrior
    guess : float or None
        Å per pixel; within 30 % of it is searched. None searches from 0.03 to 0.5 Å/px.

    Returns
    -------
    pixel_size : float
        Å per pixel.
    pose : Pose
        Where the lattice lies at that pixel size. Ask `Pose.is_fit` before trusting either.

    Raises
    ------
    MicrographError
        If the image is not 2-D, not of real numbers, or constant.
    RegistrationError
        If it is too small for a lattice, or none is found at any pixel size.
    PixelSizeError
        If the guess is not a positive number.
    """
    array = prepared_image(image)
    low, high = searched(guess)
    bands = make_bands(array, low, high)
    found = scaled_candidates(bands, array.shape, prior)
    if not found:
        raise RegistrationError(
            f"No pixel size between {low:.3g} and {high:.3g} Å/px puts three unit cells of {prior.name} into "
            f"an image of {array.shape[1]} x {array.shape[0]} pixels; give a larger image."
        )
    if any(band.corner.any() for band in bands):  # only the middle has been looked at
        whole = register(array, found[0].pixel_size, prior, candidates=1)[0]
        if whole.is_fit:
            return whole.pixel_size, whole.moved(corner_of(image))
    return found[0].pixel_size, found[0].pose.moved(corner_of(image))


def searched(guess: float | None) -> tuple[float, float]:
    """Return the least and the largest pixel size that are tried.

    Raises
    ------
    PixelSizeError
        If the guess is not a positive number.
    """
    if guess is None:
        return RANGE
    if not (np.isfinite(guess) and guess > 0):
        raise PixelSizeError(f"The guessed pixel size is {guess} Å/px; give a positive number or none.")
    return guess / GUESS, guess * GUESS
