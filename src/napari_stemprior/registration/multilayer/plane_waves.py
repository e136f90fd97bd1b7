"""Plane waves fitted to an image at once, so that those which it does not resolve share what it shows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_stemprior.registration.fourier.normalized_image import NormalizedImage
from napari_stemprior.registration.fourier.reflections import RESOLUTION

#: Side in Å of the part of the image on which waves are fitted: a twist of 1 degree slips by 1 Å over it.
FIELD = 64.0


class PlaneWaveFit:
    """The middle of an image, under a window, as a sum of plane waves.

    Parameters
    ----------
    normalized : NormalizedImage
    """

    def __init__(self, normalized: NormalizedImage) -> None:
        pixel = normalized.pixel_size
        side = [min(n, round(FIELD / pixel)) for n in normalized.image.shape]
        start = [(n - m) // 2 for n, m in zip(normalized.image.shape, side, strict=True)]
        part = normalized.image[start[0] : start[0] + side[0], start[1] : start[1] + side[1]]
        window = [np.hanning(m + 2)[1:-1] for m in side]
        self.axes = [(np.arange(m) + s) * pixel for m, s in zip(side, start, strict=True)]
        self._tables = [_table(*pair) for pair in zip(self.axes, window, strict=True)]
        self.image = (part * np.outer(*window)).astype(np.float64)
        self.power = float((part.astype(np.float64) ** 2 * np.outer(*window)).sum())

    def amplitudes(self, k: NDArray[np.float64]) -> tuple[NDArray[np.complex128], float]:
        """Fit waves ``exp(2 pi i k r)`` and their conjugates at once.

        Parameters
        ----------
        k : (n, 2) array
            Cycles per Å (y, x).

        Returns
        -------
        amplitude : (n,) complex array
            As `Fringes` has it: what the image holds of the wave, over the window's sum.
        explained_power : float
            Share of the power of the image, 0 to 1.
        """
        both = np.concatenate([k, -k])
        rows = np.exp(-2j * np.pi * np.outer(k[:, 0], self.axes[0]))
        columns = np.exp(-2j * np.pi * np.outer(k[:, 1], self.axes[1]))
        measured = ((rows @ self.image) * columns).sum(1)
        measured = np.concatenate([measured, measured.conj()])
        gram = np.ones((len(both), len(both)), dtype=np.complex128)
        for axis in (0, 1):
            gram *= self._transform(both[:, axis][:, None] - both[:, axis][None], axis)
        weight = float(gram[0, 0].real)
        gram += 0.01 * weight * np.eye(len(both))
        solution = np.linalg.solve(gram, measured)
        explained_power = float((measured.conj() @ solution).real) / self.power
        return np.asarray(solution[: len(k)]), explained_power

    def _transform(self, difference: NDArray[np.float64], axis: int) -> NDArray[np.complex128]:
        """Transform of the window at differences of frequencies, from a table."""
        grid, table, middle = self._tables[axis]
        real = np.interp(difference, grid, table)
        return np.asarray(real * np.exp(-2j * np.pi * difference * middle))


def _table(
    places: NDArray[np.float64], window: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Tabulate the transform of a symmetric window against the difference of two frequencies."""
    reach = 2.2 / RESOLUTION
    length = places[-1] - places[0]
    grid = np.linspace(-reach, reach, int(np.ceil(reach * length * 16)) | 1)
    middle = float(places[0] + places[-1]) / 2
    return grid, np.cos(2 * np.pi * np.outer(grid, places - middle)) @ window, middle
