"""Where the beam really was: jitter, flyback, drift, shear and mains as one field of displacements.

The fast axis runs along a row. Amplitudes are in Å; each part can be left at 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d, map_coordinates

#: Pixels over which the jitter within a row stays alike.
_PIXEL_CORRELATION = 2.0


@dataclass(frozen=True)
class ScanDistortion:
    """What keeps the beam from where it should be.

    Parameters
    ----------
    pixel_jitter : float
        Root mean square displacement of single pixels in each direction, correlated along the row, Å.
    flyback : float
        Displacement along the row at the left edge, where the beam is still on its way back, Å.
    flyback_length : float
        Length over which it dies out, in parts of the row.
    drift : float
        Path of the specimen during the frame, in a random direction, Å; half of it steady, the rest
        wandering slowly.
    shear : float
        Difference between the scan axes and a right angle, as a fraction (0.03 is 3 %).
    mains : float
        Amplitude of the swing in step with the mains, Å.
    mains_frequency : float
        Hz.
    dwell_time : float
        Seconds on each pixel, flyback apart.
    """

    pixel_jitter: float = 0.0
    flyback: float = 0.0
    flyback_length: float = 0.03
    drift: float = 0.0
    shear: float = 0.0
    mains: float = 0.0
    mains_frequency: float = 50.0
    dwell_time: float = 1e-5

    @property
    def is_none(self) -> bool:
        """Whether nothing is displaced."""
        return not any((self.pixel_jitter, self.flyback, self.drift, self.shear, self.mains))

    def displacement(
        self, shape: tuple[int, int], pixel_size: float, rng: np.random.Generator
    ) -> NDArray[np.float64]:
        """Return where the beam was, less where it should have been.

        Parameters
        ----------
        shape : (int, int)
        pixel_size : float
            Å/px.
        rng : numpy Generator

        Returns
        -------
        (2, H, W) array
            Pixels along y and x.
        """
        height, width = shape
        field = np.zeros((2, height, width))
        row, column = np.arange(height)[:, None], np.arange(width)[None, :]
        if self.pixel_jitter:
            noise = gaussian_filter1d(rng.normal(size=(2, height, width)), _PIXEL_CORRELATION, axis=2)
            field += noise * (self.pixel_jitter / float(noise.std()))
        if self.flyback:
            strength = 1 + 0.2 * rng.normal(size=(height, 1))
            field[1] -= self.flyback * strength * np.exp(-column / max(1.0, self.flyback_length * width))
        if self.drift:
            angle = rng.uniform(0, 2 * np.pi)
            time = (row + column / width) / height
            wander = rng.normal(size=(2, 3)) / np.array([1.0, 2.0, 3.0])
            for axis, along in enumerate((np.sin(angle), np.cos(angle))):
                waves = sum(w * np.sin(np.pi * (n + 1) * time) for n, w in enumerate(wander[axis]))
                field[axis] += self.drift * (along * (time - 0.5) + 0.25 * waves)
        if self.shear:
            field[1] += self.shear * pixel_size * (row - height / 2)
        if self.mains:
            seconds = (row * width + column) * self.dwell_time
            phase = 2 * np.pi * self.mains_frequency * seconds + rng.uniform(0, 2 * np.pi)
            angle = rng.uniform(0, 2 * np.pi)
            field[0] += self.mains * np.sin(angle) * np.sin(phase)
            field[1] += self.mains * np.cos(angle) * np.sin(phase)
        return field / pixel_size

    def apply(
        self, image: NDArray[np.float32], pixel_size: float, rng: np.random.Generator
    ) -> NDArray[np.float32]:
        """Return the image as the misled beam saw it; the field is continued by its mirror image.

        Parameters
        ----------
        image : (H, W) array
        pixel_size : float
            Å/px.
        rng : numpy Generator
        """
        if self.is_none:
            return image
        height, width = image.shape
        moved = self.displacement((height, width), pixel_size, rng) + np.indices((height, width))
        return np.asarray(map_coordinates(image, moved, order=3, mode="mirror"), dtype=np.float32)
