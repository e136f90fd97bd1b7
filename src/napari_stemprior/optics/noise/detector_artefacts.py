"""What a detector and its readout leave in the frame: uneven gain, spoiled rows and pixels, empty borders.

Each part can be left at 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_stemprior.errors import InstrumentError
from napari_stemprior.optics.noise.smooth_fields import smooth_field

Image = NDArray[np.float32]
#: Å over which the gain varies.
_GAIN_LENGTH = 80.0


@dataclass(frozen=True)
class DetectorArtefacts:
    """What is wrong with the detector and with the frame that it fills.

    Parameters
    ----------
    uneven_gain : float
        How far a smooth field of the gain departs from 1, up and down: 0.2 means from 0.8 to 1.2.
    saturated_rows : int
        Rows at full scale; how many in the frame.
    dead_rows : int
        Rows without signal; how many in the frame.
    hot_pixels : float
        Fraction of the pixels at full scale.
    dead_pixels : float
        Fraction of the pixels without signal.
    border : float
        Width of the widest border of zeros, Å. Drift correction leaves one at the top or bottom and one at
        the left or right.

    Raises
    ------
    InstrumentError
        If a part is negative, a fraction exceeds 1, or a number of rows is not whole.
    """

    uneven_gain: float = 0.0
    saturated_rows: int = 0
    dead_rows: int = 0
    hot_pixels: float = 0.0
    dead_pixels: float = 0.0
    border: float = 0.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not (value >= 0 and np.isfinite(value)):
                raise InstrumentError(f"The {name} of {value} is not possible; give 0 or more.")
            if name in ("uneven_gain", "hot_pixels", "dead_pixels") and value > 1:
                raise InstrumentError(f"The {name} of {value} lies outside 0 to 1.")
            if name.endswith("rows") and value != int(value):
                raise InstrumentError(f"The {name} are {value}; give a whole number.")

    @property
    def spoils_pixels(self) -> bool:
        """Whether rows or pixels lose their signal."""
        return any((self.saturated_rows, self.dead_rows, self.hot_pixels, self.dead_pixels))

    def with_uneven_gain(self, signal: Image, pixel_size: float, rng: np.random.Generator) -> Image:
        """Return the signal times a smooth field around 1.

        Parameters
        ----------
        signal : (H, W) array
        pixel_size : float
            Å per pixel.
        rng : numpy Generator
        """
        field = 2 * smooth_field(signal.shape, _GAIN_LENGTH / pixel_size, rng) - 1
        return (signal * (1 + self.uneven_gain * field)).astype(np.float32)

    def spoiled(self, signal: Image, full_scale: float, rng: np.random.Generator) -> Image:
        """Return the signal with saturated and dead rows, hot and dead pixels.

        Parameters
        ----------
        signal : (H, W) array
            Detected electrons.
        full_scale : float
            Detected electrons at which the detector saturates.
        rng : numpy Generator
        """
        out = signal.copy()
        height = len(out)
        rows = rng.permutation(height)[: int(self.saturated_rows + self.dead_rows)]
        out[rows[: int(self.saturated_rows)]] = full_scale
        out[rows[int(self.saturated_rows) :]] = 0
        for fraction, value in ((self.hot_pixels, full_scale), (self.dead_pixels, 0.0)):
            if fraction:
                out[rng.random(out.shape) < fraction] = value
        return out

    def with_border(self, image: Image, pixel_size: float, rng: np.random.Generator) -> Image:
        """Return the image with a border of zeros on two sides; the wider one is `border` wide.

        Parameters
        ----------
        image : (H, W) array
        pixel_size : float
            Å per pixel.
        rng : numpy Generator
        """
        out = image.copy()
        widths = np.array([1.0, rng.uniform(0, 1)])[rng.permutation(2)] * self.border / pixel_size
        for axis, width in enumerate(widths):
            pixels = min(round(width), out.shape[axis])
            lines = np.moveaxis(out, axis, 0)
            if rng.random() < 0.5:
                lines[:pixels] = 0
            else:
                lines[len(lines) - pixels :] = 0
        return out
