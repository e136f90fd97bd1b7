"""The noise chain of a scanning microscope, each part switchable and seeded.

Order, as the signal goes from the specimen to the file:

1. the beam: source blur, scan distortion, row jitter;
2. the electrons that arrive: contamination, uneven dose, flashes, shot noise;
3. the detector: afterglow, uneven gain;
4. the amplifier: row offsets and mains hum, readout;
5. the frame: saturated and dead rows, hot and dead pixels, gain and offset, clipping to the digits;
6. the file: the border that drift correction leaves, JPEG.

Lengths are in Å.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, gaussian_filter1d

from napari_stemprior.errors import InstrumentError
from napari_stemprior.optics.noise.detector_artefacts import DetectorArtefacts
from napari_stemprior.optics.noise.jpeg import jpeg_compressed, quantisation
from napari_stemprior.optics.noise.scan_distortion import ScanDistortion
from napari_stemprior.optics.noise.scan_noise import ScanNoise
from napari_stemprior.optics.noise.smooth_fields import smooth_field

Image = NDArray[np.float32]


@dataclass(frozen=True)
class NoiseChain:
    """What a scan does to the ideal image.

    Parameters
    ----------
    dose : float
        Electrons per Å² of the beam; 0 or infinity leaves shot noise out.
    row_jitter : float
        Root-mean-square shift of a row along the fast axis, Å.
    contamination : float
        Amplitude of a smooth background, in units of the mean signal.
    afterglow : float
        Decay length of the detector along the fast axis, pixels.
    readout : float
        Standard deviation of the readout noise, in detected electrons.
    source_blur : float
        Full width at half maximum of a further blur, Å; the engines apply the source of the instrument.
    distortion : ScanDistortion
        Pixel jitter, flyback, drift, shear, mains.
    uneven_dose : float
        How much the dose varies over the field, from 0 (even) to 1 (down to none at its darkest).
    gain : float
        Digits per detected electron.
    offset : float
        Digits of a pixel without electrons.
    bits : int
        8 or 16 clips to whole digits from 0 to the largest; 0 leaves the values as they are.
    scan_noise : ScanNoise
        Row offsets, flashes, mains hum.
    artefacts : DetectorArtefacts
        Uneven gain, saturated and dead rows, hot and dead pixels, border.
    jpeg_quality : int
        From 1 to 100, on the scale of libjpeg; needs 8 bits. 0 leaves the digits as they are.

    Raises
    ------
    InstrumentError
        If a part is negative, `bits` is not 0, 8 or 16, or JPEG is asked for without 8 bits.
    """

    dose: float = 1e4
    row_jitter: float = 0.0
    contamination: float = 0.0
    afterglow: float = 0.0
    readout: float = 0.0
    source_blur: float = 0.0
    distortion: ScanDistortion = field(default_factory=ScanDistortion)
    uneven_dose: float = 0.0
    gain: float = 1.0
    offset: float = 0.0
    bits: int = 0
    scan_noise: ScanNoise = field(default_factory=ScanNoise)
    artefacts: DetectorArtefacts = field(default_factory=DetectorArtefacts)
    jpeg_quality: int = 0

    def __post_init__(self) -> None:
        for name in ("row_jitter", "contamination", "afterglow", "readout", "source_blur", "gain"):
            if not getattr(self, name) >= 0:
                raise InstrumentError(f"The {name} of {getattr(self, name)} is not possible; give 0 or more.")
        if not 0 <= self.uneven_dose <= 1:
            raise InstrumentError(f"The uneven_dose of {self.uneven_dose} lies outside 0 to 1.")
        if self.bits not in (0, 8, 16):
            raise InstrumentError(f"A detector of {self.bits} bits is not known; give 8, 16 or 0 for none.")
        if self.jpeg_quality:
            quantisation(self.jpeg_quality)
            if self.bits != 8:
                raise InstrumentError(f"The jpeg_quality needs 8 bits, not {self.bits}; give bits = 8.")

    def apply(self, image: Image, pixel_size: float, rng: np.random.Generator) -> Image:
        """Return the detected electrons per pixel of an ideal image, or the digits of the detector.

        Parameters
        ----------
        image : (H, W) array
            Fraction of the beam that reaches the detector.
        pixel_size : float
            Å per pixel.
        rng : numpy Generator
        """
        signal: Image = np.clip(image, 0, None)
        if self.source_blur > 0:
            sigma = self.source_blur / np.sqrt(8 * np.log(2)) / pixel_size
            signal = gaussian_filter(signal, sigma, mode="mirror")
        if not self.distortion.is_none:
            signal = np.clip(self.distortion.apply(signal, pixel_size, rng), 0, None)
        if self.row_jitter > 0:
            signal = np.clip(jitter_rows(signal, self.row_jitter / pixel_size, rng), 0, None)
        if self.contamination > 0:
            signal = signal + self.contamination * float(signal.mean()) * smooth_field(
                signal.shape, 60 / pixel_size, rng
            )
        if self.uneven_dose > 0:
            signal = signal * (1 - self.uneven_dose * smooth_field(signal.shape, 80 / pixel_size, rng))
        if self.scan_noise.flashes:
            signal = self.scan_noise.flashed(signal, rng)
        if np.isfinite(self.dose) and self.dose > 0:
            signal = rng.poisson(signal * (self.dose * pixel_size**2)).astype(np.float32)
        if self.afterglow > 0:
            signal = afterglow(signal, self.afterglow)
        if self.artefacts.uneven_gain:
            signal = self.artefacts.with_uneven_gain(signal, pixel_size, rng)
        if self.scan_noise.row_offsets or self.scan_noise.row_wander or self.scan_noise.mains:
            signal = self.scan_noise.disturbed(signal, rng)
        if self.readout > 0:
            signal = signal + rng.normal(0, self.readout, signal.shape).astype(np.float32)
        if self.artefacts.spoils_pixels:
            signal = self.artefacts.spoiled(signal, self._full_scale(signal), rng)
        if self.gain != 1 or self.offset != 0:
            signal = signal * self.gain + self.offset
        if self.bits:
            signal = np.clip(np.round(signal), 0, 2**self.bits - 1)
        if self.artefacts.border:
            signal = self.artefacts.with_border(signal, pixel_size, rng)
        if self.jpeg_quality:
            signal = jpeg_compressed(signal, self.jpeg_quality)
        return np.asarray(signal, dtype=np.float32)

    def _full_scale(self, signal: Image) -> float:
        """Return the electrons of the largest digit; without digits those of the brightest pixel."""
        if self.bits and self.gain > 0:
            return float((2**self.bits - 1 - self.offset) / self.gain)
        return float(signal.max())


def usual_noise(dose: float) -> NoiseChain:
    """Return what a scan usually suffers at a dose in e/Å²."""
    return NoiseChain(
        dose,
        row_jitter=0.05,
        contamination=0.2,
        afterglow=0.5,
        readout=0.1,
        uneven_dose=0.2,
        distortion=ScanDistortion(pixel_jitter=0.03, flyback=0.2, drift=0.5, shear=0.005, mains=0.05),
    )


def with_recording_artefacts(chain: NoiseChain) -> NoiseChain:
    """Return the chain with the row offsets, flashes, hum and spoiled pixels of a usual recording."""
    return replace(
        chain,
        scan_noise=ScanNoise(row_offsets=0.05, row_wander=0.05, flashes=3, flash_strength=2.0, mains=0.05),
        artefacts=DetectorArtefacts(
            uneven_gain=0.1, saturated_rows=1, dead_rows=1, hot_pixels=2e-4, dead_pixels=2e-4, border=1.0
        ),
    )


def jitter_rows(image: Image, amplitude: float, rng: np.random.Generator) -> Image:
    """Shift each row along the fast axis by correlated noise of `amplitude` pixels rms."""
    height, width = image.shape
    slow = gaussian_filter1d(rng.normal(size=height), 4.0, mode="wrap")
    fast = rng.normal(size=height)
    shift = slow / max(float(slow.std()), 1e-9) + 0.7 * fast
    shift *= amplitude / max(float(np.sqrt(np.mean(shift**2))), 1e-9)
    phase = np.exp(-2j * np.pi * np.fft.rfftfreq(width)[None, :] * shift[:, None])
    return np.fft.irfft(np.fft.rfft(image, axis=1) * phase, n=width, axis=1).astype(np.float32)


def afterglow(image: Image, decay: float) -> Image:
    """Smear each row by an exponential of `decay` pixels behind the beam."""
    reach = int(np.ceil(5 * decay))
    kernel = np.exp(-np.arange(reach + 1) / decay)
    kernel /= kernel.sum()
    out = np.zeros_like(image)
    for step, weight in enumerate(kernel):
        out[:, step:] += weight * image[:, : image.shape[1] - step]
        if step:
            out[:, :step] += weight * image[:, :1]
    return out
