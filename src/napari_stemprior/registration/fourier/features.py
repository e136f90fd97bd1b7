"""An image made ready for registration, once for all priors."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

from napari_stemprior.progress import Progress
from napari_stemprior.registration.fourier.lattice_search import CAPTURE
from napari_stemprior.registration.fourier.normalized_image import NormalizedImage
from napari_stemprior.registration.fourier.padded_transform import PaddedTransform
from napari_stemprior.registration.fourier.peak_search import SpectralPeaks, find_peaks
from napari_stemprior.registration.fourier.power_spectrum import PowerSpectrum, power_spectrum_steps
from napari_stemprior.registration.fourier.reflections import RESOLUTION
from napari_stemprior.registration.stage import FITTING


@dataclass(frozen=True)
class FourierFeatures:
    """Spectrum, peaks and transform of an image: what every prior asks of it.

    Parameters
    ----------
    normalized : NormalizedImage
    whole : PowerSpectrum
        Coherent over the tiles.
    blurred : PowerSpectrum
        Coherent over the capture length of the search only.
    peaks : SpectralPeaks
        Of the spectrum.
    transform : PaddedTransform
    resolution : float
        Finest spacing in Å that is looked for.
    """

    normalized: NormalizedImage
    whole: PowerSpectrum
    blurred: PowerSpectrum
    peaks: SpectralPeaks
    transform: PaddedTransform
    resolution: float


def fourier_features(normalized: NormalizedImage) -> Generator[Progress, None, FourierFeatures]:
    """Transform a normalised image, step by step."""
    resolution = max(RESOLUTION, 2.1 * normalized.pixel_size)
    whole = yield from power_spectrum_steps(normalized, resolution)
    yield FITTING
    blurred, peaks = whole.blurred(0.35 / CAPTURE), find_peaks(whole)
    yield FITTING
    return FourierFeatures(normalized, whole, blurred, peaks, PaddedTransform(normalized), resolution)
