"""The image of a periodic specimen, known at every position.

A STEM image as a function of the probe position is band-limited to twice the aperture, so a scan of
one cell at the Nyquist rate is the whole image.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.fft import next_fast_len
from scipy.ndimage import map_coordinates


@dataclass(frozen=True, eq=False)
class PeriodicScan:
    """The image of one cell of a specimen that repeats across the beam.

    Parameters
    ----------
    intensity : (Ny, Nx) array of float64
        Fraction of the beam that the detector collects, both numbers of points odd;
        point (i, j) lies at (x, y) = (j Lx / Nx, i Ly / Ny).
    cell : (float, float)
        Lx and Ly in Å.
    """

    intensity: NDArray[np.float64]
    cell: tuple[float, float]

    def blurred(self, fwhm: float) -> PeriodicScan:
        """Return the scan with an effective source of a full width `fwhm` in Å, exactly."""
        sigma = fwhm / np.sqrt(8 * np.log(2))
        ny, nx = self.intensity.shape
        kx = np.fft.fftfreq(nx, self.cell[0] / nx)
        ky = np.fft.fftfreq(ny, self.cell[1] / ny)
        damping = np.exp(-2 * (np.pi * sigma) ** 2 * (kx[None] ** 2 + ky[:, None] ** 2))
        return replace(self, intensity=np.fft.ifft2(np.fft.fft2(self.intensity) * damping).real)

    def at(self, xy: ArrayLike) -> NDArray[np.float64]:
        """Evaluate the image at any position by its Fourier series.

        Parameters
        ----------
        xy : (..., 2) array-like
            Å.

        Returns
        -------
        (...,) array
            Fraction of the beam.
        """
        points = np.asarray(xy, float)
        if points.ndim == 1:
            return np.asarray(self.at(points[None])[0])
        fine = _oversampled(self.intensity, self.cell)
        rows = points[..., 1] * (fine.shape[0] / self.cell[1])
        columns = points[..., 0] * (fine.shape[1] / self.cell[0])
        # a cubic spline on a grid some eight times finer than Nyquist adds about 1e-5
        return np.asarray(map_coordinates(fine, [rows, columns], order=3, mode="grid-wrap"))


def _oversampled(intensity: NDArray[np.float64], cell: tuple[float, float]) -> NDArray[np.float64]:
    """Interpolate by zero-padding the spectrum, to 0.05 Å or finer."""
    ny, nx = intensity.shape
    shape = (
        next_fast_len(max(ny, int(np.ceil(cell[1] / 0.05)))),
        next_fast_len(max(nx, int(np.ceil(cell[0] / 0.05)))),
    )
    spectrum = np.fft.fftshift(np.fft.fft2(intensity))
    padded = np.zeros(shape, dtype=complex)
    top, left = shape[0] // 2 - ny // 2, shape[1] // 2 - nx // 2
    padded[top : top + ny, left : left + nx] = spectrum
    fine: NDArray[np.float64] = np.fft.ifft2(np.fft.ifftshift(padded)).real * (
        shape[0] * shape[1] / (ny * nx)
    )
    return fine
