"""Where the columns of a stack lie on a micrograph: every layer on its own lattice."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from napari_stemprior.errors import RegistrationError
from napari_stemprior.inference.site_prediction import MARGIN, MIN_RELIABILITY, Placement, place
from napari_stemprior.recording import PreparedImage, prepare
from napari_stemprior.registration import Pose, fit_pose_field
from napari_stemprior.registration.multilayer.stack_fit import StackPose, register_stack, separated
from napari_stemprior.structure import Stack

Floats = NDArray[np.float64]


def place_stack(
    image: NDArray[np.float32] | PreparedImage,
    pixel_size: float,
    stack: Stack,
    pose: Pose | StackPose | None = None,
    *,
    together: bool = True,
) -> Placement | None:
    """Place a stack on a micrograph; where one layer alone is seen, that one; None where nothing fits.

    Parameters
    ----------
    image : (H, W) array, or PreparedImage
    pixel_size : float
        Å per pixel.
    stack : Stack
    pose : Pose or StackPose, optional
        Of the first layer, or of all layers; believed where it is given.
    together : bool
        Look for all layers together first; False where `register_stack` has refused them on this image.

    Returns
    -------
    Placement or None
        Its `index` counts through the columns of all layers.

    Raises
    ------
    PixelSizeError
        If the pixel size does not suit the layers and the image.
    """
    image = prepare(image)
    if isinstance(pose, StackPose):
        return _of_all(image, pixel_size, stack, pose)
    if together:
        try:
            best = register_stack(image, pixel_size, stack, candidates=2)[0]
        except RegistrationError:
            return None
        if best.is_fit:
            poses = best.poses if pose is None else (pose, *best.poses[1:])
            return _of_all(image, pixel_size, stack, StackPose(poses, best.score))
    alone = []
    for number, layer in enumerate(stack.layers):
        given = pose if number == 0 else None
        placement = place(image, pixel_size, layer, given)
        if placement is not None:
            alone.append((given is not None, placement.pose.score, number, placement))
    if not alone:
        return None
    _, _, number, placement = max(alone, key=lambda entry: entry[:2])
    index = placement.index + stack.first_columns[number]
    return Placement(placement.pose, placement.positions, index, placement.reliability)


def _of_all(image: PreparedImage, pixel_size: float, stack: Stack, found: StackPose) -> Placement:
    """Follow the strain of every layer on the image without the others."""
    parts, size, binning = separated(image, pixel_size, stack, found.poses)
    positions, index, reliability = [], [], []
    for number, (part, layer, pose) in enumerate(zip(parts, stack.layers, found.poses, strict=True)):
        field = fit_pose_field(part, size, layer, pose.scaled(1 / binning))
        yx, column, sure = field.columns(layer, (part.shape[0], part.shape[1]), MARGIN / size)
        positions.append((yx + 0.5) * binning - 0.5)
        index.append(column + stack.first_columns[number])
        reliability.append(sure)
    first = found.poses[0]
    if first.reservations != found.reservations:  # a doubt about a lower layer is one about the whole
        first = replace(first, reservations=found.reservations)
    placed = Placement(
        first,
        np.concatenate(positions),
        np.concatenate(index),
        np.concatenate(reliability),
    )
    return placed.where(placed.reliability >= MIN_RELIABILITY).shown(image)
