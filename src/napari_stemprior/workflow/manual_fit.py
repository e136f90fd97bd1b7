"""Moving, turning and scaling a lattice by hand: arithmetic on poses, free of napari."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_stemprior.registration import Pose
from napari_stemprior.structure import StructurePrior

#: The lattice is scaled by one drag by no more than this factor either way.
_LARGEST_SCALE = 2.0
#: A drag that starts closer to the pivot than this (px) turns and scales as if it started here.
_NEAREST = 4.0


def transformed(pose: Pose, matrix: NDArray[np.float64]) -> Pose:
    """Apply a (3, 3) matrix of homogeneous pixels (y, x, 1) to a pose; its score no longer counts."""
    linear, offset = matrix[:2, :2], matrix[:2, 2]
    return Pose(linear @ pose.affine, linear @ pose.origin + offset)


def moving(shift: ArrayLike) -> NDArray[np.float64]:
    """Return the (3, 3) matrix that moves by (y, x) pixels."""
    matrix = np.eye(3)
    matrix[:2, 2] = np.asarray(shift, float)
    return matrix


def turning(angle: float, pivot: ArrayLike, scale: float = 1.0) -> NDArray[np.float64]:
    """Return the (3, 3) matrix that turns and scales about a pixel.

    Parameters
    ----------
    angle : float
        Degrees from the image's x axis towards its y axis (clockwise on screen).
    pivot : (2,) array-like
        Pixel (y, x) that stays where it is.
    scale : float
    """
    t = np.deg2rad(angle)
    matrix = np.eye(3)
    matrix[:2, :2] = scale * np.array([[np.cos(t), np.sin(t)], [-np.sin(t), np.cos(t)]])
    at = np.asarray(pivot, float)
    matrix[:2, 2] = at - matrix[:2, :2] @ at
    return matrix


def dragged(start: ArrayLike, end: ArrayLike, pivot: ArrayLike, how: str) -> NDArray[np.float64]:
    """Return the (3, 3) matrix of a drag.

    Parameters
    ----------
    start, end : (2,) array-like
        Pixels (y, x).
    pivot : (2,) array-like
        What stays while the lattice is turned or scaled.
    how : {"move", "turn", "scale"}
    """
    a, b, at = (np.asarray(v, float) for v in (start, end, pivot))
    if how == "move":
        return moving(b - a)
    first, last = a - at, b - at
    if how == "turn":
        before, after = (np.arctan2(*v) for v in (first, last))
        return turning(float(np.rad2deg(after - before)), at)
    ratio = max(float(np.linalg.norm(last)), _NEAREST) / max(float(np.linalg.norm(first)), _NEAREST)
    return turning(0.0, at, float(np.clip(ratio, 1 / _LARGEST_SCALE, _LARGEST_SCALE)))


def retyping(
    pose: Pose, pixel_size: float, *, angle: float, mirrored: bool, scale: float, origin: ArrayLike
) -> NDArray[np.float64]:
    """Return the (3, 3) matrix that gives a pose what a person typed; its shear stays.

    Parameters
    ----------
    pose : Pose
    pixel_size : float
        Å/px of the image.
    angle : float
        Degrees.
    mirrored : bool
    scale : float
        Size of the lattice on the image, 1 = as the pixel size says.
    origin : (2,) array-like
        Pixel (y, x) of the origin of the prior.
    """
    ratio = scale * pose.pixel_size / pixel_size
    back, on = turning(-pose.angle, (0, 0)), turning(angle, (0, 0), ratio)
    flip = np.diag([-1.0 if mirrored != pose.mirrored else 1.0, 1.0, 1.0])
    return moving(origin) @ on @ flip @ back @ moving(-pose.origin)


def with_origin_near(pose: Pose, prior: StructurePrior, place: ArrayLike) -> Pose:
    """Return the same lattice with the origin of that cell whose corner lies next to a pixel (y, x)."""
    steps = np.rint(pose.to_angstrom(place) @ np.linalg.inv(prior.cell))
    return Pose(pose.affine, pose.to_pixels(steps @ prior.cell), pose.score)


def start_pose(shape: tuple[int, int], pixel_size: float) -> Pose:
    """Return the pose to begin with: unturned, its origin in the middle of the image."""
    return Pose.from_angle(0.0, pixel_size, ((shape[0] - 1) / 2, (shape[1] - 1) / 2))


def what_changed(before: Pose, after: Pose, pixel_size: float, at: ArrayLike) -> str:
    """Say in words how a refined pose differs from the one that was set.

    Parameters
    ----------
    before, after : Pose
    pixel_size : float
        Å/px of the image.
    at : (2,) array-like
        Pixel (y, x) whose lattice point is followed.
    """
    turned = (after.angle - before.angle + 180) % 360 - 180
    scaled = 100 * (before.pixel_size / after.pixel_size - 1)
    shift = after.to_pixels(before.to_angstrom(at)) - np.asarray(at, float)
    moved = pixel_size * float(np.linalg.norm(shift))
    if abs(turned) < 0.005 and abs(scaled) < 0.005 and moved < 0.005:
        return "nothing had to change"
    return f"moved by {moved:.2f} Å, turned by {turned:+.2f}°, scaled by {scaled:+.2f} %"
