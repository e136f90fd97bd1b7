"""Grains that a person has locked: their lattices stay, and the rest of the image is fitted around them."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import replace

import numpy as np

from napari_stemprior.errors import MicrographError, RegistrationError
from napari_stemprior.progress import Progress
from napari_stemprior.recording import PreparedImage
from napari_stemprior.registration.grain import Grain, around
from napari_stemprior.registration.lattice_fit import LatticeFit, shown, with_locked_sites
from napari_stemprior.registration.pose import Pose
from napari_stemprior.structure import Prior
from napari_stemprior.structure.lattice_sites import LatticeSites

#: A grain of which locked ones leave fewer sites than this is none of its own.
_SMALLEST_GRAIN = 6


def fitted_around(
    image: PreparedImage,
    prior: Prior,
    locked: tuple[Grain, ...],
    fit: Callable[[PreparedImage], Generator[Progress, None, LatticeFit]],
) -> Generator[Progress, None, LatticeFit]:
    """Fit what locked grains leave of an image, step by step, and lay them beside what is found.

    Parameters
    ----------
    image : PreparedImage
    prior : StructurePrior or Stack
        The one of the grains; a single crystal.
    locked : tuple of Grain
        At least one.
    fit : callable
        Fits an image of which the area of the grains holds no signal.

    Returns
    -------
    LatticeFit
        The grains alone where the rest shows no lattice.
    """
    try:
        found = yield from fit(around(image, locked))
    except (MicrographError, RegistrationError):  # they leave too little
        found = None
    held = locked_alone(prior, locked) if found is None or not found.is_fit else holding(found, locked)
    return held if held.sites is None else replace(held, sites=shown(held.sites, image))


def locked_alone(prior: Prior, locked: tuple[Grain, ...]) -> LatticeFit:
    """Return the fit of an image of which nothing but locked grains is known, at least one."""
    first = locked[0]
    sites = with_locked_sites(_none_of(first.sites), locked)
    rivals = tuple(grain.pose for grain in locked[1:])
    return LatticeFit(prior, (first.pose,), sites, first.field, rivals, grains=locked, locked=locked)


def holding(fit: LatticeFit, locked: tuple[Grain, ...]) -> LatticeFit:
    """Return a fit in which locked grains keep their lattices.

    Parameters
    ----------
    fit : LatticeFit
        Of a single crystal. Its own poses, and the lattice outside the grains, stay.
    locked : tuple of Grain
    """
    sites = None if fit.sites is None else with_locked_sites(fit.sites, locked)
    rest = [grain.without(locked) for grain in fit.grains if grain not in locked]
    grains = (*locked, *(grain for grain in rest if len(grain) >= _SMALLEST_GRAIN))
    beside = tuple(grain.pose for grain in locked if held_pose(fit.pose, (grain,)) is None)
    rivals = (*beside, *(pose for pose in fit.rivals if held_pose(pose, locked) is None))
    return replace(fit, sites=sites, grains=grains, rivals=rivals, locked=locked)


def locking(fit: LatticeFit, grain: Grain, *, on: bool) -> LatticeFit:
    """Return a fit in which one of its grains is locked, or no longer; where the lattice lies stays."""
    others = tuple(one for one in fit.locked if one is not grain)
    return replace(fit, locked=(*others, grain) if on else others)


def with_originals(fit: LatticeFit, locked: tuple[Grain, ...]) -> LatticeFit:
    """Return a fit that was made on coarser pixels with its locked grains as they were before."""
    return replace(fit, locked=locked, grains=(*locked, *fit.grains[len(locked) :]))


def held_pose(pose: Pose, locked: tuple[Grain, ...]) -> Grain | None:
    """Return the locked grain that a pose is of; None where there is none."""
    for grain in locked:
        own = grain.pose
        if np.array_equal(own.affine, pose.affine) and np.array_equal(own.origin, pose.origin):
            return grain
    return None


def _none_of(sites: LatticeSites) -> LatticeSites:
    return sites.where(sites.reliability < 0)
