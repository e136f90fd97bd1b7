"""An image made ready for registration, once for all priors."""

from __future__ import annotations

from dataclasses import dataclass

from napari_stemprior.registration.demodulation import Demodulator
from napari_stemprior.registration.lattice_search import CAPTURE
from napari_stemprior.registration.reciprocal import RESOLUTION
from napari_stemprior.registration.score import Peaks, find_peaks
from napari_stemprior.registration.spectrum import NormalizedImage, Spectrum, spectrum


@dataclass(frozen=True)
class View:
    """What every prior asks of an image.

    Parameters
    ----------
    flat : NormalizedImage
    whole : Spectrum
        Coherent over the tiles.
    blurred : Spectrum
        Coherent over the capture length of the search only.
    peaks : Peaks
        Of the spectrum.
    demodulator : Demodulator
    resolution : float
        Finest spacing in Å that is looked for.
    """

    flat: NormalizedImage
    whole: Spectrum
    blurred: Spectrum
    peaks: Peaks
    demodulator: Demodulator
    resolution: float


def view(flat: NormalizedImage) -> View:
    """Transform a flattened image."""
    resolution = max(RESOLUTION, 2.1 * flat.pixel_size)
    whole = spectrum(flat, resolution)
    return View(flat, whole, whole.blurred(0.35 / CAPTURE), find_peaks(whole), Demodulator(flat), resolution)
