"""What disturbs the brightness while the beam scans: row offsets, flashes and mains hum.

Amplitudes are in units of the mean signal, so that a part means the same at every dose. Each part can be
left at 0. What moves the beam instead stands in `scan_distortion`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from napari_stemprior.errors import InstrumentError

Image = NDArray[np.float32]
#: Rows over which the slow part of the row offsets stays alike.
_WANDER_ROWS = 12.0


@dataclass(frozen=True)
class ScanNoise:
    """What is added to the signal row by row and in step with the mains.

    Parameters
    ----------
    row_offsets : float
        Root mean square of an offset that is drawn anew for every row, in units of the mean signal.
    row_wander : float
        Root mean square of an offset that wanders slowly from row to row, in units of the mean signal.
    flashes : int
        Bright streaks over part of one row, such as a discharge leaves; how many in the frame.
    flash_strength : float
        Mean brightness of a streak, in units of the mean signal.
    flash_length : float
        Mean length of a streak, in parts of the row; the lengths are distributed exponentially.
    mains : float
        Amplitude of a sinusoid in time, in units of the mean signal.
    mains_frequency : float
        Hz; 50 or 60.
    dwell_time : float
        Seconds on each pixel, flyback apart.

    Raises
    ------
    InstrumentError
        If a part is negative, or `flashes` is not a whole number.

    Notes
    -----
    Flashes are electrons and come before the shot noise (`flashed`); offsets and hum arise in the amplifier
    and come after it (`disturbed`).
    """

    row_offsets: float = 0.0
    row_wander: float = 0.0
    flashes: int = 0
    flash_strength: float = 3.0
    flash_length: float = 0.2
    mains: float = 0.0
    mains_frequency: float = 50.0
    dwell_time: float = 1e-5

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not (value >= 0 and np.isfinite(value)):
                raise InstrumentError(f"The {name} of {value} is not possible; give 0 or more.")
        if self.flashes != int(self.flashes):
            raise InstrumentError(f"The flashes are {self.flashes}; give a whole number.")

    def flashed(self, signal: Image, rng: np.random.Generator) -> Image:
        """Return the signal with bright streaks, each of which fades along its row.

        Parameters
        ----------
        signal : (H, W) array
        rng : numpy Generator
        """
        height, width = signal.shape
        out, mean = signal.copy(), float(signal.mean())
        for _ in range(int(self.flashes)):
            row, start = int(rng.integers(height)), int(rng.integers(width))
            length = max(1, int(np.ceil(rng.exponential(self.flash_length) * width)))
            strength = self.flash_strength * rng.uniform(0.5, 1.5)
            end = min(start + length, width)
            fade = 1 - np.arange(end - start) / length
            out[row, start:end] += (mean * strength * fade).astype(np.float32)
        return out

    def disturbed(self, signal: Image, rng: np.random.Generator) -> Image:
        """Return the signal with row offsets and mains hum; it can become negative.

        Parameters
        ----------
        signal : (H, W) array
        rng : numpy Generator
        """
        height, width = signal.shape
        added = np.zeros((height, width))
        if self.row_offsets:
            added += self.row_offsets * rng.normal(size=(height, 1))
        if self.row_wander:
            slow = gaussian_filter1d(rng.normal(size=height), _WANDER_ROWS, mode="reflect")
            slow -= slow.mean()
            added += (self.row_wander / max(float(slow.std()), 1e-9)) * slow[:, None]
        if self.mains:
            added += self.mains * raster_wave((height, width), self.mains_frequency, self.dwell_time, rng)
        return (signal + float(signal.mean()) * added).astype(np.float32)


def raster_wave(
    shape: tuple[int, int], frequency: float, dwell_time: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Return a sinusoid of amplitude 1 in time along the raster, with a random phase.

    Parameters
    ----------
    shape : (int, int)
    frequency : float
        Hz.
    dwell_time : float
        Seconds on each pixel.
    rng : numpy Generator

    Returns
    -------
    (H, W) array
    """
    height, width = shape
    turn = 2 * np.pi * frequency * dwell_time
    rows = turn * width * np.arange(height) + rng.uniform(0, 2 * np.pi)
    columns = turn * np.arange(width)
    # the sine of a sum, so that only H + W sines are evaluated
    wave = np.outer(np.sin(rows), np.cos(columns)) + np.outer(np.cos(rows), np.sin(columns))
    return np.asarray(wave, dtype=np.float64)
