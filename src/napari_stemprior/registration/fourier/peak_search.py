"""The peaks of a power spectrum, and which of them a lattice explains."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from skimage.feature import peak_local_max

from napari_stemprior.registration.fourier.power_spectrum import PowerSpectrum
from napari_stemprior.structure import StructurePrior
from napari_stemprior.structure.periodic import image_distance

#: Power over the background from which a peak of the spectrum is not noise: of some 5,000 independent
#: samples, exponential noise exceeds it in one image of 200.
PEAK_RATIO = 14.0
#: The most peaks that are kept, the strongest.
_MOST_PEAKS = 60
#: What jitter of the rows smears along the slow axis has less than this share of a reflection's amplitude.
_SMEARED = 0.35
#: Amplitude over the noise that is given to every lattice beforehand: one weak peak alone refutes none.
_DOUBT = 1.0


@dataclass(frozen=True, eq=False)
class SpectralPeaks:
    """The peaks of a spectrum, one of each Friedel pair.

    Parameters
    ----------
    k : (n, 2) array
        Wave vectors (y, x) in cycles per Å.
    strength : (n,) array
        Amplitudes over the noise.
    length : float
        Length in Å over which the spectrum is coherent.
    """

    k: NDArray[np.float64]
    strength: NDArray[np.float64]
    length: float

    def on(self, linear: NDArray[np.float64], prior: StructurePrior) -> NDArray[np.bool_]:
        """Tell which peaks lie on reflections of a lattice."""
        indices = self.k @ linear @ prior.cell.T
        reciprocal = np.asarray(np.linalg.inv(linear @ prior.cell.T), np.float64)
        return image_distance(indices, reciprocal) < 1.6 / self.length

    def from_scan(self, on: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Tell which peaks the scan may have made: on the slow-scan axis, or smeared from a stronger one."""
        apart = 1.6 / self.length
        on_axis = np.abs(self.k[:, 1]) < apart
        beside = np.abs(self.k[:, 1][:, None] - self.k[on, 1][None]) < apart
        beside |= np.abs(self.k[:, 1][:, None] + self.k[on, 1][None]) < apart  # of the Friedel mate
        smeared = (beside & (_SMEARED * self.strength[on][None] > self.strength[:, None])).any(axis=1)
        return np.asarray(~on & (on_axis | smeared))

    def without(self, linear: NDArray[np.float64], prior: StructurePrior) -> SpectralPeaks:
        """Return the peaks that a lattice does not explain."""
        rest = ~self.on(linear, prior)
        return SpectralPeaks(self.k[rest], self.strength[rest], self.length)


def find_peaks(whole: PowerSpectrum) -> SpectralPeaks:
    """List the peaks that noise does not make, strongest first."""
    centre = whole.ratio.shape[0] // 2
    reach = max(1, round(1.0 / whole.length / whole.step))
    places = peak_local_max(
        whole.ratio, min_distance=reach, threshold_abs=PEAK_RATIO, exclude_border=False, p_norm=np.inf
    )
    offset = places - centre
    # the other half are the Friedel mates
    offset = offset[(offset[:, 0] < 0) | ((offset[:, 0] == 0) & (offset[:, 1] < 0))][:_MOST_PEAKS]
    strength = np.sqrt(whole.ratio[offset[:, 0] + centre, offset[:, 1] + centre]).astype(float)
    return SpectralPeaks(offset * whole.step, strength, whole.length)


def explained_power(peaks: SpectralPeaks, linear: NDArray[np.float64], prior: StructurePrior) -> float:
    """Share of the amplitude of a spectrum's peaks that a lattice, or the scan, explains; NaN without peaks.

    A peak counts by how far its amplitude exceeds that of noise. Jitter of the rows smears every reflection
    along the slow-scan axis, and row offsets lie on that axis: such peaks speak neither for nor against.
    """
    if not len(peaks.k):
        return float("nan")
    on = peaks.on(linear, prior)
    weight = peaks.strength - np.sqrt(PEAK_RATIO)
    counted = on | ~peaks.from_scan(on)
    return float((weight[on].sum() + _DOUBT) / (weight[counted].sum() + _DOUBT))
