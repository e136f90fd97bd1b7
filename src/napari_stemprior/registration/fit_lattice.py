"""From an image and a prior to the lattice on it: registered, followed through strain, grain by grain."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace

from numpy.typing import ArrayLike

from napari_stemprior.errors import PixelSizeError
from napari_stemprior.progress import Progress, drain
from napari_stemprior.recording import PreparedImage
from napari_stemprior.recording.prepared_strips import PreparedStrips
from napari_stemprior.registration.binned_fit import binning_at, on_binned, prepared_any
from napari_stemprior.registration.decision.sentences import scale_reservation
from napari_stemprior.registration.fit import SCALES, features_for, likely_poses
from napari_stemprior.registration.fourier.features import FourierFeatures
from napari_stemprior.registration.gpa.pose_field import followed_field
from napari_stemprior.registration.grain import Grain, around
from napari_stemprior.registration.grains import with_grains
from napari_stemprior.registration.lattice_fit import MARGIN, MIN_RELIABILITY, LatticeFit, shown
from napari_stemprior.registration.locked_grains import fitted_around, held_pose, with_originals
from napari_stemprior.registration.multilayer.stack_fit import refine_stack_poses
from napari_stemprior.registration.multilayer.stack_lattice import (
    as_layer_of,
    fit_stack,
    follow_stack,
    stack_lattice,
)
from napari_stemprior.registration.pose import Pose
from napari_stemprior.registration.refine_pose import refine_pose
from napari_stemprior.registration.rival_poses import preferred
from napari_stemprior.registration.second_lattice import leaves_fringes, telling_of_second_lattice
from napari_stemprior.registration.stage import FITTING
from napari_stemprior.structure import Prior, StructurePrior
from napari_stemprior.structure.lattice_sites import LatticeSites

#: Poses that are looked at: two grains, each with four ways to hold the basis.
_CANDIDATES = 8


def fit_lattice(
    image: ArrayLike | PreparedImage | PreparedStrips,
    pixel_size: float,
    prior: Prior,
    *,
    locked: tuple[Grain, ...] = (),
) -> LatticeFit:
    """Find where the lattice of a prior lies on an image, how it bends and where it is not seen.

    Parameters
    ----------
    image : (H, W) array-like, or PreparedImage, or PreparedStrips
        Atom columns bright. An array is prepared first, see `recording.prepare`; one that is not in memory
        strip by strip.
    pixel_size : float
        Å per pixel. Errors up to 6 % are tolerated, and 8 % of difference between two directions; of a
        single lattice that leaves no doubt up to 20 %, with a reservation.
    prior : StructurePrior or Stack
        Of a stack every layer is placed on its own lattice; where they do not fit together, the layer that
        fits alone.
    locked : tuple of Grain
        Of that prior, a single crystal: these keep their lattices, and the rest of the image is fitted around
        them.

    Returns
    -------
    LatticeFit
        With its sites where it fits; otherwise the best candidate, whose `is_fit` is False.

    Raises
    ------
    MicrographError
        If the image is not 2-D, not of real numbers, or constant.
    RegistrationError
        If it is too small.
    PixelSizeError
        If the pixel size is not positive, or shows less than three unit cells of a lattice, or less than
        three pixels a unit cell.
    """
    return drain(fit_lattice_steps(image, pixel_size, prior, locked))


def fit_lattice_steps(
    image: ArrayLike | PreparedImage | PreparedStrips,
    pixel_size: float,
    prior: Prior,
    locked: tuple[Grain, ...] = (),
) -> Generator[Progress, None, LatticeFit]:
    """Find where the lattice of a prior lies, step by step; see `fit_lattice`."""
    array = prepared_any(image)
    yield FITTING
    if isinstance(array, PreparedStrips):
        coarse = tuple(grain.scaled(1 / binning_at(pixel_size)) for grain in locked)
        found = yield from on_binned(
            array, pixel_size, lambda small, size: fit_lattice_steps(small, size, prior, coarse)
        )
        return with_originals(found, locked)
    if locked:
        work = fitted_around(array, prior, locked, lambda rest: fit_lattice_steps(rest, pixel_size, prior))
        return (yield from work)
    crystal = prior.crystal
    if crystal is None:
        return (yield from fit_stack(array, pixel_size, prior, fit_lattice_steps))
    features = yield from features_for(array, pixel_size, crystal)
    poses = yield from likely_poses(features, crystal, _CANDIDATES)
    told = poses[0].pixel_size
    if poses[0].is_fit and not SCALES[0] <= pixel_size / told <= SCALES[-1]:
        again = yield from _fitted_at_told_size(array, pixel_size, crystal, poses[0])
        if again is not None:
            return again
    return (yield from _fitted(array, pixel_size, crystal, poses, features))


def _fitted_at_told_size(
    image: PreparedImage, stated: float, prior: StructurePrior, first: Pose
) -> Generator[Progress, None, LatticeFit | None]:
    """Fit once more with the pixel size that the lattice tells, where that is far from the stated one.

    A single lattice that leaves no doubt is believed that far; other grains, and what strain does to it, are
    only seen at the size at which they are expected. That it is not the stated one is said still.
    """
    told = first.pixel_size
    try:
        features = yield from features_for(image, told, prior)
    except PixelSizeError:
        return None
    poses = yield from likely_poses(features, prior, _CANDIDATES)
    if not poses[0].is_fit:
        return None
    found = yield from _fitted(image, told, prior, poses, features)
    said = (scale_reservation(prior.name, stated, told), *found.pose.reservations)
    doubtful = replace(found.pose, score=min(first.score, found.pose.score), reservations=said)
    return replace(found, poses=(doubtful, *found.poses[1:]))


def _fitted(
    image: PreparedImage,
    pixel_size: float,
    prior: StructurePrior,
    poses: list[Pose],
    features: FourierFeatures,
) -> Generator[Progress, None, LatticeFit]:
    """Follow the lattices of likely poses, and lay the best with its grains on the image."""
    fits = yield from _followed_fits(image, pixel_size, prior, poses, features)
    if not fits:
        return LatticeFit(prior, (poses[0],))
    yield FITTING
    best = preferred(fits, prior)
    yield FITTING
    rivals = tuple(fit.pose for fit in fits if not fit.same_place(best))
    placed = with_grains(best, fits, image, pixel_size)
    return replace(telling_of_second_lattice(placed, fits, prior), rivals=rivals)


def follow_lattice(
    image: ArrayLike | PreparedImage | PreparedStrips, pixel_size: float, fit: LatticeFit
) -> LatticeFit:
    """Follow the lattice of poses that are known through strain; they are believed as they are.

    Other grains are looked for where the lattice is not seen; locked ones stay as they are.

    Parameters
    ----------
    image : (H, W) array-like, or PreparedImage
        An array is prepared first.
    pixel_size : float
        Å per pixel.
    fit : LatticeFit
        Its poses count.

    Returns
    -------
    LatticeFit
        With its sites.

    Raises
    ------
    MicrographError, RegistrationError, PixelSizeError
        As `fit_lattice` does.
    """
    return drain(follow_lattice_steps(image, pixel_size, fit))


def follow_lattice_steps(
    image: ArrayLike | PreparedImage | PreparedStrips, pixel_size: float, fit: LatticeFit
) -> Generator[Progress, None, LatticeFit]:
    """Follow the lattice of poses that are known, step by step; see `follow_lattice`."""
    array = prepared_any(image)
    yield FITTING
    if isinstance(array, PreparedStrips):
        coarse = fit.scaled(1 / binning_at(pixel_size))
        work = on_binned(array, pixel_size, lambda small, size: follow_lattice_steps(small, size, coarse))
        return with_originals((yield from work), fit.locked)
    if fit.locked:
        return (yield from _followed_around(array, pixel_size, fit))
    crystal = fit.prior.crystal
    if crystal is None:
        return (yield from _followed_stack(array, pixel_size, fit))
    features = yield from features_for(array, pixel_size, crystal)
    given = yield from _followed(array, pixel_size, crystal, fit.pose, features)
    assert given.sites is not None
    others: list[LatticeFit] = []
    unseen = bool((given.sites.reliability < MIN_RELIABILITY).any())  # else no grain has where to be
    if unseen or leaves_fringes(features, crystal, fit.pose):
        poses = yield from likely_poses(features, crystal, _CANDIDATES)
        others = yield from _followed_fits(array, pixel_size, crystal, poses, features)
    yield FITTING
    found = telling_of_second_lattice(with_grains(given, others, array, pixel_size), others, crystal)
    return replace(fit, poses=found.poses, sites=found.sites, field=given.field, grains=found.grains)


def refine_fit(
    image: ArrayLike | PreparedImage | PreparedStrips, pixel_size: float, fit: LatticeFit
) -> LatticeFit:
    """Refine poses that a person has set, see `refine_pose`; those of a stack together.

    Parameters
    ----------
    image : (H, W) array-like, or PreparedImage
    pixel_size : float
        Å per pixel.
    fit : LatticeFit

    Returns
    -------
    LatticeFit
        The judged poses; its lattice has not been followed yet.

    Raises
    ------
    MicrographError, RegistrationError, PixelSizeError
        As `fit_lattice` does.
    """
    return drain(refine_fit_steps(image, pixel_size, fit))


def refine_fit_steps(
    image: ArrayLike | PreparedImage | PreparedStrips, pixel_size: float, fit: LatticeFit
) -> Generator[Progress, None, LatticeFit]:
    """Refine poses that a person has set, step by step; see `refine_fit`."""
    array = prepared_any(image)
    yield FITTING
    if isinstance(array, PreparedStrips):
        coarse = fit.scaled(1 / binning_at(pixel_size))
        work = on_binned(array, pixel_size, lambda small, size: refine_fit_steps(small, size, coarse))
        return with_originals((yield from work), fit.locked)
    if len(fit.layers) > 1:
        return stack_lattice(fit.prior, refine_stack_poses(array, pixel_size, fit.prior, fit.poses))
    (layer,) = fit.layers
    free = around(array, fit.locked) if fit.locked else array
    pose = refine_pose(free, pixel_size, layer, fit.pose)
    return LatticeFit(fit.prior, (pose,), only_layer=fit.only_layer, grains=fit.locked, locked=fit.locked)


def _followed_around(
    image: PreparedImage, pixel_size: float, fit: LatticeFit
) -> Generator[Progress, None, LatticeFit]:
    """Follow the lattice around locked grains; where it is that of one, what lies around it is found anew."""
    own = held_pose(fit.pose, fit.locked)
    if own is None:
        free = replace(fit, locked=())
        work = fitted_around(
            image, fit.prior, fit.locked, lambda rest: follow_lattice_steps(rest, pixel_size, free)
        )
        return (yield from work)
    found = yield from fit_lattice_steps(image, pixel_size, fit.prior, fit.locked)
    rivals = tuple(pose for pose in (*found.poses, *found.rivals) if held_pose(pose, (own,)) is None)
    return replace(found, poses=fit.poses, field=own.field, rivals=rivals, by_hand=fit.by_hand)


def _followed_stack(
    image: PreparedImage, pixel_size: float, fit: LatticeFit
) -> Generator[Progress, None, LatticeFit]:
    if fit.only_layer is None:
        return (yield from follow_stack(image, pixel_size, fit))
    (layer,) = fit.layers
    alone = yield from follow_lattice_steps(image, pixel_size, LatticeFit(layer, fit.poses))
    return as_layer_of(fit, alone)


def _followed_fits(
    image: PreparedImage,
    pixel_size: float,
    prior: StructurePrior,
    poses: list[Pose],
    features: FourierFeatures,
) -> Generator[Progress, None, list[LatticeFit]]:
    fits = []
    for pose in poses:
        if pose.is_fit:
            fits.append((yield from _followed(image, pixel_size, prior, pose, features)))
    return fits


def _followed(
    image: PreparedImage, pixel_size: float, prior: StructurePrior, pose: Pose, features: FourierFeatures
) -> Generator[Progress, None, LatticeFit]:
    field = yield from followed_field(features, prior, pose)
    yield FITTING
    yx, column, reliability = field.columns(prior, (image.shape[0], image.shape[1]), MARGIN / pixel_size)
    sites = LatticeSites.of(prior.columns, yx, column, reliability)
    return LatticeFit(prior, (pose,), shown(sites, image), field)
