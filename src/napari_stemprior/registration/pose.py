"""Where the lattice of a prior lies on an image."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_stemprior.structure import StructurePrior
from napari_stemprior.structure.lattice_points import lattice_columns


@dataclass(frozen=True, eq=False)
class Pose:
    """Carries prior coordinates to image pixels: ``yx = affine @ xy + origin``.

    Parameters
    ----------
    affine : (2, 2) array
        Maps (x, y) in Å to (y, x) in pixels; it holds scale, rotation, mirror and shear.
    origin : (2,) array
        Pixel (y, x) of the prior's origin.
    score : float
        How well the lattice fits, from 0 (no fit) to 1. Above 0.5 is a fit.
    reservations : tuple of str
        What is doubtful about the fit, a sentence each; none for a clean one.
    log_likelihood : float
        Nats by which it explains the image; differences compare ways to lay the prior on one lattice.
        NaN where unknown.
    """

    affine: NDArray[np.float64]
    origin: NDArray[np.float64]
    score: float = 0.0
    reservations: tuple[str, ...] = ()
    log_likelihood: float = float("nan")

    def __post_init__(self) -> None:
        object.__setattr__(self, "affine", np.array(self.affine, dtype=np.float64).reshape(2, 2))
        object.__setattr__(self, "origin", np.array(self.origin, dtype=np.float64).reshape(2))

    @classmethod
    def from_angle(
        cls,
        angle: float,
        pixel_size: float,
        origin: ArrayLike = (0.0, 0.0),
        *,
        mirrored: bool = False,
        score: float = 0.0,
    ) -> Pose:
        """Build a rigid pose.

        Parameters
        ----------
        angle : float
            Rotation in degrees from the image's x axis towards its y axis (clockwise on screen).
        pixel_size : float
            Å per pixel.
        origin : (2,) array-like
            Pixel (y, x) of the prior's origin.
        mirrored : bool
            Flip the prior's y axis first.
        """
        t = np.deg2rad(angle)
        to_xy = np.array([[np.cos(t), -np.sin(t)], [np.sin(t), np.cos(t)]])
        if mirrored:
            to_xy = to_xy @ np.diag([1.0, -1.0])
        return cls(to_xy[::-1] / pixel_size, np.asarray(origin, float), score)

    @property
    def is_fit(self) -> bool:
        """Whether the lattice fits, with or without a reservation."""
        return self.score > 0.5

    @property
    def is_clean(self) -> bool:
        """Whether it fits without any reservation."""
        return self.is_fit and not self.reservations

    @property
    def angle(self) -> float:
        """Rotation in degrees, of the prior's x axis, from the image's x towards its y axis."""
        dy, dx = self.affine[:, 0]
        return float(np.rad2deg(np.arctan2(dy, dx)))

    @property
    def mirrored(self) -> bool:
        """Whether the prior lies flipped on the image."""
        return bool(np.linalg.det(self.affine[::-1]) < 0)

    @property
    def pixel_size(self) -> float:
        """Mean Å per pixel that this pose implies."""
        return float(abs(np.linalg.det(self.affine)) ** -0.5)

    def to_pixels(self, xy: ArrayLike) -> NDArray[np.float64]:
        """Carry (..., 2) prior coordinates (x, y) in Å to pixels (y, x)."""
        return np.asarray(xy, float) @ self.affine.T + self.origin

    def to_angstrom(self, yx: ArrayLike) -> NDArray[np.float64]:
        """Carry (..., 2) pixels (y, x) back to prior coordinates (x, y) in Å."""
        return (np.asarray(yx, float) - self.origin) @ np.linalg.inv(self.affine).T

    def moved(self, by: ArrayLike) -> Pose:
        """Return the pose moved by (2,) pixels (y, x)."""
        return replace(self, origin=self.origin + np.asarray(by, float))

    def scaled(self, factor: float) -> Pose:
        """Return the pose on the image resampled by `factor` (pixel centres on integers)."""
        origin = (self.origin + 0.5) * factor - 0.5
        return replace(self, affine=self.affine * factor, origin=origin)

    def columns(
        self, prior: StructurePrior, shape: tuple[int, int], margin: float = 0.0
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """List every lattice column that falls on an image.

        Parameters
        ----------
        prior : StructurePrior
        shape : (int, int)
            Rows and columns of the image.
        margin : float
            Pixels around the image to include as well.

        Returns
        -------
        positions : (M, 2) array
            Pixels (y, x).
        index : (M,) array of int
            The column of the prior.
        """
        return lattice_columns(prior, self.affine, self.origin, shape, margin)
