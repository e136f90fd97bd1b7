"""Where the columns of a stack lie on a micrograph: every layer on its own lattice."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import replace

import numpy as np

from napari_stemprior.errors import RegistrationError
from napari_stemprior.progress import Progress
from napari_stemprior.recording import PreparedImage
from napari_stemprior.registration.gpa.pose_field import fit_pose_field_steps
from napari_stemprior.registration.lattice_fit import MARGIN, LatticeFit, shown
from napari_stemprior.registration.multilayer.stack_fit import (
    StackPose,
    register_stack_steps,
    separated,
)
from napari_stemprior.registration.stage import FITTING
from napari_stemprior.structure import Prior, StructurePrior
from napari_stemprior.structure.lattice_sites import LatticeSites

FitLayer = Callable[[PreparedImage, float, StructurePrior], Generator[Progress, None, LatticeFit]]


def stack_lattice(stack: Prior, found: StackPose) -> LatticeFit:
    """Return the poses of the layers of a stack as a fit; the score of the whole is that of the first.

    A doubt about a lower layer is one about the whole.
    """
    first = replace(found.poses[0], score=found.score, reservations=found.reservations)
    return LatticeFit(stack, (first, *found.poses[1:]))


def fit_stack(
    image: PreparedImage, pixel_size: float, stack: Prior, fit_layer: FitLayer
) -> Generator[Progress, None, LatticeFit]:
    """Place all layers of a stack together; where that does not fit, the one layer that fits best alone.

    Parameters
    ----------
    image : PreparedImage
    pixel_size : float
        Å per pixel.
    stack : Stack
    fit_layer : callable
        Fits one layer alone.

    Returns
    -------
    LatticeFit
        With its sites where it fits.

    Raises
    ------
    RegistrationError, PixelSizeError
        As `fit_lattice` does.
    """
    found = yield from register_stack_steps(image, pixel_size, stack, candidates=2)
    together = stack_lattice(stack, found[0])
    if together.is_fit:
        return (yield from follow_stack(image, pixel_size, together))
    alone: list[tuple[int, LatticeFit]] = []
    for number, layer in enumerate(stack.layers):
        try:
            fit = yield from fit_layer(image, pixel_size, layer)
        except RegistrationError:
            continue
        if fit.is_fit:
            alone.append((number, fit))
    if not alone:
        return together
    number, best = max(alone, key=lambda entry: entry[1].pose.score)
    return as_layer_of(LatticeFit(stack, best.poses, only_layer=number), best)


def as_layer_of(fit: LatticeFit, alone: LatticeFit) -> LatticeFit:
    """Return the fit of a stack of which one layer is placed, with the sites of that layer.

    Parameters
    ----------
    fit : LatticeFit
        Of the stack, with `only_layer`.
    alone : LatticeFit
        Of that layer, followed through strain.
    """
    stack, sites = fit.prior, alone.sites
    assert fit.only_layer is not None
    assert sites is not None
    column = sites.column + stack.first_columns[fit.only_layer]
    return replace(fit, sites=LatticeSites.of(stack.columns, sites.yx, column, sites.reliability))


def follow_stack(
    image: PreparedImage, pixel_size: float, fit: LatticeFit
) -> Generator[Progress, None, LatticeFit]:
    """Follow the strain of every layer on the image without the others.

    Parameters
    ----------
    image : PreparedImage
    pixel_size : float
        Å per pixel.
    fit : LatticeFit
        The poses of all layers of a stack; they are believed.
    """
    stack = fit.prior
    yield FITTING
    parts, size, binning = separated(image, pixel_size, stack, fit.poses)
    positions, columns, reliability = [], [], []
    for number, (part, layer, pose) in enumerate(zip(parts, stack.layers, fit.poses, strict=True)):
        field = yield from fit_pose_field_steps(part, size, layer, pose.scaled(1 / binning))
        yx, column, sure = field.columns(layer, (part.shape[0], part.shape[1]), MARGIN / size)
        positions.append((yx + 0.5) * binning - 0.5)
        columns.append(column + stack.first_columns[number])
        reliability.append(sure)
    sites = LatticeSites.of(
        stack.columns, np.concatenate(positions), np.concatenate(columns), np.concatenate(reliability)
    )
    return replace(fit, sites=shown(sites, image))
