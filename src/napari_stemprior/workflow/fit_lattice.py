"""The lattice of a prior on a micrograph: fitted, followed through strain, refined after a manual fit."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace

from napari_stemprior.errors import PixelSizeError
from napari_stemprior.io.micrograph import Micrograph
from napari_stemprior.progress import Progress, result_of
from napari_stemprior.registration import LatticeFit, Pose
from napari_stemprior.registration.grain import Grain
from napari_stemprior.structure import Prior, StructurePrior
from napari_stemprior.workflow.operations import Operations


def known_pixel_size(micrograph: Micrograph) -> float:
    """Return the pixel size in Å/px.

    Raises
    ------
    PixelSizeError
        If it is unknown.
    """
    if micrograph.pixel_size is None:
        raise PixelSizeError(
            f"{micrograph.name}: the pixel size is unknown; type it in step 1, or pick a prior and fit it."
        )
    return micrograph.pixel_size


def fit_lattice(
    operations: Operations, micrograph: Micrograph, prior: Prior, locked: tuple[Grain, ...] = ()
) -> Generator[Progress, None, LatticeFit]:
    """Find where the lattice of a prior lies and how it bends, or where each layer of a stack lies.

    Parameters
    ----------
    operations : Operations
    micrograph : Micrograph
    prior : StructurePrior or Stack
    locked : tuple of Grain
        Of that prior: these stay, and the rest of the image is fitted around them.

    Returns
    -------
    LatticeFit
        The best candidate, whether it fits or not.

    Raises
    ------
    PixelSizeError
        If the pixel size is unknown or cannot show the lattice.
    RegistrationError
        If there is no lattice at all.
    """
    size = known_pixel_size(micrograph)
    yield Progress(0, 0, "Fitting the lattice")
    if locked:
        return (yield from result_of(operations.fit_around(micrograph.analysed, size, prior, locked)))
    return (yield from result_of(operations.fit_lattice(micrograph.analysed, size, prior)))


def follow_strain(
    operations: Operations, micrograph: Micrograph, fit: LatticeFit
) -> Generator[Progress, None, LatticeFit]:
    """Follow the lattice of poses that fit through strain."""
    if not fit.is_fit or fit.sites is not None:
        return fit
    yield Progress(0, 0, "Following the lattice through strain")
    followed = operations.follow_lattice(micrograph.analysed, known_pixel_size(micrograph), fit)
    return (yield from result_of(followed))


def refine_pose(
    operations: Operations, micrograph: Micrograph, fit: LatticeFit
) -> Generator[Progress, None, LatticeFit]:
    """Refine poses that were set by hand; the layers of a stack together, lest both take one lattice."""
    size = known_pixel_size(micrograph)
    yield Progress(0, 0, "Refining the lattice")
    refined = yield from result_of(operations.refine_fit(micrograph.analysed, size, fit))
    return (yield from follow_strain(operations, micrograph, replace(refined, by_hand=False)))


def fit_pixel_size(
    operations: Operations, micrograph: Micrograph, prior: StructurePrior
) -> Generator[Progress, None, tuple[float, Pose]]:
    """Find the pixel size at which the prior fits the image."""
    yield Progress(0, 0, "Fitting the pixel size")
    return operations.fit_pixel_size(micrograph.analysed, prior)
